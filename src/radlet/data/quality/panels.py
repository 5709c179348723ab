"""Check `panels`: several pictures in one file, as in a figure of an article."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm

_EDGE = 0.2
"""Gutters are looked for inside of this share of the film, since frames and shutters stand outside."""
_FLAT = 0.01
_NEAR_END = 0.04


class Panels(FilmCheck):
    """Finds figures of several panels by the straight white or black gutter between them."""

    unit: ClassVar[str] = "share of the middle lines that are a gutter"

    limit: float = 0.0
    """Largest share of the inner rows, or columns, that are black or white from end to end with pictures around."""

    def measure(self, film: ReducedFilm) -> float:
        """Return the larger of both shares."""
        return max(_gutter(film.columns), _gutter(film.rows))


def _gutter(lines: NDArray[np.float32]) -> float:
    """Return the share of the inner lines that are a gutter with a picture on either side."""
    mean, spread = lines
    empty = (spread < _FLAT) & ((mean < _NEAR_END) | (mean > 1 - _NEAR_END))
    pictures = np.flatnonzero(spread > 5 * _FLAT)
    if not len(pictures):
        return 0.0
    inner = np.arange(len(empty))
    edge = round(_EDGE * len(empty))
    between = (inner >= max(edge, pictures[0])) & (inner < min(len(empty) - edge, pictures[-1]))
    return float(np.mean(empty & between))
