"""Walk from a run to the runs it was made from, and read what they logged: curves, counts, refusals.

A run remembers its inputs by path and by digest. The digest decides: runs may have been moved or copied since, and
another run may lie where an input once was. Only numbers, run names and reasons leave this module: no absolute path,
which may hold a name.
"""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from radlet.core.runs import DONE

_BY_REASON = "_by_reason"
"""How the keys of a summary end that count items by why they were refused."""

NOT_FOUND = "not found"
"""What is said of a run that lies neither where it was nor beside the run made from it."""

Series = list[tuple[float, float]]


@dataclass(frozen=True)
class UpstreamRun:
    """One run of the chain.

    Attributes:
        role: What it was to the run that named it ("checkpoint", "examples", ...).
        stage: Folder above the run: the stage's name.
        name: The run directory's name.
        digest: Digest of its outputs.
        path: Where it is, for reading only, never shown; None when no run with this digest was found.
    """

    role: str
    stage: str
    name: str
    digest: str
    path: Path | None

    @property
    def curves(self) -> dict[str, Series]:
        """The numbers of ``metrics.jsonl`` by name, each as (step, value)."""
        series: dict[str, Series] = {}
        for row in _jsonl(self._file("metrics.jsonl")):
            step = row.pop("step", None)
            for name, number in row.items():
                if isinstance(step, int | float) and isinstance(number, int | float):
                    series.setdefault(name, []).append((float(step), float(number)))
        return series

    @property
    def counts(self) -> dict[str, int]:
        """The whole numbers of ``summary.json``, nested names joined by a space; tables of tables are left out."""
        summary = _json(self._file("summary.json"))
        return _flat_counts({name: content for name, content in summary.items() if not name.endswith(_BY_REASON)})

    @property
    def refusals(self) -> dict[str, int]:
        """How many items the run refused or dropped for each reason, most first."""
        counted: Counter[str] = Counter()
        for name, content in _json(self._file("summary.json")).items():
            if name.endswith(_BY_REASON):
                counted.update(content)
        return dict(counted.most_common())

    @property
    def environment(self) -> dict[str, Any]:
        """The machine and versions it ran on."""
        return _json(self._file("environment.json"))

    def _file(self, name: str) -> Path | None:
        return self.path / name if self.path else None


def upstream_runs(run_dir: Path) -> list[UpstreamRun]:
    """Return every run that `run_dir` was made from, each once, the earliest first.

    A run that is not found stands in the list without a path; what it was made from is then unknown.
    """
    found: dict[tuple[str, str, str], UpstreamRun] = {}
    run_dir = run_dir.resolve()
    _collect(run_dir, (run_dir.parent.parent,), found)
    return list(found.values())


def describe(runs: list[UpstreamRun]) -> dict[str, dict[str, str]]:
    """Return the chain as it stands in a scorecard: ``stage/name -> role, digest``, and ``state`` of one not found."""
    return {
        f"{run.stage}/{run.name}": {"role": run.role, "digest": run.digest} | ({} if run.path else {"state": NOT_FOUND})
        for run in runs
    }


def _collect(run_dir: Path, runs_dirs: tuple[Path, ...], found: dict[tuple[str, str, str], UpstreamRun]) -> None:
    for role, entry in _json(run_dir / "inputs.json").items():
        stored, digest = Path(entry["path"]), entry["digest"]
        path = _resolve(stored, digest, runs_dirs)
        stage, name = (path or stored).parent.name, (path or stored).name
        key = (stage, name, digest)
        if key in found:
            continue
        if path:
            _collect(path, (*runs_dirs, path.parent.parent), found)
        found[key] = UpstreamRun(role, stage, name, digest, path)


def _resolve(stored: Path, digest: str, runs_dirs: tuple[Path, ...]) -> Path | None:
    """Find the run with this digest: where it was, at the same place in one of the run folders, or anywhere in them."""
    stage = stored.parent.name
    same_place = (runs_dir / stage / stored.name for runs_dir in runs_dirs)
    same_stage = (path for runs_dir in runs_dirs for path in sorted(runs_dir.glob(f"{stage}/*")))
    anywhere = (path for runs_dir in runs_dirs for path in sorted(runs_dir.glob("*/*")))
    candidates = chain((stored,), same_place, same_stage, anywhere)
    return next((path for path in candidates if _has_digest(path, digest)), None)


def _has_digest(path: Path, digest: str) -> bool:
    done = path / DONE
    return done.is_file() and digest in done.read_text(encoding="utf-8", errors="replace")


def _json(path: Path | None) -> dict[str, Any]:
    if path is None or not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _jsonl(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.is_file():
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
