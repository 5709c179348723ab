"""Branching lung vessels as clouds of points along random curves; both views draw them."""

import numpy as np
from numpy.typing import NDArray

from radlet.data.sources.synthetic.anatomy import Anatomy
from radlet.data.sources.synthetic.canvas import Canvas, Map, splat

_STEPS = 14
_GENERATIONS = 4
_FIRST_RADIUS_MM = 4.3


def vessel_tree(grid: Canvas, anatomy: Anatomy, hila: tuple[tuple[float, float], ...], fan: float = 2.5) -> Map:
    """Return mm of path through the vessels that fan out from each hilum.

    Args:
        grid: The film's grid.
        anatomy: Its seed fixes the tree, so that it is the same at the next exam.
        hila: Positions of the roots; a root left of the middle (x < 0) fans to smaller x, else to larger x.
        fan: Opening of the fan in radians; above pi it also turns inwards.
    """
    rng = np.random.default_rng(anatomy.seed)
    points = [_grow(rng, x, y, fan) for x, y in hila]
    x, y, radius = (np.concatenate([part[i] for part in points]) for i in range(3))
    step = np.concatenate([part[3] for part in points])
    volume = np.pi * radius**2 * step
    thick = radius > 1.7
    fine = splat(grid, x[~thick], y[~thick], volume[~thick], 0.75)
    return fine + splat(grid, x[thick], y[thick], volume[thick], 1.7)


def _grow(rng: np.random.Generator, x: float, y: float, fan: float) -> tuple[NDArray[np.float64], ...]:
    trunks = 9
    outward = 0.0 if x > 0 else np.pi
    angle = outward + np.linspace(-fan / 2, fan / 2, trunks) + rng.normal(0, 0.09, trunks)
    xs, ys = np.full(trunks, x) + rng.normal(0, 3, trunks), y + 9 * np.linspace(-1, 1, trunks) * (1 if x > 0 else -1)
    radius = np.full(trunks, _FIRST_RADIUS_MM) * rng.uniform(0.75, 1.1, trunks)
    parts: list[tuple[NDArray[np.float64], ...]] = []
    for generation in range(_GENERATIONS):
        length = rng.uniform(20, 40, len(xs)) * (1.0, 0.95, 0.8, 0.7)[generation]
        parts.append(_branch(rng, xs, ys, angle, (radius, length)))
        tip_x, tip_y, tip_radius = (part[:, -1] for part in parts[-1][:3])
        turn = rng.uniform(0.18, 0.52, len(xs))
        xs, ys = np.tile(tip_x, 2), np.tile(tip_y, 2)
        angle = np.concatenate([parts[-1][4][:, -1] - turn, parts[-1][4][:, -1] + 0.7 * turn])
        radius = np.tile(tip_radius, 2) * rng.uniform(0.62, 0.9, len(xs))
    return tuple(np.concatenate([part[i].ravel() for part in parts]) for i in range(4))


def _branch(
    rng: np.random.Generator,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    angle: NDArray[np.float64],
    shape: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], ...]:
    """Return x, y, radius, step and angle of every point of the branches, each (N, steps)."""
    radius, length = shape
    bend = np.cumsum(rng.normal(0, 0.07, (len(x), _STEPS)), axis=1)
    heading = angle[:, None] + bend
    step = np.repeat(length[:, None] / _STEPS, _STEPS, axis=1)
    taper = radius[:, None] * np.linspace(1, 0.72, _STEPS)
    return (
        x[:, None] + np.cumsum(np.cos(heading) * step, axis=1),
        y[:, None] + np.cumsum(np.sin(heading) * step, axis=1),
        taper,
        step,
        heading,
    )
