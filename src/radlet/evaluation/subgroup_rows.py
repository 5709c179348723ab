"""What the page shows of subgroups: a block for each attribute, a row for each group."""

from collections.abc import Mapping
from dataclasses import dataclass

from radlet.evaluation.charts import Bar, bar, row_scale
from radlet.evaluation.scorecard import AttributeResult, GapResult, GroupResult, Scorecard
from radlet.evaluation.subgroups import HEAD_METRICS
from radlet.metrics.resampling import Estimate

METRIC_TITLES = {
    "truth_f1_micro": "F1, exact truth",
    "observation_f1_micro_14": "F1, references",
    "truth_laterality": "Right side, truth",
    "laterality": "Right side",
    "rule_judge_credit": "Credit of the rule judge",
}
_ATTRIBUTE_TITLES = {"observation": "Observation present"}
_GROUP_TITLES = {("sex", "F"): "Female", ("sex", "M"): "Male"}
_CLEAR = 0.05


@dataclass(frozen=True)
class GroupRow:
    """One group: its score by the leading metric with a bar, its gap there, and its other scores."""

    title: str
    num_patients: int
    num_reports: int
    estimate: Estimate
    bar: Bar | None
    gap: GapResult | None
    others: tuple[tuple[Estimate, GapResult | None], ...]


@dataclass(frozen=True)
class AttributeBlock:
    """The groups of one attribute, and those of too few patients."""

    title: str
    rows: tuple[GroupRow, ...]
    too_few: tuple[str, ...]
    num_unnamed: int


@dataclass(frozen=True)
class SubgroupTable:
    """The whole section; `metrics` are names, the leading one first."""

    metrics: tuple[str, ...]
    blocks: tuple[AttributeBlock, ...]
    overall: Bar | None
    scale: float
    min_patients: int

    @property
    def titles(self) -> tuple[str, ...]:
        """Headings of the metrics."""
        return tuple(METRIC_TITLES[name] for name in self.metrics)


def subgroup_table(card: Scorecard, leading: str) -> SubgroupTable | None:
    """Return the section, None where no subgroup was scored; `leading` heads it where the groups were judged by it."""
    if card.subgroups is None:
        return None
    attributes = card.subgroups.attributes
    judged = {name for result in attributes.values() for group in result.groups.values() for name in group.metrics}
    metrics = sorted((name for name in HEAD_METRICS if name in judged), key=lambda name: name != leading)
    # Every judge of sides or findings would make the table too wide to read.
    shown = [name for name in metrics if not (name == "laterality" and "truth_laterality" in metrics)]
    scale = row_scale([g.metrics[shown[0]] for r in attributes.values() for g in r.groups.values()])
    overall = card.metrics.get(shown[0])
    return SubgroupTable(
        metrics=tuple(shown),
        blocks=tuple(_block(name, result, shown, scale) for name, result in _ordered(attributes).items()),
        overall=bar(overall, scale) if overall else None,
        scale=scale,
        min_patients=card.subgroups.min_patients,
    )


def is_clear(gap: GapResult | None) -> bool:
    """Tell whether a gap is other than 0 at the 5 % level, corrected for the number of groups."""
    return gap is not None and gap.p_corrected < _CLEAR


def _ordered(attributes: Mapping[str, AttributeResult]) -> dict[str, AttributeResult]:
    """Return the attributes with the observations, which make the longest block, last."""
    return dict(sorted(attributes.items(), key=lambda item: item[0] == "observation"))


def _block(attribute: str, result: AttributeResult, metrics: list[str], scale: float) -> AttributeBlock:
    return AttributeBlock(
        title=_ATTRIBUTE_TITLES.get(attribute, attribute.replace("_", " ").capitalize()),
        rows=tuple(
            _row(_GROUP_TITLES.get((attribute, name), name), group, metrics, scale)
            for name, group in result.groups.items()
        ),
        too_few=tuple(_GROUP_TITLES.get((attribute, name), name) for name in result.too_few),
        num_unnamed=result.num_unnamed,
    )


def _row(title: str, group: GroupResult, metrics: list[str], scale: float) -> GroupRow:
    leading, *others = metrics
    return GroupRow(
        title=title,
        num_patients=group.num_patients,
        num_reports=group.num_reports,
        estimate=group.metrics[leading],
        bar=bar(group.metrics[leading], scale),
        gap=group.gaps.get(leading),
        others=tuple((group.metrics[name], group.gaps.get(name)) for name in others),
    )
