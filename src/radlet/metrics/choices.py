"""Marks of answers that belong together: the rotations of one multiple-choice question, the two films of a pair.

A reference is an `Asked`: what is expected, and which item it belongs to. The statistics of an item stand in the row of
its first answer, so that they add up as those of any metric do.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from radlet.metrics.base import Direction, Floats, Metric, ratio


class Asked(NamedTuple):
    """One question of an item and the answer that is expected."""

    item: str
    answer: str


class ItemShare(Metric):
    """Share of the items of which something holds; they are made of answers, not of reports."""

    reads = "text"
    empty = "an empty answer is no option: it is wrong"

    @abstractmethod
    def holds(self, expected: Sequence[str], chosen: Sequence[str]) -> bool:
        """Tell whether it holds of the answers of one item."""

    def statistics(self, references: Sequence[Asked], predictions: Sequence[str]) -> Floats:
        """Return, in the row of each item's first answer, whether it holds and a count of one; shape (n, 2)."""
        items: dict[str, list[int]] = {}
        for row, asked in enumerate(references):
            items.setdefault(asked.item, []).append(row)
        statistics = np.zeros((len(references), 2))
        for rows in items.values():
            held = self.holds([references[row].answer for row in rows], [predictions[row] for row in rows])
            statistics[rows[0]] = held, 1
        return statistics

    def score(self, totals: Floats) -> Floats:
        """Return the share."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the number of items."""
        return np.asarray(totals[..., 1])


class AllRight(ItemShare):
    """Share of the items whose every answer is right."""

    source = "circular evaluation (Liu et al. 2023, MMBench); set accuracy (Sepehri et al. 2024, MediConfusion)"

    def holds(self, expected: Sequence[str], chosen: Sequence[str]) -> bool:
        """Tell whether all answers are right."""
        return list(expected) == list(chosen)


class AllSame(ItemShare):
    """Share of the items whose answers are all the same, right or wrong."""

    source = "confusion (Sepehri et al. 2024, MediConfusion); of rotated options: consistency"

    def __init__(self, direction: Direction | None) -> None:
        self.direction = direction

    def holds(self, expected: Sequence[str], chosen: Sequence[str]) -> bool:  # noqa: ARG002
        """Tell whether there is one answer only."""
        return len(set(chosen)) == 1


class EachRight(Metric):
    """Share of the answers that are right, each for itself."""

    reads = "text"
    empty = "an empty answer is no option: it is wrong"
    source = "accuracy"

    def statistics(self, references: Sequence[Asked], predictions: Sequence[str]) -> Floats:
        """Return whether the answer is right and a count of one, shape (n, 2)."""
        rows = [(asked.answer == chosen, 1) for asked, chosen in zip(references, predictions, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the share."""
        return ratio(totals[..., 0], totals[..., 1])


ALL_RIGHT = AllRight()
EACH_RIGHT = EachRight()
SAME_FOR_BOTH = AllSame("lower")
SAME_THROUGHOUT = AllSame(None)
