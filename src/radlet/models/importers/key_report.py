"""What became of every key of a published checkpoint: mapped to what, or dropped and why. Nothing passes unnamed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from radlet import __version__
from radlet.core.errors import CheckpointError
from radlet.core.runs import sha256_file, write_atomically

REPORT = "import.json"
Outcome = Literal["mapped", "merged", "dropped"]


@dataclass(frozen=True)
class KeyRow:
    """One key of a published file.

    Attributes:
        group: Part of the model that the key belongs to.
        source: The key as published.
        outcome: "mapped" to the targets, "merged" into them, or "dropped".
        targets: Names in the checkpoint that was written.
        reason: Why it was dropped, or how it was changed.
    """

    group: str
    source: str
    outcome: Outcome
    targets: tuple[str, ...] = ()
    reason: str = ""


class KeyReport:
    """Collect what became of every key, and refuse what nothing is known of."""

    def __init__(self) -> None:
        self.rows: list[KeyRow] = []

    def mapped(self, group: str, source: str, targets: Sequence[str], reason: str = "") -> None:
        """Note that a key became other keys, its numbers unchanged."""
        self.rows.append(KeyRow(group, source, "mapped", tuple(targets), reason))

    def merged(self, group: str, source: str, target: str, reason: str) -> None:
        """Note that the numbers of a key went into those of another."""
        self.rows.append(KeyRow(group, source, "merged", (target,), reason))

    def dropped(self, group: str, source: str, reason: str) -> None:
        """Note that a key is left out."""
        self.rows.append(KeyRow(group, source, "dropped", (), reason))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return ``group -> outcome -> keys``."""
        counts: dict[str, dict[str, int]] = {}
        for row in self.rows:
            group = counts.setdefault(row.group, dict.fromkeys(("mapped", "merged", "dropped"), 0))
            group[row.outcome] += 1
        return counts

    def reasons(self, group: str) -> list[str]:
        """Return why keys of a group were dropped, each reason once."""
        return sorted({row.reason for row in self.rows if row.group == group and row.outcome == "dropped"})

    def write(self, folder: Path, sources: Iterable[Path], **more: Any) -> None:
        """Write ``import.json`` into `folder`: every key, counts by group, and the sha256 of every source file."""
        files = [
            {"file": path.name, "folder": path.parent.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sources
        ]
        content = {"radlet_version": __version__, **more, "counts": self.counts(), "sources": files}
        rows = [asdict(row) for row in self.rows]
        write_atomically(folder / REPORT, json.dumps({**content, "keys": rows}, indent=1) + "\n")


def refuse(where: Path, problems: Sequence[str], remedy: str) -> None:
    """Raise one error that names the first few problems, if there are any.

    Raises:
        CheckpointError: There is a problem.
    """
    if problems:
        rest = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(f"{where}: {'; '.join(problems[:3])}{rest}. {remedy}")
