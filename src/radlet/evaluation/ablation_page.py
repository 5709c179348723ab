"""Render an ablation as one self-contained HTML file: effects, cells and times, then the comparison of all variants."""

from dataclasses import dataclass

from radlet.evaluation.ablation import Ablation
from radlet.evaluation.charts import Bar
from radlet.evaluation.compared_systems import Lineup
from radlet.evaluation.comparison_card import Comparison
from radlet.evaluation.comparison_page import around_zero, comparison_environment, comparison_parts, reach
from radlet.evaluation.scorecard import PairedResult


@dataclass(frozen=True)
class EffectRow:
    """One setting of an axis: what it does to the headline; nothing for the recipe's own, or for one that failed."""

    setting: str
    own: bool
    effect: PairedResult | None
    bar: Bar | None
    verdict: str


def render_ablation(ablation: Ablation, comparison: Comparison, lineup: Lineup | None) -> str:
    """Return the page of an ablation and the comparison of its variants."""
    head = comparison.metrics[comparison.headline]
    end = reach([one for settings in ablation.effects.values() for one in settings.values()])
    effects = {}
    for axis, settings in ablation.axes.items():
        found = {name: ablation.effects.get(axis, {}).get(name) for name in settings}
        effects[axis] = [
            EffectRow(name, name == ablation.default[axis], one, around_zero(one, end), head.verdict(one))
            for name, one in found.items()
        ]
    template = comparison_environment().get_template("ablation.html.j2")
    return template.render(ablation=ablation, effects=effects, **comparison_parts(comparison, lineup))
