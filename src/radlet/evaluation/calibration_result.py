"""What a scorecard holds of the probabilities that a model gives its findings."""

from radlet.core.records import Record, Split
from radlet.metrics.resampling import Estimate


class ForecastResult(Record):
    """How good one source of probabilities is over all reports and observations, with 95 % intervals."""

    auroc: Estimate
    """Mean over the observations with enough reports on both sides."""
    brier: Estimate
    """Mean squared error, after scaling where there is any."""
    ece: Estimate
    """Expected calibration error in bins of equally many cases, after scaling."""
    ece_debiased: Estimate
    """Root mean square calibration error without what chance adds, after scaling."""
    brier_raw: Estimate | None = None
    """Mean squared error before scaling; null where nothing was scaled."""
    ece_raw: Estimate | None = None
    """Expected calibration error before scaling."""
    aurc: Estimate
    """Mean error rate over all coverages when the least sure decisions are left out first."""


class ReliabilityBin(Record):
    """Cases of like probability: what was forecast, and how many were present, with 95 % interval."""

    forecast: float
    present: Estimate
    n: int


class KeptResult(Record):
    """The decisions that are left when the least sure ones are abstained from."""

    coverage: float
    """Share of the decisions that are kept."""
    confidence: float
    """The least confidence that is kept, 0.5 to 1."""
    f1: Estimate
    error: Estimate


class DraftedFindings(Record):
    """Findings that the drafts name, the least probable ones left out first."""

    n: int
    error: Estimate
    """Share that is not there, of all of them; what chance's order gives at any coverage."""
    aurc: dict[str, Estimate]
    """Per source of probabilities, mean share that is not there over all coverages."""
    curves: dict[str, list[tuple[float, float]]]
    """Per source, coverage and share that is not there."""


class AreaResult(Record):
    """Area under the ROC curve of one observation."""

    area: Estimate
    positives: int


class Calibration(Record):
    """How far the model's own likelihoods can be taken for probabilities of findings."""

    observations: tuple[str, ...]
    num_wordings: int
    """Most sentences whose likelihood was read, for each observation."""
    num_reports: int
    against: str
    """``truth``, or ``report``: what the references say."""
    fitted_on: Split
    """Reports that scaling and frequencies were fitted on."""
    num_fitted: int
    slope: float | None
    intercept: float | None
    """Platt's scaling of the log-odds; null where the fitted reports have findings of one kind only."""
    forecasts: dict[str, ForecastResult]
    """``model``, and what it has to beat: ``encoder`` (its label head), ``prevalence``, ``draft`` (named or not)."""
    brier_gain: dict[str, Estimate]
    """Brier score of each other minus that of the model."""
    auroc: dict[str, AreaResult]
    """Of the model, per observation with enough reports on both sides."""
    reliability: dict[str, list[ReliabilityBin]]
    """``raw`` and ``scaled``."""
    kept: list[KeptResult]
    drafted: DraftedFindings | None
