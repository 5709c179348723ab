"""The page's section on probabilities of findings, and its line on the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from radlet.evaluation.calibration_result import (
    AreaResult,
    Calibration,
    DraftedFindings,
    ForecastResult,
    ReliabilityBin,
)
from radlet.evaluation.charts import Bar, bar
from radlet.evaluation.scorecard import Scorecard, number_text
from radlet.metrics.resampling import Estimate

SIDE = 200
"""Side of a diagram, in units of its drawing."""
SOURCES: dict[str, tuple[str, str]] = {
    "model": ("The model", "read off the likelihoods of sentences, scaled"),
    "encoder": ("Label head", "of the pre-trained encoder, scaled"),
    "draft": ("The draft", "certain of what it names, and of nothing else"),
    "prevalence": ("Frequency", "how often each observation occurs, the same for every film"),
}
"""Source -> its name on the page, and what it is."""
_MAX_POINTS = 200


@dataclass(frozen=True)
class Mark:
    """One bin of the reliability diagram: forecast across, share present upwards, with its interval."""

    x: float
    y: float
    low: float
    high: float
    told: str


@dataclass(frozen=True)
class Curve:
    """Share of drafted findings that are not there over the share of them that is kept."""

    name: str
    title: str
    points: str


@dataclass(frozen=True)
class SourceRow:
    """One source of probabilities."""

    name: str
    title: str
    hint: str
    result: ForecastResult
    gain: Estimate | None


def calibration_panel(card: Scorecard) -> dict[str, Any] | None:
    """Return what the section shows; None where no probability was read."""
    found = card.calibration
    if found is None:
        return None
    return {
        "found": found,
        "side": SIDE,
        "rows": [
            SourceRow(name, title, hint, found.forecasts[name], found.brier_gain.get(name))
            for name, (title, hint) in SOURCES.items()
            if name in found.forecasts
        ],
        "marks": {kind: [_mark(one) for one in bins] for kind, bins in found.reliability.items()},
        "drafted": found.drafted,
        "curves": _curves(found.drafted) if found.drafted else [],
        "top": _top(found.drafted) if found.drafted else 1.0,
        "areas": [(name, area, _area_bar(area)) for name, area in _by_support(found)],
    }


def calibration_line(card: Scorecard) -> str | None:
    """Say in one line how good the probabilities are; None where none was read."""
    found = card.calibration
    if found is None:
        return None
    model = found.forecasts["model"]
    rivals = [
        f"{name} {number_text(found.forecasts[name].brier.value)}" for name in SOURCES if name in found.brier_gain
    ]
    parts = [
        f"probabilities of findings: AUROC {_with_range(model.auroc, 2)}",
        f"Brier {_with_range(model.brier, 3)} ({', '.join(rivals)})",
        f"calibration error {number_text(model.ece.value)}",
    ]
    return ", ".join(parts)


def _with_range(estimate: Estimate, digits: int) -> str:
    value, low, high = (number_text(one, digits) for one in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _by_support(found: Calibration) -> list[tuple[str, AreaResult]]:
    return sorted(found.auroc.items(), key=lambda item: -item[1].positives)


def _area_bar(result: AreaResult) -> Bar | None:
    """Place an area on an axis from 0.5, which is chance, to 1."""
    area = result.area
    if area.value is None or area.low is None or area.high is None:
        return None
    return bar(Estimate(*(max(2 * number - 1, 0.0) for number in (area.value, area.low, area.high))))


def _mark(one: ReliabilityBin) -> Mark:
    value, low, high = (SIDE * (1 - (share or 0.0)) for share in (one.present.value, one.present.low, one.present.high))
    told = f"{number_text(one.forecast, 2)} forecast, {number_text(one.present.value, 2)} present, of {one.n}"
    return Mark(SIDE * one.forecast, value, low, high, told)


def _top(drafted: DraftedFindings) -> float:
    """Return the end of the axis of errors, in tenths."""
    highest = max((error for curve in drafted.curves.values() for _, error in curve), default=1.0)
    return min(1.0, -(-int(1000 * highest) // 100) / 10 or 0.1)


def _curves(drafted: DraftedFindings) -> list[Curve]:
    top = _top(drafted)
    return [
        Curve(name, SOURCES[name][0], " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y / top):.1f}" for x, y in _thin(curve)))
        for name, curve in drafted.curves.items()
    ]


def _thin(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave so many points at most; the last always stays."""
    step = -(-len(curve) // _MAX_POINTS)
    return [*curve[:-1:step], curve[-1]]
