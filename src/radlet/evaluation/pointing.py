"""How well a map over a film points at boxes: the pointing game, the share of its weight inside, and overlap.

Boxes become regions: a raster over the encoder's square, 1 inside the union of the boxes of a finding. A patch of the
map is inside as far as its area is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Box
from radlet.metrics.base import Floats

TOLERANCE = 15 / 224
"""How far from a box, in sides of the film, the maximum of a map still counts as a hit: the pointing game's 15 pixels
(Zhang et al. 2018) of the 224 that its networks saw."""
_CELLS = 16
"""Raster cells along the side of a patch."""
Part = tuple[float, float, float, float]


class Pointing(NamedTuple):
    """What one map makes of one finding; additive over findings."""

    hit: float
    """Whether its maximum is on the finding."""
    share: float
    """Share of its weight inside the boxes."""
    area: float
    """Share of the film inside the boxes: the share that an even map has."""
    iou: float
    """Intersection over union of the boxes and the map's strongest patches, as many as the boxes are large."""
    findings: float = 1.0


def on_square(box: Box, part: Part) -> Box | None:
    """Return a box of a film in coordinates of the square that shows a part of it; None for one that is not shown."""
    x_min, x_max = (float(np.clip((x - part[0]) / (part[2] - part[0]), 0, 1)) for x in (box.x_min, box.x_max))
    y_min, y_max = (float(np.clip((y - part[1]) / (part[3] - part[1]), 0, 1)) for y in (box.y_min, box.y_max))
    return Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max) if x_min < x_max and y_min < y_max else None


def covered(boxes: Sequence[Box], side: int) -> Floats:
    """Return how far each of (side, side) patches is inside the union of boxes, 0..1."""
    cells = side * _CELLS
    region = np.zeros((cells, cells))
    for box in boxes:
        top, left = int(np.floor(box.y_min * cells)), int(np.floor(box.x_min * cells))
        region[top : int(np.ceil(box.y_max * cells)), left : int(np.ceil(box.x_max * cells))] = 1
    return np.asarray(region.reshape(side, _CELLS, side, _CELLS).mean(axis=(1, 3)))


def point(
    weights: NDArray[np.floating[Any]], boxes: Sequence[Box], peak: tuple[float, float] | None = None
) -> Pointing:
    """Judge one map by the boxes of one finding.

    Args:
        weights: (side, side), not negative, summing to 1.
        boxes: On the same square; at least one.
        peak: Where the map is strongest (x, y), when that is known better than by the centre of its strongest patch.
    """
    side = len(weights)
    inside = covered(boxes, side)
    row, column = np.unravel_index(int(weights.argmax()), weights.shape)
    x, y = peak or ((column + 0.5) / side, (row + 0.5) / side)
    hit = any(_distance(box, x, y) <= TOLERANCE for box in boxes)
    strongest = np.argsort(-weights, axis=None, kind="stable")[: max(1, round(float(inside.sum())))]
    common = float(inside.ravel()[strongest].sum())
    union = len(strongest) + float(inside.sum()) - common
    return Pointing(float(hit), float((weights * inside).sum()), float(inside.mean()), common / union)


def box_prior(boxes: Sequence[Sequence[Box]], side: int) -> Floats:
    """Return the mean region of many findings as a map (side, side) that sums to 1; an even one where there is none."""
    mean = np.mean([covered(some, side) for some in boxes], axis=0) if boxes else np.ones((side, side))
    return np.asarray(mean / mean.sum())


def _distance(box: Box, x: float, y: float) -> float:
    return float(np.hypot(max(box.x_min - x, 0, x - box.x_max), max(box.y_min - y, 0, y - box.y_max)))
