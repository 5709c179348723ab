"""Geometry of the page's small drawings: interval bars and loss curves as plain numbers for inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radlet.evaluation.lineage import Series, UpstreamRun
from radlet.evaluation.scorecard import LabelAuroc
from radlet.metrics.resampling import Estimate

WIDTH, HEIGHT = 320, 120
_MAX_POINTS = 160


@dataclass(frozen=True)
class Bar:
    """An interval on an axis from 0 to 100: `low` to `high` with a mark at `value`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One curve: points of an SVG polyline, and its last value."""

    name: str
    points: str
    last: float


@dataclass(frozen=True)
class Chart:
    """Loss curves of one run on shared axes."""

    title: str
    run: str
    lines: tuple[Line, ...]
    last_step: int
    low: float
    high: float


def area_bar(area: LabelAuroc) -> Bar:
    """Place an area under the ROC curve on an axis from 0.5, which is chance, to 1."""
    value, low, high = (100 * min(max(2 * number - 1, 0.0), 1.0) for number in (area.value, area.low, area.high))
    return Bar(value, low, high)


def bar(estimate: Estimate, scale: float = 1.0) -> Bar | None:
    """Place an interval on an axis that ends at `scale`; None where the score is undefined."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    value, low, high = (
        100 * min(max(number / scale, 0.0), 1.0) if scale else 0.0
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return Bar(value, low, high)


def row_scale(estimates: Sequence[Estimate]) -> float:
    """Return the end of an axis shared by the systems of a table row: 1, or less where all are small."""
    largest = max((estimate.high for estimate in estimates if estimate.high is not None), default=1.0)
    for end in (0.1, 0.25, 0.5, 1.0):
        if largest <= end:
            return end
    return largest * 1.05


def loss_chart(run: UpstreamRun) -> Chart | None:
    """Draw training and validation loss of a run; None when it logged none."""
    curves = run.curves
    chosen = {name: curves[name] for name in ("loss", "val_loss") if len(curves.get(name, ())) > 1}
    if not chosen:
        return None
    thinned = {name: _thin(series) for name, series in chosen.items()}
    steps = [step for series in thinned.values() for step, _ in series]
    values = [value for series in thinned.values() for _, value in series]
    low, high, last = min(values), max(values), max(steps)
    lines = tuple(Line(name, _points(series, last, low, high), chosen[name][-1][1]) for name, series in thinned.items())
    return Chart(run.stage, run.name, lines, int(last), low, high)


def _thin(series: Series) -> Series:
    """Average neighbouring steps until few enough points are left to draw."""
    parts = np.array_split(np.array(series), min(len(series), _MAX_POINTS))
    return [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]


def _points(series: Series, last: float, low: float, high: float) -> str:
    span = (high - low) or 1.0
    return " ".join(
        f"{WIDTH * step / (last or 1.0):.1f},{HEIGHT * (1 - (value - low) / span):.1f}" for step, value in series
    )
