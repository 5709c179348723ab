"""What every metric is: additive statistics per report, and a score from their sums.

Keeping the two apart makes the score of any resample of reports a matrix product, so that a thousand bootstrap
resamples cost little more than one score, and makes a corpus metric (BLEU, micro-F1) as easy to resample as a mean.
All scores run from 0 to 1 unless a metric says otherwise. Nothing to judge (0/0) scores 0: silence earns no mark. Where
scores are published it is no score at all, and `Metric.score_judged` gives NaN for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Side, State

Floats = NDArray[np.float64]
Reading = Literal["text", "observations", "sides", "statements"]
"""What a metric reads of a report: its words, its observations' states, the sides of its positive mentions, or all that
it states."""
Observations = Mapping[str, State]
"""State of each observation; one that is missing counts as UNMENTIONED."""
Sides = Mapping[str, Collection[Side]]
"""The sides named for each positive observation, one entry a mention."""


class Metric(ABC):
    """The contract of the `metrics` registry; ``tests/contract/test_metrics_contract.py`` checks every entry.

    Calling a metric with references and predictions gives its score.

    Attributes:
        reads: Which reading of a report `statistics` takes.
        best: Score of perfect predictions; None for a description that is not a mark (report length).
        weighs_by_set: Whether the statistics of a report depend on the other references (on how rare its words are).
            A resample then keeps those of the whole set.
    """

    reads: ClassVar[Reading]
    best: ClassVar[float | None] = 1.0
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

    def __call__(self, references: Sequence[Any], predictions: Sequence[Any]) -> float:
        """Score one set of predictions against as many references."""
        return float(self.score(self.statistics(references, predictions).sum(axis=0)))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide elementwise; 0/0 is 0."""
    out = np.zeros(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)))
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
