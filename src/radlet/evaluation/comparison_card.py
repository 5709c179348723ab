"""The fixed form of ``comparison.json``: several systems on the same reports, number by number; no text, no id.

Keys may be added, none is renamed.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from radlet.core.records import Record
from radlet.evaluation.scorecard import PairedResult
from radlet.metrics.base import Direction
from radlet.metrics.resampling import Estimate, Interval

COMPARISON_VERSION = 1


class Standing(Record):
    """One system on one metric; null where there was nothing to judge, or nothing to resample."""

    value: float | None
    low: float | None
    high: float | None
    best: float | None = None
    """Share of the resamples in which it is the best of the systems (ties are shared)."""
    rank: float | None = None
    """Place among the systems, 1 is best."""
    rank_low: float | None = None
    rank_high: float | None = None
    """95 % interval of the place over the resamples."""
    by_seed: tuple[float | None, ...] = ()
    """The score of each seed, where there are several."""

    @property
    def estimate(self) -> Estimate:
        """Score and interval."""
        return Estimate(self.value, self.low, self.high)


class MetricComparison(Record):
    """All systems on one metric."""

    direction: Direction | None
    """Which end is better; null for a description that is no mark."""
    standings: dict[str, Standing]
    differences: dict[str, PairedResult] = Field(default_factory=dict)
    """System -> system minus the reference system, corrected for the number of metrics."""

    @property
    def best(self) -> str | None:
        """The system with the best score, baselines left out; None where several share it."""
        return next((name for name, one in self.standings.items() if one.rank == 1), None)

    def verdict(self, difference: PairedResult | None) -> Literal["good", "bad", ""]:
        """Say which way a difference points, where its interval leaves out 0."""
        if difference is None or self.direction is None or difference.low <= 0 <= difference.high:
            return ""
        return "good" if (difference.low > 0) == (self.direction == "higher") else "bad"


class ObservationComparison(Record):
    """F1 of one observation."""

    support: int
    """Reports in which it is present."""
    f1: dict[str, Estimate]


class Disagreement(Record):
    """A report that the systems answered differently."""

    row: int
    """Its line in the drafts of the reference system, from 1."""
    wrong: dict[str, int]
    """System -> observations falsely named or missed."""


class ComparedSystem(Record):
    """One column of the comparison."""

    name: str
    baseline_of: str | None = None
    """The system beside which it was drafted as a baseline; baselines have no place among the systems."""
    paired: bool
    """False for a scorecard alone, which cannot be tested against the others."""
    num_seeds: int = 1
    num_reports: int
    """Reports that it answered, among them those that were not compared."""
    lineage: dict[str, Any] = Field(default_factory=dict)


class Comparison(Record):
    """Every number of one comparison in the fixed form of ``comparison.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = COMPARISON_VERSION
    reference: str
    """The system that the others are held against."""
    headline: str
    """The metric that heads the page."""
    task: str | None = None
    split: str | None = None
    section: str | None = None
    num_reports: int
    """Reports compared; 0 where only scorecards stand side by side."""
    num_patients: int
    num_resamples: int
    interval: Interval
    against_truth: bool = False
    """Whether `observations` and `disagreements` are against the exact truth, not the references."""
    labeller: str = "rules"
    """What read the observations off the texts."""
    labeller_sha256: str | None = None
    """Digest of its weights, where it has any."""
    weights: dict[str, str] = Field(default_factory=dict)
    """Digests of the weights of the metrics that ran a model, by family."""
    notes: tuple[str, ...] = ()
    systems: tuple[ComparedSystem, ...]
    metrics: dict[str, MetricComparison]
    pairwise: dict[str, dict[str, PairedResult]] = Field(default_factory=dict)
    """On the headline, first -> second -> first minus second, corrected for the number of pairs."""
    observations: dict[str, ObservationComparison] = Field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def contenders(self) -> tuple[ComparedSystem, ...]:
        """The systems that are no baselines."""
        return tuple(system for system in self.systems if system.baseline_of is None)
