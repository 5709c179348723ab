"""Score drafts against references: the numbers of a scorecard, for the evaluate stage and for `radlet score FILE`.

Takes texts only, so that any program's predictions can be judged; the stage adds baselines and, on synthetic studies,
the truth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radlet.core.records import OBSERVATIONS, Finding
from radlet.evaluation.readings import Readings, truth_observations, truth_sides
from radlet.evaluation.scorecard import ObservationResult, PairedResult
from radlet.evaluation.scorers.base import ModelMetric
from radlet.evaluation.scorers.loading import Scorers, text_metrics
from radlet.metrics import METRICS
from radlet.metrics.base import Floats, Metric
from radlet.metrics.laterality import LATERALITY
from radlet.metrics.observations import ObservationAgreement
from radlet.metrics.resampling import Estimate, PatientResampler, holm
from radlet.metrics.text_shape import DISTINCT_2, UNIQUE_SHARE

MODEL = "model"
BASELINES = ("constant", "no_image", "shuffled_image", "nearest_neighbour")


@dataclass(frozen=True)
class Answers:
    """What several systems wrote for the same reports.

    Attributes:
        references: The expected texts, in order.
        patients: Patient of each report.
        systems: System name -> its drafts in the same order; `MODEL` is one of them.
        truth: The true findings of each report, or None where nobody knows.
        readings: What reads the texts.
    """

    references: Sequence[str]
    patients: Sequence[str]
    systems: Mapping[str, Sequence[str]]
    truth: Sequence[Sequence[Finding]] | None = None
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True)
class Scores:
    """The numbers of `Answers`, in the parts of a scorecard."""

    estimates: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    paired: dict[str, PairedResult] = field(default_factory=dict)
    paired_all: dict[str, dict[str, PairedResult]] = field(default_factory=dict)
    judged: dict[str, dict[str, int]] = field(default_factory=dict)
    unscored: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A metric with the reading of the references, or of the truth, that it is held against."""

    name: str
    metric: Metric
    expected: Sequence[Any]


def measures(answers: Answers, metric_names: Sequence[str] | None = None) -> list[Measure]:
    """Return the named metrics and, where the truth is known, those held against it.

    Args:
        answers: The texts, and what reads them.
        metric_names: From the metrics registry; default: all of reports that run no model, and those that the
            readings' scorers can compute.

    Raises:
        UnknownNameError: A name is not in the metrics registry.
        ConfigError: One runs a model that is not there.
    """
    scorers = answers.readings.scorers or Scorers(None)
    names = metric_names
    if names is None:
        names = [*(name for name in text_metrics() if METRICS[name].judges == "reports"), *scorers.names]
    chosen = [
        (name, scorers.metric(name) if isinstance(METRICS[name], ModelMetric) else METRICS[name]) for name in names
    ]
    return [
        Measure(name, metric, answers.readings.of(answers.references, metric.reads)) for name, metric in chosen
    ] + _truth_measures(answers.truth)


def weight_free_measures() -> list[str]:
    """Return the names that `measures` knows where no weights are at hand, those against the truth among them."""
    return [*text_metrics(), *(measure.name for measure in _truth_measures([]))]


def score_answers(answers: Answers, resampler: PatientResampler, chosen: Sequence[Measure]) -> Scores:
    """Score every system by every measure, and compare the model with each baseline."""
    scores = Scores(estimates={system: {} for system in answers.systems})
    for measure in chosen:
        statistics = {
            system: measure.metric.statistics(measure.expected, answers.readings.of(texts, measure.metric.reads))
            for system, texts in answers.systems.items()
        }
        for system, rows in statistics.items():
            scores.estimates[system][measure.name] = resampler.estimate(rows, measure.metric.score_judged)
            judged = measure.metric.judged(rows.sum(axis=0))
            if judged is not None:
                scores.judged.setdefault(measure.name, {})[system] = int(judged)
        if isinstance(measure.metric, ModelMetric):
            _count_unscored(scores, measure.name, measure.metric, answers)
        if measure.metric.direction is not None:
            _compare(scores, measure, statistics, resampler)
    _correct(scores, {measure.name: measure.metric.sign for measure in chosen})
    return scores


def _count_unscored(scores: Scores, name: str, metric: ModelMetric, answers: Answers) -> None:
    for system, texts in answers.systems.items():
        reasons = metric.unscored(answers.references, texts)
        if reasons:
            scores.unscored.setdefault(name, {})[system] = dict(reasons)


def _correct(scores: Scores, signs: Mapping[str, int]) -> None:
    """Correct the p-values for the number of metrics, and choose each metric's best baseline."""
    for system in scores.estimates:
        results = {metric: others[system] for metric, others in scores.paired_all.items() if system in others}
        corrected = holm([result.p_value for result in results.values()])
        for (metric, result), p_value in zip(results.items(), corrected, strict=True):
            scores.paired_all[metric][system] = result.model_copy(update={"p_corrected": p_value})
    for metric, others in scores.paired_all.items():
        scores.paired[metric] = min(others.values(), key=lambda result: signs[metric] * result.difference)


def _compare(scores: Scores, measure: Measure, statistics: Mapping[str, Floats], resampler: PatientResampler) -> None:
    others = {}
    for system, rows in statistics.items():
        if system == MODEL:
            continue
        comparison = resampler.compare(statistics[MODEL], rows, measure.metric.score_judged)
        if comparison is not None:
            others[system] = PairedResult.of(system, comparison)
    if others:
        scores.paired_all[measure.name] = others


def observation_results(
    expected: Sequence[Any],
    drafts: Sequence[str],
    resampler: PatientResampler,
    names: Sequence[str] = OBSERVATIONS,
    readings: Readings | None = None,
) -> dict[str, ObservationResult]:
    """Judge each observation on its own.

    Args:
        expected: Reading "observations" of the references or of the truth.
        drafts: The model's texts.
        resampler: Draws of the same reports.
        names: The observations to judge.
        readings: What reads the drafts; by default the rules.
    """
    drafted = (readings or Readings()).of(drafts, "observations")
    results = {}
    for name in names:
        parts = {m: ObservationAgreement((name,), measure=m) for m in ("f1", "precision", "recall")}
        rows = parts["f1"].statistics(expected, drafted)
        true, false, missed = (int(count) for count in rows.sum(axis=0))
        results[name] = ObservationResult(
            support=true + missed,
            drafted=true + false,
            precision=float(parts["precision"].score(rows.sum(axis=0))),
            recall=float(parts["recall"].score(rows.sum(axis=0))),
            f1=resampler.estimate(rows, parts["f1"].score_judged),
        )
    return results


def diversity(answers: Answers) -> dict[str, dict[str, float]]:
    """Return how much the texts of each system, and the references, vary."""
    return {
        name: {"unique_share": UNIQUE_SHARE(texts, texts), "distinct_2": DISTINCT_2(texts, texts)}
        for name, texts in {"reference": answers.references, **answers.systems}.items()
    }


def occurring_observations(truth: Sequence[Sequence[Finding]]) -> tuple[str, ...]:
    """Return the observations that are present in at least one study, in the published order."""
    present = {finding.observation for findings in truth for finding in findings}
    return tuple(name for name in OBSERVATIONS if name in present)


def _truth_measures(truth: Sequence[Sequence[Finding]] | None) -> list[Measure]:
    if truth is None:
        return []
    names = occurring_observations(truth)
    present = [truth_observations(findings) for findings in truth]
    return [
        Measure("truth_f1_micro", ObservationAgreement(names), present),
        Measure("truth_f1_macro", ObservationAgreement(names, average="macro"), present),
        Measure("truth_f1_micro_with_uncertain", ObservationAgreement(names, with_uncertain=True), present),
        Measure("truth_precision_micro", ObservationAgreement(names, measure="precision"), present),
        Measure("truth_recall_micro", ObservationAgreement(names, measure="recall"), present),
        Measure("truth_laterality", LATERALITY, [truth_sides(findings) for findings in truth]),
    ]
