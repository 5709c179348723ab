"""Render a comparison as one self-contained HTML file, with the texts of the reports the systems differ on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from jinja2 import Environment

from radlet.evaluation.charts import Bar, bar, row_scale
from radlet.evaluation.compared_systems import Lineup
from radlet.evaluation.comparison_card import ComparedSystem, Comparison, MetricComparison, Standing
from radlet.evaluation.marks import Segment, mark_draft, mark_reference
from radlet.evaluation.pages import page_environment
from radlet.evaluation.scorecard import PairedResult, number_text
from radlet.metrics.resampling import Estimate


@dataclass(frozen=True)
class ForestRow:
    """One system of the headline plot."""

    system: ComparedSystem
    standing: Standing | None
    bar: Bar | None
    difference: PairedResult | None
    difference_bar: Bar | None
    verdict: str


@dataclass(frozen=True)
class MetricRow:
    """One metric of the table: a cell for each system."""

    name: str
    direction: Literal["higher", "lower"] | None
    cells: tuple["MetricCell | None", ...]


@dataclass(frozen=True)
class MetricCell:
    """One system on one metric."""

    standing: Standing
    bar: Bar | None
    best: bool
    difference: PairedResult | None
    difference_bar: Bar | None
    verdict: str


@dataclass(frozen=True)
class Case:
    """A report that the systems answered differently: what was expected, and what each wrote."""

    row: int
    reference: list[Segment]
    drafts: tuple[tuple[str, int, list[Segment]], ...]


def render_comparison(comparison: Comparison, lineup: Lineup | None) -> str:
    """Return the page of a comparison; without a lineup it shows no texts."""
    return comparison_environment().get_template("comparison.html.j2").render(**comparison_parts(comparison, lineup))


def comparison_environment() -> Environment:
    """Return the templates' environment with what pages of comparisons write numbers by."""
    environment = page_environment()
    environment.filters |= {
        "score": score_text,
        "signed": signed_text,
        "p_value": p_value_text,
        "percentage": percentage,
    }
    return environment


def comparison_parts(comparison: Comparison, lineup: Lineup | None) -> dict[str, Any]:
    """Return everything that the sections of a comparison show."""
    return {
        "comparison": comparison,
        "date": datetime.now(UTC).date().isoformat(),
        "head": comparison.metrics[comparison.headline],
        "forest": _forest(comparison),
        "metric_rows": [_metric_row(comparison, name, one) for name, one in comparison.metrics.items()],
        "cases": _cases(comparison, lineup) if lineup else [],
    }


def _forest(comparison: Comparison) -> list[ForestRow]:
    head = comparison.metrics[comparison.headline]
    scale = row_scale([standing.estimate for standing in head.standings.values()])
    end = reach(_shown(comparison, head))
    rows = []
    for system in comparison.systems:
        standing, difference = head.standings.get(system.name), head.differences.get(system.name)
        place = bar(standing.estimate, scale) if standing else None
        beside = around_zero(difference, end)
        rows.append(ForestRow(system, standing, place, difference, beside, head.verdict(difference)))
    return rows


def _metric_row(comparison: Comparison, name: str, one: MetricComparison) -> MetricRow:
    scale = row_scale([standing.estimate for standing in one.standings.values()])
    end = reach(_shown(comparison, one))
    cells: list[MetricCell | None] = []
    for system in comparison.systems:
        standing, difference = one.standings.get(system.name), one.differences.get(system.name)
        if standing is None:
            cells.append(None)
            continue
        beside = around_zero(difference, end)
        place = bar(standing.estimate, scale)
        cells.append(MetricCell(standing, place, system.name == one.best, difference, beside, one.verdict(difference)))
    return MetricRow(name, one.direction, tuple(cells))


def _cases(comparison: Comparison, lineup: Lineup) -> list[Case]:
    position = {row: i for i, row in enumerate(lineup.rows)}
    cases = []
    for one in comparison.disagreements:
        i = position[one.row]
        reference = lineup.references[i]
        texts = {name: lineup.texts[name][0][i] for name in one.wrong}
        drafts = tuple((name, one.wrong[name], mark_draft(text, reference)) for name, text in texts.items())
        cases.append(Case(one.row, mark_reference(reference, texts[comparison.reference]), drafts))
    return cases


def _shown(comparison: Comparison, metric: MetricComparison) -> list[PairedResult]:
    """Return the differences that an axis has to hold: those of the systems, as baselines would flatten them all."""
    named = [metric.differences.get(system.name) for system in comparison.contenders]
    return [one for one in named if one] or list(metric.differences.values())


def reach(differences: Sequence[PairedResult]) -> float:
    """Return how far an axis around 0 has to go to hold some differences."""
    return max((max(abs(one.low), abs(one.high)) for one in differences), default=0.0) or 1.0


def around_zero(difference: PairedResult | None, end: float) -> Bar | None:
    """Place a difference on an axis from 0 to 100 whose middle is no difference."""
    if difference is None:
        return None
    ends = (difference.difference, difference.low, difference.high)
    return bar(Estimate(*((number / end + 1) / 2 for number in ends)))


def score_text(value: float | None, digits: int = 3) -> str:
    """Write a score; large ones (word counts) with one digit."""
    return number_text(value, 1 if value is not None and abs(value) >= 10 else digits)


def signed_text(value: float, digits: int = 3) -> str:
    """Write a difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_value_text(value: float) -> str:
    """Write a p-value; what few swaps cannot tell from less is written as less."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def percentage(value: float) -> str:
    """Write a share in percent."""
    return f"{100 * value:.0f}"
