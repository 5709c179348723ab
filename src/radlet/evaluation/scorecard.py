"""The scorecard: every number of one evaluation in the fixed form of ``scorecard.json``.

Scripts, `radlet compare` and the HTML page read it; keys may be added, none is renamed.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from radlet.core.errors import DataError
from radlet.core.records import Record
from radlet.core.runs import write_atomically
from radlet.evaluation.calibration_result import Calibration
from radlet.evaluation.grounding_result import Grounding
from radlet.metrics.resampling import Comparison, Estimate, Interval

SCORECARD_VERSION = 1


class PairedResult(Record):
    """Model minus one baseline on the same reports, with 95 % interval and two-sided p-value."""

    baseline: str
    difference: float
    low: float
    high: float
    p_value: float
    detectable: float | None = None
    """The smallest true difference that a set of this size would show four times in five."""
    p_corrected: float | None = None
    """The p-value corrected for the number of metrics compared with this baseline (Holm 1979)."""

    @classmethod
    def of(cls, baseline: str, comparison: Comparison) -> "PairedResult":
        """Name the baseline of a comparison."""
        return cls(
            baseline=baseline,
            difference=comparison.difference,
            low=comparison.low,
            high=comparison.high,
            p_value=comparison.p_value,
            detectable=comparison.detectable,
        )


class ObservationResult(Record):
    """How one observation was drafted; `f1` has no meaning where `support` is 0: null where `drafted` is 0 too."""

    support: int
    """References in which it is positive."""
    drafted: int
    """Drafts in which it is positive."""
    precision: float
    recall: float
    f1: Estimate


class LabelAuroc(Record):
    """How well the encoder's label head tells studies with a label from studies without, with 95 % interval."""

    value: float
    low: float
    high: float
    positives: int
    """Judged studies that have the label."""


class ProbeResult(Record):
    """How often the drafts did, under one change of what the model sees, what the probe counts; 95 % interval."""

    value: float | None
    """Share of the cases; null where there was none."""
    low: float | None
    high: float | None
    n: int
    """Cases: findings, or drafts."""
    num_reports: int
    """Reports drafted under the change."""
    control: Estimate | None = None
    """The same share under a change that should not matter (a box elsewhere)."""
    difference: Estimate | None = None
    """Share minus control."""


class Looking(Record):
    """Whether the drafts depend on the film, and what they do when it changes."""

    counted: Literal["reports", "answers"] = "reports"
    """What the probes read of a draft: its observations, or its words."""
    looks: bool | None
    """Whether the model looks; null where this set cannot tell."""
    share_explained: dict[str, Estimate] = Field(default_factory=dict)
    """Per metric, (model - better of no image and shuffled image) / model."""
    probes: dict[str, ProbeResult] = Field(default_factory=dict)


class GapResult(Record):
    """A group's score less that of all other reports of which the attribute is known, with 95 % interval."""

    difference: float
    low: float
    high: float
    p_value: float
    """Two-sided, by the bootstrap."""
    p_corrected: float
    """The p-value corrected for the number of groups of the attribute (Holm 1979)."""
    detectable: float
    """The smallest true gap that a set of this size would show four times in five."""


class GroupResult(Record):
    """The model's scores on one group of reports."""

    num_reports: int
    num_patients: int
    metrics: dict[str, Estimate]
    gaps: dict[str, GapResult] = Field(default_factory=dict)
    """Per metric; none where the others are too few patients, or one side has nothing to judge."""


class AttributeResult(Record):
    """The groups that one attribute makes."""

    groups: dict[str, GroupResult]
    too_few: tuple[str, ...] = ()
    """Groups of too few patients, of which nothing but the name is told."""
    num_unnamed: int = 0
    """Further such groups, whose names are free words of the data and not told."""
    lowest: dict[str, str] = Field(default_factory=dict)
    """Per metric, the group with the worst score."""


class Subgroups(Record):
    """The model's scores by group: by sex, age, view and whatever else is known of the reports."""

    min_patients: int
    """Smaller groups have no number."""
    attributes: dict[str, AttributeResult]


class TopicResult(Record):
    """The model's answers to the questions of one topic."""

    num_closed: int
    num_open: int
    closed_accuracy: Estimate
    open_token_recall: Estimate


class QuestionResults(Record):
    """What is asked, and how the answers divide."""

    num_yes_no: int
    """Closed questions whose answer is yes or no."""
    expected_yes_share: float | None
    """Share of them whose answer is yes; the systems' is the metric `closed_yes_share`."""
    topics: dict[str, TopicResult]
    """The set's own words for its types of question; a question of several counts under each."""


class ChoiceResults(Record):
    """What the answers with options are out of."""

    num_items: int
    """Questions whose options are rotated, or pairs of films."""
    chance: dict[str, float]
    """What guessing scores on each metric."""
    places: dict[str, dict[str, float]]
    """Per number of options, the share of the model's answers at each place: even, where place means nothing; of pairs,
    the share of yes and no."""
    observations: dict[str, int] = Field(default_factory=dict)
    """What pairs differ in: observation -> pairs."""
    likeness: float | None = None
    """Mean cosine of the embeddings of the films of a pair."""


class Scorecard(Record):
    """One system's scores on one task and split, beside its baselines."""

    # A scorecard of a later version may hold more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = SCORECARD_VERSION
    task: str
    task_version: int = 1
    split: str | None
    section: str | None = None
    """Section of the reports that was judged; null for a file of predictions, which does not tell."""
    trained_section: str | None = None
    """Section that the model was trained to write."""
    num_studies: int
    num_reports: int
    """Drafts scored; more than `num_studies` where each film has its own draft."""
    num_patients: int
    num_resamples: int
    interval: Interval = "percentile"
    """Kind of the bootstrap's intervals."""
    labeller: str = "rules"
    """What read the observations off the texts."""
    labeller_sha256: str | None = None
    """Digest of its weights, where it has any."""
    metrics: dict[str, Estimate]
    """The model's scores; null numbers where there was nothing to judge."""
    baselines: dict[str, dict[str, Estimate]] = Field(default_factory=dict)
    paired: dict[str, PairedResult] = Field(default_factory=dict)
    """Per metric, the model against the baseline that is best on that metric."""
    paired_all: dict[str, dict[str, PairedResult]] = Field(default_factory=dict)
    """Per metric, the model against each baseline."""
    judged: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Per metric that does not judge every report, how many cases each system's score is the share of."""
    unscored: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict)
    """Per metric that runs a model, and system, how many reports it gave no score, by the reason why."""
    retrieval: dict[str, float] = Field(default_factory=dict)
    """Levels of chance, median ranks and pool sizes beside the retrieval metrics."""
    support: dict[str, ObservationResult] = Field(default_factory=dict)
    """Per observation, against the references."""
    truth_support: dict[str, ObservationResult] = Field(default_factory=dict)
    """Per observation, against the exact truth (synthetic studies)."""
    encoder_auroc: dict[str, LabelAuroc] = Field(default_factory=dict)
    """Per label of the encoder with enough studies on both sides, area under the ROC curve, one score a study."""
    questions: QuestionResults | None = None
    """What is particular to questions."""
    choices: ChoiceResults | None = None
    """What is particular to answers with options."""
    rows_left_out: dict[str, int] = Field(default_factory=dict)
    """Reason -> examples of the split that were not judged: without a film of the kind, or nothing the task can ask."""
    looking: Looking | None = None
    """Whether the model looks at the film; null for a file of predictions, where no film can be changed."""
    subgroups: Subgroups | None = None
    """The model's scores by sex, age, view and so on; null where nothing of that kind is known."""
    grounding: Grounding | None = None
    """Whether it looked where the findings are; null where no boxed finding was rightly drafted."""
    calibration: Calibration | None = None
    """Probabilities of findings, read off the model's own likelihoods; null where none were."""
    diversity: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Per system (and the references), how much texts vary."""
    lineage: dict[str, Any] = Field(default_factory=dict)
    """Upstream runs and their digests."""

    def save(self, path: Path) -> None:
        """Write the scorecard as JSON."""
        write_atomically(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Scorecard":
        """Read a scorecard.

        Raises:
            DataError: The file cannot be read or is not a scorecard.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read ({type(error).__name__}). Give a scorecard.json.") from None
        except ValidationError as error:
            item = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in item["loc"])
            raise DataError(f"{path}: is not a scorecard ('{where}': {item['msg']}). Evaluate the run again.") from None


def number_text(value: float | None, digits: int = 3) -> str:
    """Write a score as people read it: a dash where it is undefined."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"
