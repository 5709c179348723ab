"""Whether a draft gives a finding its degree: of the findings both texts grade, the share with the same one."""

from collections.abc import Iterator, Sequence

import numpy as np

from radlet.core.records import State
from radlet.core.statements import CONCEPTS, Severity, Statement
from radlet.metrics.base import Floats, Metric, ratio

_Graded = tuple[Statement, Severity]


class SeverityAgreement(Metric):
    """Share of findings that both texts grade (mild, moderate, severe) and that both give the same degree, in 0..1.

    Findings are paired by concept, those of one side first; each is judged once.
    Statistics: findings of the same degree, findings judged.
    """

    reads = "statements"
    empty = "an empty draft or reference adds no finding to judge; undefined where no finding is judged"
    source = "radlet: docs/metrics.md, What is stated"

    def statistics(
        self, references: Sequence[Sequence[Statement]], predictions: Sequence[Sequence[Statement]]
    ) -> Floats:
        """Count the findings of each pair, shape (n, 2)."""
        rows = []
        for reference, draft in zip(references, predictions, strict=True):
            same = [true == drafted for true, drafted in _paired(_graded(reference), _graded(draft))]
            rows.append((sum(same), len(same)))
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the share of the same degree."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the findings judged."""
        return np.asarray(totals[..., 1])


def _graded(statements: Sequence[Statement]) -> list[_Graded]:
    return [
        (statement, statement.severity)
        for statement in statements
        if statement.severity is not None and statement.state is not State.NEGATIVE
    ]


def _paired(true: Sequence[_Graded], drafted: Sequence[_Graded]) -> Iterator[tuple[Severity, Severity]]:
    """Yield the two degrees of each finding that both texts grade; opposite sides are two findings."""
    left, right = dict(enumerate(true)), dict(enumerate(drafted))
    for same_side in (True, False):
        for i, (statement, degree) in list(left.items()):
            for j, (other, drafted_degree) in right.items():
                sides = statement.side == other.side if same_side else None in (statement.side, other.side)
                if _key(statement) == _key(other) and sides:
                    yield degree, drafted_degree
                    del left[i], right[j]
                    break


def _key(statement: Statement) -> str:
    """Return what names the finding: its group where radiologists use several words for one thing."""
    return CONCEPTS[statement.concept].group or statement.concept


SEVERITY_AGREEMENT = SeverityAgreement()
