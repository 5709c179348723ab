"""The page's section on grounding, and its line on the terminal."""

from dataclasses import dataclass
from typing import Any

from radlet.evaluation.charts import Bar, bar
from radlet.evaluation.grounding_result import Grounding, MapResult
from radlet.evaluation.scorecard import Scorecard, number_text
from radlet.metrics.resampling import Estimate

MAPS: dict[str, tuple[str, str]] = {
    "weighted_attention": ("Attention by effect", "each weight times its effect on the phrase; the map that is drawn"),
    "attention": ("Attention", "of the tokens of the phrase alone"),
    "relative_attention": ("Relative attention", "the same, divided by that of the whole draft"),
    "box_prior": ("Usual place", "the mean of the boxes of such findings in training"),
    "centre": ("Centre", "the middle of every film"),
    "shuffled_image": ("Another film", "attention by effect over another patient's film"),
    "random": ("Chance", "a map drawn at random"),
}
"""Map -> its name on the page, and what it is."""
_MAX_LIFT = 4.0
"""End of the axis on which lift is drawn."""


@dataclass(frozen=True)
class MapRow:
    """One map of the table."""

    title: str
    hint: str
    result: MapResult
    bar: Bar | None
    drawn: bool
    gain: Estimate | None


def grounding_panel(card: Scorecard) -> dict[str, Any] | None:
    """Return what the section shows; None where there was nothing to point at."""
    found = card.grounding
    if found is None:
        return None
    rows = [
        MapRow(title, hint, found.maps[name], bar(found.maps[name].pointing), name == found.drawn, _gain(found, name))
        for name, (title, hint) in MAPS.items()
        if name in found.maps
    ]
    return {"found": found, "rows": rows, "drawn": found.maps[found.drawn]}


def _gain(found: Grounding, name: str) -> Estimate | None:
    return found.pointing_gain.get(name)


def grounding_line(card: Scorecard) -> str | None:
    """Say in one line where the model looked; None where there was nothing to point at."""
    found = card.grounding
    if found is None:
        return None
    drawn = found.maps[found.drawn]
    rivals = {
        name: found.maps[name].pointing.value
        for name in ("box_prior", "centre", "shuffled_image")
        if name in found.maps
    }
    parts = [
        f"looks where the finding is: {_with_range(drawn.pointing)} of {found.num_findings}",
        f"({', '.join(f'{name} {number_text(value, 2)}' for name, value in rivals.items())})",
        f"lift {number_text(drawn.lift.value, 1)}",
    ]
    if drawn.faithfulness is not None and drawn.faithfulness.defined:
        parts.append(f"insertion − deletion {_with_range(drawn.faithfulness)}")
    return ", ".join([" ".join(parts[:2]), *parts[2:]])


def _with_range(estimate: Estimate) -> str:
    value, low, high = (number_text(one, 2) for one in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"
