"""The model's scores by group of reports, and how far each group lies from all others.

Groups come from what is known of the examples (`example_attributes`) or from columns of a file of predictions
(`radlet.evaluation.prediction_files`). A group of few patients gets no number: it would say little of the model and
something of the patients.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import OBSERVATIONS, Example, State
from radlet.evaluation.readings import truth_observations
from radlet.evaluation.scorecard import AttributeResult, GapResult, GroupResult, Subgroups, number_text
from radlet.evaluation.scoring import MODEL, Answers, measures
from radlet.metrics import METRICS
from radlet.metrics.resampling import Gap, PatientResampler, holm

HEAD_METRICS = (
    "truth_f1_micro",
    "observation_f1_micro_14",
    "truth_laterality",
    "laterality",
    "rule_judge_credit",
)
"""What groups are compared by; against the truth where it is known, else against the references."""
_FREE = frozenset(("site",))
"""Attributes of the examples whose values are free words of the data."""


@dataclass(frozen=True)
class Grouping:
    """How reports are grouped.

    Attributes:
        min_patients: Smaller groups have no number.
        age_bands: First ages, in years, of the bands of age but the youngest.
        by: Columns of a file of predictions that make groups, beside those that do unasked.
    """

    min_patients: int = 20
    age_bands: tuple[int, ...] = (18, 40, 60, 80)
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """Something known of reports that parts them into groups.

    Attributes:
        values: Per report the groups it is in; None where that is not known. The group of an attribute that is there
            or not (an observation) has one name, and the others are all reports that are not in it.
        names: The groups, in the order to show them.
        free: Whether the names are free words of the data, so that those of small groups are not told.
    """

    values: Sequence[frozenset[str] | None]
    names: Sequence[str]
    free: bool = False


def one_each(values: Sequence[str | None], names: Sequence[str] = (), free: bool = False) -> Attribute:
    """Return an attribute of which each report has one value at most.

    Args:
        values: Value of each report, None where it is not known.
        names: The values in their order; by default that of the alphabet.
        free: As of `Attribute`.
    """
    found = {value for value in values if value is not None}
    order = [name for name in names if name in found] + sorted(found - set(names))
    return Attribute([None if value is None else frozenset({value}) for value in values], order, free)


def age_band(age_years: int | None, bands: Sequence[int]) -> str | None:
    """Return the band of an age, such as ``40 to 59``."""
    if age_years is None:
        return None
    return next(
        name for name, first in reversed(list(zip(_band_names(bands), (0, *bands), strict=True))) if age_years >= first
    )


def example_attributes(examples: Sequence[Example], age_bands: Sequence[int]) -> dict[str, Attribute]:
    """Return what is known of the judged rows beside their texts; `age_bands` as of `Grouping`."""
    attributes = {
        "sex": one_each([example.sex for example in examples], ("F", "M")),
        "age": age_attribute([example.age_years for example in examples], age_bands),
        "view": one_each([_views(example) for example in examples], ("PA", "AP", "LATERAL")),
        "indication": one_each(["given" if example.indication else "none" for example in examples]),
    }
    for name in ("site", "scanner"):
        attributes[name] = one_each([getattr(example, name) for example in examples], free=name in _FREE)
    return attributes


def age_attribute(ages: Sequence[int | None], bands: Sequence[int]) -> Attribute:
    """Return the attribute of bands of age; `bands` as of `Grouping`."""
    return one_each([age_band(age, bands) for age in ages], _band_names(bands))


def describe_subgroups(
    attributes: Mapping[str, Attribute], answers: Answers, resampler: PatientResampler, min_patients: int
) -> Subgroups | None:
    """Score the model in each group of at least `min_patients` patients; None where nothing parts the reports.

    The observations that are present, by the truth or by the reference, make groups of their own. An attribute parts
    the reports where there is a group and reports that are not in it. A gap is told where the others are as many
    patients too.

    Args:
        attributes: What is known of the reports beside their texts.
        answers: Drafts of the model.
        resampler: Draws of the same reports.
        min_patients: Smaller groups have no number.
    """
    judged = _Judged(answers, resampler, min_patients)
    every = {"observation": _observations(answers), **attributes}
    results = {name: judged.describe(attribute) for name, attribute in every.items() if _parts(attribute)}
    told = {name: result for name, result in results.items() if result.groups}
    return Subgroups(min_patients=min_patients, attributes=told) if told else None


def subgroup_lines(subgroups: Subgroups | None) -> Iterator[str]:
    """Yield a line for each group: its score by the first head metric, and the gap to all others."""
    for attribute, result in subgroups.attributes.items() if subgroups else ():
        metric = next(name for name in HEAD_METRICS if any(name in group.metrics for group in result.groups.values()))
        for name, group in result.groups.items():
            one, gap = group.metrics[metric], group.gaps.get(metric)
            apart = f"  {gap.difference:+.3f} to the others, p = {gap.p_corrected:.3f}" if gap else ""
            value, low, high = (number_text(number, 4) for number in (one.value, one.low, one.high))
            yield f"{f'{metric} {attribute}: {name}':<60} {value}  [{low}, {high}]{apart}"


class _Judged:
    """The model's drafts with their statistics by every head metric, each read once for all attributes."""

    def __init__(self, answers: Answers, resampler: PatientResampler, min_patients: int) -> None:
        self._resampler, self._min_patients = resampler, min_patients
        self._patients = np.array(answers.patients)
        chosen = {one.name: one for one in measures(answers, [name for name in HEAD_METRICS if name in METRICS])}
        self._measured = [
            (one, one.metric.statistics(one.expected, answers.readings.of(answers.systems[MODEL], one.metric.reads)))
            for one in (chosen[name] for name in HEAD_METRICS if name in chosen)
        ]

    def describe(self, attribute: Attribute) -> AttributeResult:
        """Score the groups of one attribute."""
        known = np.array([values is not None for values in attribute.values])
        of_group: dict[str, set[str]] = {name: set() for name in attribute.names}
        for patient, values in zip(self._patients, attribute.values, strict=True):
            for name in values or ():
                of_group[name].add(str(patient))
        large = [name for name, patients in of_group.items() if len(patients) >= self._min_patients]
        small = tuple(name for name, patients in of_group.items() if 0 < len(patients) < self._min_patients)
        members = {name: np.array([name in (values or ()) for values in attribute.values]) for name in large}
        results = {
            name: GroupResult(num_reports=int(members[name].sum()), num_patients=len(of_group[name]), metrics={})
            for name in large
        }
        apart = [name for name in large if self._num_patients(known & ~members[name]) >= self._min_patients]
        if large:
            self._score(results, known, np.stack([members[name] for name in large], axis=1), apart)
        return AttributeResult(
            groups=results,
            too_few=() if attribute.free else small,
            num_unnamed=len(small) if attribute.free else 0,
            lowest=_lowest(results),
        )

    def _score(
        self,
        results: Mapping[str, GroupResult],
        known: NDArray[np.bool_],
        members: NDArray[np.bool_],
        apart: Sequence[str],
    ) -> None:
        """Fill in scores and gaps: of the groups of `members`, against all others that are known."""
        for measure, rows in self._measured:
            scored = self._resampler.groups(rows * known[:, None], members, measure.metric.score_judged)
            for result, (estimate, _) in zip(results.values(), scored, strict=True):
                result.metrics[measure.name] = estimate
            gaps = {name: gap for name, (_, gap) in zip(results, scored, strict=True) if gap and name in apart}
            for name, gap in _corrected(gaps).items():
                results[name].gaps[measure.name] = gap

    def _num_patients(self, inside: NDArray[np.bool_]) -> int:
        return len(np.unique(self._patients[inside]))


def _lowest(results: Mapping[str, GroupResult]) -> dict[str, str]:
    """Return, by metric, the group with the worst score; the head metrics are better the higher."""
    values: dict[str, dict[str, float]] = {}
    for name, result in results.items():
        for metric, estimate in result.metrics.items():
            if estimate.value is not None:
                values.setdefault(metric, {})[name] = estimate.value
    return {metric: min(groups, key=lambda name: groups[name]) for metric, groups in values.items() if len(groups) > 1}


def _corrected(gaps: Mapping[str, Gap]) -> dict[str, GapResult]:
    p_values = [gap.p_value for gap in gaps.values()]
    # Two groups that part the reports between them are one comparison, told from both sides.
    if len(gaps) != 2 or not np.isclose(sum(gap.difference for gap in gaps.values()), 0):
        p_values = holm(p_values)
    return {
        name: GapResult(
            difference=gap.difference,
            low=gap.low,
            high=gap.high,
            p_value=gap.p_value,
            p_corrected=p_value,
            detectable=gap.detectable,
        )
        for (name, gap), p_value in zip(gaps.items(), p_values, strict=True)
    }


def _parts(attribute: Attribute) -> bool:
    known = [values for values in attribute.values if values is not None]
    return any(not values or values != known[0] for values in known) if known else False


def _band_names(bands: Sequence[int]) -> list[str]:
    between = [f"{first} to {after - 1}" for first, after in pairwise(bands)]
    return [f"under {bands[0]}", *between, f"{bands[-1]} and over"]


def _views(example: Example) -> str | None:
    views = [view for view in example.views if view is not None]
    return " and ".join(dict.fromkeys(views)) or None


def _observations(answers: Answers) -> Attribute:
    truth = None if answers.truth is None else [truth_observations(findings) for findings in answers.truth]
    states = truth or answers.readings.of(answers.references, "observations")
    present = [frozenset(name for name, state in one.items() if state is State.POSITIVE) for one in states]
    return Attribute(present, OBSERVATIONS)
