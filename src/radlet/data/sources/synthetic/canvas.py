"""The millimetre grid every projection is computed on, and the few ways of drawing into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

FIELD_MM = 350.0
"""Side of the square field that a film covers."""

Map = NDArray[np.float32]
"""One value a pixel, or a row (1, W) / column (H, 1) of them that broadcasts."""
Floats = NDArray[np.floating[Any]]
"""A map on its way through a formula."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A square pixel grid in mm: `x` is (1, W), `y` is (H, 1), origin in the middle."""

    size_px: int
    px_mm: float
    x: Map
    y: Map
    abs_x: Map

    def pixel(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return (column, row) in pixels, fractional, of positions in mm."""
        half = FIELD_MM / 2
        return (x + half) / self.px_mm - 0.5, (y + half) / self.px_mm - 0.5

    def column(self, knots_y: Any, values: Any) -> Map:
        """Return (H, 1) values interpolated over y."""
        line = np.interp(self.y[:, 0], knots_y, values).astype(np.float32)
        # The knots' corners would show as corners of the body.
        smooth: Map = gaussian_filter(line, 9 / self.px_mm, mode="nearest")[:, None]
        return smooth

    def window(self, x: float, y: float, radius_mm: float) -> tuple[slice, slice]:
        """Return the (rows, columns) around a point, clipped to the film; possibly empty."""
        column, row = self.pixel(x, y)
        reach = radius_mm / self.px_mm
        return self._span(row, reach), self._span(column, reach)

    def _span(self, centre: float, reach: float) -> slice:
        low = int(np.clip(np.floor(centre - reach), 0, self.size_px))
        return slice(low, int(np.clip(np.ceil(centre + reach) + 1, low, self.size_px)))


@lru_cache(maxsize=4)
def canvas(size_px: int) -> Canvas:
    """Return the cached grid of a film of `size_px` x `size_px` pixels."""
    px_mm = FIELD_MM / size_px
    line = ((np.arange(size_px) + 0.5) * px_mm - FIELD_MM / 2).astype(np.float32)
    return Canvas(size_px, px_mm, line[None, :], line[:, None], np.abs(line)[None, :])


def ramp(distance: Floats, width: float) -> Map:
    """Rise from 0 to 1 as `distance` goes from -width/2 to +width/2."""
    result: Map = np.clip(distance * np.float32(1 / width) + np.float32(0.5), 0, 1)
    return result


def half_chord(u_squared: Floats) -> Map:
    """Return sqrt(1 - u^2), 0 outside: the relative path through a round body at relative offset u."""
    result: Map = np.sqrt(np.maximum(np.float32(1) - u_squared, np.float32(0)))
    return result


def ellipse(grid: Canvas, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0) -> Map:
    """Return the squared relative radius (1 on the rim) of an ellipse tilted by `tilt` radians."""
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    dx, dy = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1])
    u = (dx * cos + dy * sin) * np.float32(1 / radii[0])
    v = (dy * cos - dx * sin) * np.float32(1 / radii[1])
    result: Map = u * u + v * v
    return result


def add_ball(
    image: Map, grid: Canvas, centre: tuple[float, float], radii: tuple[float, float], thickness: float
) -> None:
    """Add, in place, the path through an ellipsoid that is `thickness` mm thick in its middle."""
    rows, columns = grid.window(*centre, max(radii) + grid.px_mm)
    dx = (grid.x[:, columns] - np.float32(centre[0])) * np.float32(1 / radii[0])
    dy = (grid.y[rows] - np.float32(centre[1])) * np.float32(1 / radii[1])
    image[rows, columns] += np.float32(thickness) * half_chord(dx * dx + dy * dy)


def splat(grid: Canvas, x: Any, y: Any, volume_mm3: Any, sigma_mm: float) -> Map:
    """Spread material along points and blur it; returns mm of path per pixel.

    Args:
        grid: The film's grid.
        x: Positions in mm, (N,).
        y: Positions in mm, (N,).
        volume_mm3: Material at each point, (N,).
        sigma_mm: Width of the blur.
    """
    size = grid.size_px
    image: Map = np.zeros((size, size), np.float32)
    column, row = grid.pixel(np.asarray(x), np.asarray(y))
    inside = (column > -1) & (column < size) & (row > -1) & (row < size)
    if not inside.any():
        return image
    column, row, volume = column[inside], row[inside], np.asarray(volume_mm3)[inside] / grid.px_mm**2
    # Only the window around the points is worked on: most structures are small.
    sigma = max(sigma_mm / grid.px_mm, 0.45)
    margin = int(3 * sigma) + 2
    c_low, r_low = int(column.min()) - margin, int(row.min()) - margin
    width, height = int(column.max()) + margin + 2 - c_low, int(row.max()) + margin + 2 - r_low
    c0, r0 = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    fc, fr = column - c0, row - r0
    corner = (r0 - r_low) * width + (c0 - c_low)
    index = np.concatenate([corner, corner + 1, corner + width, corner + width + 1])
    share = np.concatenate([(1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc])
    patch = np.bincount(index, share * np.tile(volume, 4), width * height).reshape(height, width).astype(np.float32)
    patch = gaussian_filter(patch, sigma, truncate=3, mode="constant")
    top, left = max(r_low, 0), max(c_low, 0)
    part = patch[top - r_low : size - r_low, left - c_low : size - c_low]
    image[top : top + part.shape[0], left : left + part.shape[1]] = part
    return image


def tube(grid: Canvas, points: Any, radius_mm: float) -> Map:
    """Return the path through a tube along a polyline of (N, 2) points in mm."""
    return tubes(grid, (points,), radius_mm)


def tubes(grid: Canvas, lines: Sequence[Any], radius_mm: float) -> Map:
    """Return the path through several tubes of one radius, each along a polyline of (N, 2) points in mm."""
    parts = [_along(np.asarray(line, dtype=np.float64), 0.5 * grid.px_mm) for line in lines]
    x, y, step = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return splat(grid, x, y, np.pi * radius_mm**2 * step, 0.6 * radius_mm)


def _along(points: NDArray[np.float64], spacing: float) -> tuple[NDArray[np.float64], ...]:
    """Return x, y and length of the steps of about `spacing` mm along a polyline."""
    reach = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(int(reach[-1] / spacing), 2)
    along = np.linspace(0, reach[-1], count)
    step = np.full(count, reach[-1] / count)
    return np.interp(along, reach, points[:, 0]), np.interp(along, reach, points[:, 1]), step


def smooth_path(points: Any, count: int = 24) -> NDArray[np.float64]:
    """Return `count` points on the Catmull-Rom curve through (N, 2) control points."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    at = np.linspace(0, len(p) - 3 - 1e-9, count)
    i = at.astype(int)
    t = (at - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve: NDArray[np.float64] = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return curve


def cloud(grid: Canvas, rng: np.random.Generator, cells: int) -> Map:
    """Return a smooth random field of unit variance whose lumps are about size/cells wide."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    field = zoom(coarse, (grid.size_px + 3 * grid.size_px // cells) / (cells + 3), order=1)
    offset = (field.shape[0] - grid.size_px) // 2
    result: Map = field[offset : offset + grid.size_px, offset : offset + grid.size_px]
    return result
