"""Check `contrast`: the middle of the film is of nearly one grey."""

from typing import ClassVar, Literal

import numpy as np

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Contrast(FilmCheck):
    """Finds films whose chest is washed out, as by a wrong window or a bad exposure."""

    worse: ClassVar[Literal["above", "below"]] = "below"
    unit: ClassVar[str] = "range of the greys in the middle"

    limit: float = 0.2
    """Least range, from the 5th to the 95th percentile, of the greys (0..1) in the middle three fifths."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that range."""
        low, high = np.percentile(film.centre, (5, 95))
        return float(high - low)
