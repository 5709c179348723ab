"""Check `clipping`: large parts of the chest are pure black or pure white."""

from typing import ClassVar

import numpy as np

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm

_END = 2.5 / 255


class Clipping(FilmCheck):
    """Finds under- and over-exposed films, and windows that cut off what they should show."""

    unit: ClassVar[str] = "share of the middle that is black or white"

    limit: float = 0.05
    """Largest share of the middle three fifths at either end of the greys."""

    def measure(self, film: ReducedFilm) -> float:
        """Return the larger of the two shares."""
        return float(max(np.mean(film.centre <= _END), np.mean(film.centre >= 1 - _END)))
