"""Check `blank`: the film shows nothing."""

from typing import ClassVar, Literal

import numpy as np

from radlet.data.quality.base import Action, FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Blank(FilmCheck):
    """Finds films without any structure: flat, or nothing but noise."""

    worse: ClassVar[Literal["above", "below"]] = "below"
    unit: ClassVar[str] = "range of the greys of 16 x 16 fields"

    action: Action = "reject"
    limit: float = 0.06
    """Least range, from the 5th to the 95th percentile, of the mean greys (0..1) of 16 x 16 fields."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that range."""
        low, high = np.percentile(film.blocks, (5, 95))
        return float(high - low)
