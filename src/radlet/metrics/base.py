"""What every metric is: additive statistics per report, and a score from their sums.

Keeping the two apart makes the score of any resample of reports a matrix product, so that a thousand bootstrap
resamples cost little more than one score, and makes a corpus metric (BLEU, micro-F1) as easy to resample as a mean.
Nothing to judge (0/0) scores 0: silence earns no mark. Where scores are published it is no score at all, and
`Metric.score_judged` gives NaN for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Side, State
from radlet.core.statements import Statement

Floats = NDArray[np.float64]
Reading = Literal["text", "observations", "sides", "statements", "placed_statements", "priors"]
"""What a metric reads of a report: its words, its observations' states, the sides of its positive mentions, all that it
states, that with its place in the text, or whether it refers to an earlier exam."""
Direction = Literal["higher", "lower"]
Observations = Mapping[str, State]
"""State of each observation; one that is missing counts as UNMENTIONED."""
Sides = Mapping[str, Collection[Side]]
"""The sides named for each positive observation, one entry a mention."""


class PlacedStatements(NamedTuple):
    """What a text states, and how far into it each statement begins."""

    num_words: int
    statements: Sequence[Statement]
    words_before: Sequence[int]
    """For each statement, how many words of the text stand before it."""


class Metric(ABC):
    """The contract of the `metrics` registry; ``tests/contract/test_metrics_contract.py`` checks every entry.

    Calling a metric with references and predictions gives its score.

    Attributes:
        reads: Which reading of a report `statistics` takes.
        version: Raised whenever scores would change for the same texts.
        low: Lowest score there can be.
        high: Highest score there can be; infinite where there is no end.
        direction: Which way is better; None for a description that is not a mark (report length).
        empty: What it gives for an empty draft, an empty reference, and where there is nothing to judge.
        source: The paper and equation, or the package, whose definition it is.
        judges: Whether it is meant for reports, or for short answers to questions; it can be computed of either.
        weighs_by_set: Whether the statistics of a report depend on the other references (on how rare its words are).
            A resample then keeps those of the whole set.
    """

    reads: ClassVar[Reading]
    version: int = 1
    low: float = 0.0
    high: float = 1.0
    direction: Direction | None = "higher"
    empty: str
    source: str
    judges: ClassVar[Literal["reports", "answers"]] = "reports"
    weighs_by_set: ClassVar[bool] = False

    @abstractmethod
    def statistics(self, references: Sequence[Any], predictions: Sequence[Any]) -> Floats:
        """Return the additive statistics of each pair, shape (n, k)."""

    @abstractmethod
    def score(self, totals: Floats) -> Floats:
        """Return the scores of summed statistics, shape (..., k) -> (...)."""

    def judged(self, totals: Floats) -> Floats | None:  # noqa: ARG002
        """Return how many cases a score is the share of, shape (..., k) -> (...); None where every report is one."""
        return None

    def score_judged(self, totals: Floats) -> Floats:
        """Return the scores of summed statistics, NaN where there was nothing to judge."""
        scores, judged = self.score(totals), self.judged(totals)
        return scores if judged is None else np.where(judged > 0, scores, np.nan)

    @property
    def range(self) -> str:
        """The scores there can be, in words."""
        if not isfinite(self.high):
            return f"from {self.low:g}"
        return f"{self.low:g} to {self.high:g}" if isfinite(self.low) else f"up to {self.high:g}"

    @property
    def summary(self) -> str:
        """The first paragraph of the metric's docstring on one line."""
        return " ".join((type(self).__doc__ or "").split("\n\n")[0].split())

    @property
    def sign(self) -> int:
        """What to multiply a difference of two scores by, so that more is better: 1 or -1; 0 for a description."""
        return {"higher": 1, "lower": -1, None: 0}[self.direction]

    def __call__(self, references: Sequence[Any], predictions: Sequence[Any]) -> float:
        """Score one set of predictions against as many references."""
        return float(self.score(self.statistics(references, predictions).sum(axis=0)))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide elementwise; 0/0 is 0."""
    out = np.zeros(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)))
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
