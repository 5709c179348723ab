"""Check `margins`: the film is a small picture inside a wide empty frame."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm

_FLAT = 0.015
"""Largest standard deviation of the greys (0..1) along an empty row or column."""


class Margins(FilmCheck):
    """Finds films of which a large part is shutters or padding."""

    unit: ClassVar[str] = "share of the film outside the picture"

    limit: float = 0.4
    """Largest share of the area that rows and columns of one grey take at the edges."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that share; 1 for a film that is empty throughout."""
        return 1.0 - _picture(film.rows[1]) * _picture(film.columns[1])


def _picture(spread: NDArray[np.float32]) -> float:
    """Return the share of the lines from the first to the last that is not empty."""
    full = np.flatnonzero(spread > _FLAT)
    return (int(full[-1]) - int(full[0]) + 1) / len(spread) if len(full) else 0.0
