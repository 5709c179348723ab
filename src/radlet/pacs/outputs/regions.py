"""Outlines around the brightest parts of an evidence map, over the film."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from radlet.inference.attention import Map
from radlet.reading.evidence import on_film

Outline = NDArray[np.float64]
"""(N, 2) of x and y on the upright film, 0..1, origin top left; the last point is the first."""

_GRID = 256
_BRIGHT = 128
_LARGEST = 3
_LEAST_SHARE = 0.1


def outlines(weights: Map, part: tuple[float, float, float, float]) -> tuple[Outline, ...]:
    """Return convex outlines around what lies above half of the map's range, at most three, the brightest first.

    Args:
        weights: (rows, cols).
        part: Of the film that the map covers, as `shown_part` gives it.
    """
    heat = on_film(weights, part, (_GRID, _GRID))
    labels, count = ndimage.label(heat >= _BRIGHT)
    masses = [(float(heat[labels == label].sum()), label) for label in range(1, count + 1)]
    total = sum(mass for mass, _ in masses)
    chosen = sorted(masses, reverse=True)[:_LARGEST]
    return tuple(_hull(labels == label) for mass, label in chosen if mass >= _LEAST_SHARE * total)


def _hull(mask: NDArray[np.bool_]) -> Outline:
    rows, columns = np.nonzero(mask)
    # The corners of the cells, so that even a single cell has an area.
    corners = np.concatenate([np.stack([columns + x, rows + y], axis=1) for x in (0, 1) for y in (0, 1)])
    points = corners[ConvexHull(corners).vertices] / _GRID
    return np.concatenate([points, points[:1]]).astype(np.float64)
