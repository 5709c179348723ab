"""Hold several systems against each other on the same reports: the numbers of ``comparison.json``.

Every system is scored on the same resamples of patients, so that differences stay paired. A system trained with several
seeds counts as one: its statistics are the mean over the seeds, report by report.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import rankdata

from radlet.core.console import Progress
from radlet.core.errors import UnknownNameError
from radlet.core.records import OBSERVATIONS, State
from radlet.core.registry import nearest
from radlet.evaluation import TASKS
from radlet.evaluation.compared_systems import Lineup, System, check_alike, reads_observations
from radlet.evaluation.comparison_card import (
    ComparedSystem,
    Comparison,
    Disagreement,
    MetricComparison,
    ObservationComparison,
    Standing,
)
from radlet.evaluation.readings import Readings, truth_observations
from radlet.evaluation.scorecard import PairedResult
from radlet.evaluation.scorers.base import ModelMetric
from radlet.evaluation.scorers.loading import weights_lineage
from radlet.evaluation.scoring import Answers, Measure, measures, occurring_observations
from radlet.metrics import METRICS
from radlet.metrics.base import Direction, Floats, Reading
from radlet.metrics.observations import ObservationAgreement
from radlet.metrics.resampling import Estimate, Interval, PatientResampler, holm

HEADLINES = ("truth_f1_micro", "observation_f1_micro_14")
"""The metric that heads a comparison, where it was not chosen: the first of these that is there."""
_MAX_DISAGREEMENTS = 10


@dataclass(frozen=True)
class ComparisonSettings:
    """How systems are compared.

    Attributes:
        metrics: Names of metrics, the first heads the page; none: those of the task, or all.
        num_resamples: Resamples of the patients, and swaps of the paired test.
        interval: Kind of the intervals.
        seed: Of both.
    """

    metrics: tuple[str, ...] = ()
    num_resamples: int = 1000
    interval: Interval = "percentile"
    seed: int = 0


def compare_systems(
    systems: Sequence[System],
    lineup: Lineup | None,
    settings: ComparisonSettings,
    progress: Progress,
    readings: Readings | None = None,
) -> Comparison:
    """Score and compare the systems.

    Args:
        systems: All of them, the reference system first.
        lineup: Those that have drafts, aligned; None where there is none.
        settings: How.
        progress: Shown while scoring.
        readings: What reads the texts; by default the rules. Metrics that run a model need the readings' scorers.

    Raises:
        UnknownNameError: A metric is not known.
        ConfigError: One runs a model that is not there.
    """
    if lineup is None:
        return _side_by_side(systems, settings)
    readings = readings or Readings()
    work = _Work(lineup, settings, readings)
    chosen = _chosen(work.answers, systems, settings.metrics)
    metrics = {measure.name: work.compare(measure) for measure in progress.track(chosen, "metrics", len(chosen))}
    metrics = _with_scorecards(_corrected(metrics), systems)
    headline = _headline(metrics, settings)
    reference, readable = lineup.systems[0], reads_observations(systems)
    cards = [system.scorecard for system in systems if system.scorecard]
    return Comparison(
        reference=reference.name,
        headline=headline,
        task=cards[0].task if cards else None,
        split=cards[0].split if cards else None,
        section=cards[0].section if cards else None,
        num_reports=len(lineup.ids),
        num_patients=work.resampler.num_patients,
        num_resamples=settings.num_resamples,
        interval=settings.interval,
        against_truth=lineup.truth is not None,
        labeller=readings.labeller.kind,
        labeller_sha256=readings.labeller_sha256,
        weights=weights_lineage(readings.scorers).get("weights", {}),
        notes=(*lineup.notes, *_other_labellers(systems, readings), *work.unscored(chosen)),
        systems=tuple(_described(system) for system in systems),
        metrics=metrics,
        pairwise=work.pairwise(next(measure for measure in chosen if measure.name == headline)),
        observations=work.observations() if readable else {},
        disagreements=work.disagreements() if readable else (),
    )


class _Work:
    """The statistics of one lineup."""

    def __init__(self, lineup: Lineup, settings: ComparisonSettings, readings: Readings) -> None:
        self._lineup = lineup
        self.answers = Answers(lineup.references, lineup.patients, {}, lineup.truth, readings)
        self.resampler = PatientResampler(lineup.patients, settings.num_resamples, settings.seed, settings.interval)
        self._placed = [system.name for system in lineup.systems if system.baseline_of is None]
        self._reference = self._placed[0]

    def compare(self, measure: Measure) -> MetricComparison:
        """Score every system by one metric, place those that are no baselines, and compare with the reference."""
        metric, direction = measure.metric, measure.metric.direction
        rows = {name: self._statistics(measure, name) for name in self._lineup.texts}
        standings = {name: _standing(self.resampler.estimate(one, metric.score_judged)) for name, one in rows.items()}
        if direction is not None and len(self._placed) > 1:
            resampled = {name: self.resampler.scores(rows[name], metric.score_judged) for name in self._placed}
            standings |= place(standings, resampled, direction)
        standings = {name: self._with_seeds(measure, name, standing) for name, standing in standings.items()}
        differences = {}
        for name in rows if direction else ():
            comparison = self.resampler.compare(rows[name], rows[self._reference], metric.score_judged)
            if name != self._reference and comparison is not None:
                differences[name] = PairedResult.of(self._reference, comparison)
        return MetricComparison(direction=direction, standings=standings, differences=differences)

    def pairwise(self, measure: Measure) -> dict[str, dict[str, PairedResult]]:
        """Compare every two systems by one metric, first minus second; p-values corrected for the number of pairs."""
        rows = {name: self._statistics(measure, name) for name in self._placed}
        pairs = [(a, b) for i, a in enumerate(self._placed) for b in self._placed[i + 1 :]]
        results = {}
        for a, b in pairs:
            comparison = self.resampler.compare(rows[a], rows[b], measure.metric.score_judged)
            if comparison is not None:
                results[a, b] = PairedResult.of(b, comparison)
        table: dict[str, dict[str, PairedResult]] = {}
        for (a, b), p_value in zip(results, holm([result.p_value for result in results.values()]), strict=True):
            table.setdefault(a, {})[b] = results[a, b].model_copy(update={"p_corrected": p_value})
        return table

    def unscored(self, chosen: Sequence[Measure]) -> Iterator[str]:
        """Yield how many drafts of a system a metric that runs a model gave no score, and why."""
        for name, metric in ((each.name, each.metric) for each in chosen):
            if not isinstance(metric, ModelMetric):
                continue
            for system, lists in self._lineup.texts.items():
                reasons = [metric.unscored(self._lineup.references, texts) for texts in lists]
                for reason, count in sum(reasons, Counter[str]()).items():
                    yield f"{name} of {system}: {count} drafts without a score: {reason}"

    def observations(self) -> dict[str, ObservationComparison]:
        """Judge each observation that is present in a report on its own."""
        results = {}
        for name in self._observation_names:
            measure = Measure(name, ObservationAgreement((name,)), self._expected)
            rows = {system: self._statistics(measure, system) for system in self._lineup.texts}
            support = sum(one.get(name) is State.POSITIVE for one in self._expected)
            f1 = {system: self.resampler.estimate(one, measure.metric.score_judged) for system, one in rows.items()}
            if support:
                results[name] = ObservationComparison(support=support, f1=f1)
        return results

    def disagreements(self) -> tuple[Disagreement, ...]:
        """Return the reports on which the numbers of wrong observations lie furthest apart, those of the first seed."""
        wrong = {
            name: [
                len(_positive(expected, self._observation_names) ^ _positive(drafted, self._observation_names))
                for expected, drafted in zip(self._expected, self._read(name, "observations")[0], strict=True)
            ]
            for name in self._placed
        }
        spread = np.ptp(np.array(list(wrong.values())), axis=0)
        order = [int(row) for row in np.argsort(-spread, kind="stable")[:_MAX_DISAGREEMENTS] if spread[row] > 0]
        return tuple(
            Disagreement(row=self._lineup.rows[row], wrong={name: counts[row] for name, counts in wrong.items()})
            for row in order
        )

    @cached_property
    def _expected(self) -> list[Mapping[str, State]]:
        if self._lineup.truth is None:
            return self.answers.readings.of(self._lineup.references, "observations")
        return [truth_observations(findings) for findings in self._lineup.truth]

    @property
    def _observation_names(self) -> tuple[str, ...]:
        return OBSERVATIONS if self._lineup.truth is None else occurring_observations(self._lineup.truth)

    def _read(self, system: str, reading: Reading) -> list[list[Any]]:
        return [self.answers.readings.of(texts, reading) for texts in self._lineup.texts[system]]

    def _statistics(self, measure: Measure, system: str) -> Floats:
        drafted = self._read(system, measure.metric.reads)
        rows = np.stack([measure.metric.statistics(measure.expected, one) for one in drafted])
        return np.asarray(rows.mean(axis=0))

    def _with_seeds(self, measure: Measure, system: str, standing: Standing) -> Standing:
        drafted = self._read(system, measure.metric.reads)
        if len(drafted) == 1:
            return standing
        totals = [measure.metric.statistics(measure.expected, one).sum(axis=0) for one in drafted]
        scores = [float(measure.metric.score_judged(total)) for total in totals]
        return standing.model_copy(update={"by_seed": tuple(None if np.isnan(one) else one for one in scores)})


def place(
    standings: Mapping[str, Standing], resampled: Mapping[str, Floats], direction: Direction
) -> dict[str, Standing]:
    """Return the standings of the resampled systems with their place, its interval, and how often each is the best.

    Args:
        standings: System -> its score.
        resampled: System -> its score in each resample, NaN where undefined: then it is placed last.
        direction: Which end is better.
    """
    sign = -1.0 if direction == "higher" else 1.0
    names = [name for name in resampled if standings[name].value is not None]
    if not names:
        return {}
    costs = np.nan_to_num(sign * np.stack([resampled[name] for name in names]), nan=np.inf)
    ranks = rankdata(costs, method="average", axis=0)
    first = costs == costs.min(axis=0)
    best = (first / first.sum(axis=0)).mean(axis=1)
    low, high = np.quantile(ranks, (0.025, 0.975), axis=1)
    own = rankdata([sign * (standings[name].value or 0.0) for name in names], method="average")
    return {
        name: standings[name].model_copy(
            update={
                "best": float(best[i]),
                "rank": float(own[i]),
                "rank_low": float(low[i]),
                "rank_high": float(high[i]),
            }
        )
        for i, name in enumerate(names)
    }


def _chosen(answers: Answers, systems: Sequence[System], names: Sequence[str]) -> list[Measure]:
    """Return the metrics asked for, or those of the systems' task, or all; the ones against the truth where known."""
    cards = [system.scorecard for system in systems if system.scorecard]
    task = TASKS[cards[0].task] if cards and cards[0].task in TASKS else None
    if not names:
        usual = measures(answers, _usual(task.metrics, answers.readings) if task else None)
        return sorted(usual, key=lambda measure: not measure.name.startswith("truth_"))
    known = {measure.name: measure for measure in measures(answers, [n for n in names if n in METRICS] or None)}
    for name in names:
        if name not in known:
            hint = " It needs synthetic studies." if name.startswith("truth_") else ""
            raise UnknownNameError(
                f"No metric here is called '{name}'.{hint}{nearest(name, sorted({*METRICS, *known}))}"
            )
    return [known[name] for name in names]


def _usual(names: Sequence[str] | None, readings: Readings) -> list[str] | None:
    """Return the metrics of a task, and those of the readings' scorers; None for all."""
    return None if names is None else [*names, *(readings.scorers.names if readings.scorers else ())]


def _other_labellers(systems: Sequence[System], readings: Readings) -> Iterator[str]:
    """Yield which scorecards alone had their observations read by another labeller than the drafts here."""
    for system in systems:
        card = system.scorecard
        if card and not system.drafts and card.labeller_sha256 != readings.labeller_sha256:
            yield (
                f"observations of {system.name} were read by another labeller ({card.labeller}): its observation "
                "metrics do not compare with the others'"
            )


def _headline(metrics: Mapping[str, MetricComparison], settings: ComparisonSettings) -> str:
    wanted = [*settings.metrics[:1], *HEADLINES, *(name for name, one in metrics.items() if one.direction), *metrics]
    present = [name for name in wanted if name in metrics]
    return next(
        (name for name in present if any(s.value is not None for s in metrics[name].standings.values())), present[0]
    )


def _corrected(metrics: Mapping[str, MetricComparison]) -> dict[str, MetricComparison]:
    """Correct the p-values of each system for the number of metrics."""
    tables = {metric: dict(one.differences) for metric, one in metrics.items()}
    for system in {name for table in tables.values() for name in table}:
        held = [metric for metric, table in tables.items() if system in table]
        for metric, p_value in zip(held, holm([tables[m][system].p_value for m in held]), strict=True):
            tables[metric][system] = tables[metric][system].model_copy(update={"p_corrected": p_value})
    return {metric: one.model_copy(update={"differences": tables[metric]}) for metric, one in metrics.items()}


def _side_by_side(systems: Sequence[System], settings: ComparisonSettings) -> Comparison:
    """Put scorecards beside each other, untested, as there are no drafts to pair."""
    cards = {system.name: system.scorecard for system in systems if system.scorecard}
    names = settings.metrics or tuple(dict.fromkeys(name for card in cards.values() for name in card.metrics))
    empty = {name: MetricComparison(direction=_known_direction(name), standings={}) for name in names}
    metrics = {name: one for name, one in _with_scorecards(empty, systems).items() if one.standings}
    if not metrics:
        raise UnknownNameError(f"No scorecard holds {', '.join(names)}. Leave --metrics out to see what they hold.")
    card = next(iter(cards.values()))
    readers = {name: one.labeller for name, one in cards.items()}
    notes = list(check_alike(systems))
    if len({(one.labeller, one.labeller_sha256) for one in cards.values()}) > 1:
        said = ", ".join(f"{name} by {reader}" for name, reader in readers.items())
        notes.append(f"observations were read by different labellers ({said}): their metrics do not compare")
    return Comparison(
        reference=systems[0].name,
        headline=_headline(metrics, settings),
        task=card.task,
        split=card.split,
        section=card.section,
        num_reports=0,
        num_patients=0,
        num_resamples=card.num_resamples,
        interval=card.interval,
        labeller=card.labeller,
        labeller_sha256=card.labeller_sha256,
        notes=tuple(notes),
        systems=tuple(_described(system) for system in systems),
        metrics=metrics,
    )


def _with_scorecards(metrics: Mapping[str, MetricComparison], systems: Sequence[System]) -> dict[str, MetricComparison]:
    """Add the numbers of the systems that are a scorecard alone."""
    alone = {system.name: system.scorecard for system in systems if system.scorecard and not system.drafts}
    merged = {}
    for metric, one in metrics.items():
        found = {name: _standing(card.metrics[metric]) for name, card in alone.items() if metric in card.metrics}
        merged[metric] = one.model_copy(update={"standings": one.standings | found})
    return merged


def _known_direction(name: str) -> Direction | None:
    if name in METRICS:
        direction: Direction | None = METRICS[name].direction
        return direction
    return "higher" if name.startswith("truth_") or "recall_at" in name else None


def _described(system: System) -> ComparedSystem:
    card = system.scorecard
    return ComparedSystem(
        name=system.name,
        baseline_of=system.baseline_of,
        paired=bool(system.drafts),
        num_seeds=max(1, len(system.drafts)),
        num_reports=len(system.drafts[0]) if system.drafts else card.num_reports if card else 0,
        lineage=card.lineage if card else {},
    )


def _standing(estimate: Estimate) -> Standing:
    return Standing(value=estimate.value, low=estimate.low, high=estimate.high)


def _positive(states: Mapping[str, State], names: Sequence[str]) -> set[str]:
    return {name for name in names if states.get(name) is State.POSITIVE}
