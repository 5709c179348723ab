"""Check `levels`: the film is told in a few shades of grey."""

from typing import ClassVar, Literal

import numpy as np

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Levels(FilmCheck):
    """Finds films that lost their shades on the way, as by a conversion to few colours or a very wide window."""

    worse: ClassVar[Literal["above", "below"]] = "below"
    unit: ClassVar[str] = "shades of grey in the middle"

    limit: float = 32
    """Fewest shades of grey in the middle three fifths: 2 to the power of the entropy of the greys, in bits."""

    def measure(self, film: ReducedFilm) -> float:
        """Return the shades, 1 to 256: as many as would tell as much if all occurred equally often."""
        shares = film.counts[film.counts > 0] / film.counts.sum()
        return float(2 ** -(shares * np.log2(shares)).sum())
