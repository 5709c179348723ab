"""Walk from a run to the runs it was made from, and read what they logged: curves, counts, refusals.

Only numbers, run names and reasons leave this module: no absolute path, which may hold a name.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radlet.core.runs import DONE

_BY_REASON = "_by_reason"
"""How the keys of a summary end that count items by why they were refused."""

Series = list[tuple[float, float]]


@dataclass(frozen=True)
class UpstreamRun:
    """One run of the chain.

    Attributes:
        role: What it was to the run that named it ("checkpoint", "examples", ...).
        stage: Folder above the run: the stage's name.
        name: The run directory's name.
        digest: Digest of its outputs.
        path: Where it is; for reading only, never shown.
    """

    role: str
    stage: str
    name: str
    digest: str
    path: Path

    @property
    def curves(self) -> dict[str, Series]:
        """The numbers of ``metrics.jsonl`` by name, each as (step, value)."""
        series: dict[str, Series] = {}
        for row in _jsonl(self.path / "metrics.jsonl"):
            step = row.pop("step", None)
            for name, number in row.items():
                if isinstance(step, int | float) and isinstance(number, int | float):
                    series.setdefault(name, []).append((float(step), float(number)))
        return series

    @property
    def counts(self) -> dict[str, int]:
        """The whole numbers of ``summary.json``, nested names joined by a space; tables of tables are left out."""
        summary = _json(self.path / "summary.json")
        return _flat_counts({name: content for name, content in summary.items() if not name.endswith(_BY_REASON)})

    @property
    def refusals(self) -> dict[str, int]:
        """How many items the run refused or dropped for each reason, most first."""
        counted: Counter[str] = Counter()
        for name, content in _json(self.path / "summary.json").items():
            if name.endswith(_BY_REASON):
                counted.update(content)
        return dict(counted.most_common())

    @property
    def environment(self) -> dict[str, Any]:
        """The machine and versions it ran on."""
        return _json(self.path / "environment.json")


def upstream_runs(run_dir: Path) -> list[UpstreamRun]:
    """Return every run that `run_dir` was made from, each once, the earliest first."""
    found: dict[str, UpstreamRun] = {}
    _collect(run_dir, found)
    return list(found.values())


def describe(runs: list[UpstreamRun]) -> dict[str, dict[str, str]]:
    """Return the chain as it stands in a scorecard: ``stage/name -> role, digest``."""
    return {f"{run.stage}/{run.name}": {"role": run.role, "digest": run.digest} for run in runs}


def _collect(run_dir: Path, found: dict[str, UpstreamRun]) -> None:
    for role, entry in _json(run_dir / "inputs.json").items():
        path = Path(entry["path"])
        if str(path) in found or not (path / DONE).exists():
            continue
        _collect(path, found)
        found[str(path)] = UpstreamRun(role, path.parent.name, path.name, entry["digest"], path)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _jsonl(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _flat_counts(values: dict[str, Any], prefix: str = "", depth: int = 3) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, content in values.items():
        if isinstance(content, dict) and depth > 1:
            counts |= _flat_counts(content, f"{prefix}{name} ", depth - 1)
        elif isinstance(content, int) and not isinstance(content, bool):
            counts[f"{prefix}{name}"] = content
    return counts
