"""How often a draft misses what cannot wait: pneumothorax, a misplaced tube or line, a large pleural effusion.

A draft that says it may be there has not missed it. One figure a kind and one for all, as one miss among many normal
reports hardly moves an F1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from radlet.core.records import State
from radlet.core.statements import Statement, generalisations
from radlet.metrics.base import Floats, Metric, ratio

CriticalKind = Literal["pneumothorax", "malposition", "large_effusion"]
CRITICAL_KINDS: tuple[CriticalKind, ...] = ("pneumothorax", "malposition", "large_effusion")
_AIR = ("pneumothorax", "tension pneumothorax", "hydropneumothorax")


@dataclass(frozen=True)
class CriticalMisses(Metric):
    """Share of the reports with a critical finding whose draft misses one of them, in 0..1.

    Statistics: reports with a miss, reports with a critical finding.

    Attributes:
        kinds: Which findings count.
    """

    kinds: tuple[CriticalKind, ...] = CRITICAL_KINDS

    reads = "statements"
    direction = "lower"
    empty = "an empty draft misses all; undefined where no reference has a critical finding"
    source = "radlet: docs/metrics.md, What cannot wait"

    def statistics(
        self, references: Sequence[Sequence[Statement]], predictions: Sequence[Sequence[Statement]]
    ) -> Floats:
        """Count each pair, shape (n, 2)."""
        rows = []
        for reference, draft in zip(references, predictions, strict=True):
            found = [
                any(_says_so(kind, statement, other) for other in draft)
                for statement in reference
                for kind in self.kinds
                if statement.state is State.POSITIVE and _IS_CRITICAL[kind](statement)
            ]
            rows.append((not all(found), bool(found)))
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the share of reports with a miss."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the reports with a critical finding."""
        return np.asarray(totals[..., 1])


_IS_CRITICAL: Mapping[CriticalKind, Callable[[Statement], bool]] = {
    "pneumothorax": lambda statement: statement.concept in _AIR,
    "malposition": lambda statement: statement.position == "malpositioned",
    "large_effusion": lambda statement: statement.concept == "pleural effusion" and statement.severity == "severe",
}


def _says_so(kind: CriticalKind, true: Statement, drafted: Statement) -> bool:
    """Tell whether a drafted statement warns of the finding; an effusion without a degree does, a small one not."""
    if drafted.state is State.NEGATIVE:
        return False
    if kind == "pneumothorax":
        return drafted.concept in _AIR
    if kind == "large_effusion":
        return drafted.concept == true.concept and drafted.severity != "mild"
    names = {true.concept, *generalisations(true.concept)}
    related = drafted.concept in names or true.concept in generalisations(drafted.concept)
    return related and drafted.position == "malpositioned"


ALL = CriticalMisses()
PNEUMOTHORAX = CriticalMisses(("pneumothorax",))
MALPOSITION = CriticalMisses(("malposition",))
LARGE_EFFUSION = CriticalMisses(("large_effusion",))
