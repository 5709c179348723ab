"""Check `body_part`: the film shows something other than a chest."""

from typing import ClassVar

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class BodyPart(FilmCheck):
    """Finds films that look like no chest: limbs, skulls, slices, figures."""

    unit: ClassVar[str] = "probability of no chest"

    limit: float = 0.7
    """Largest probability that the film shows no chest."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that probability."""
        return 1.0 - film.shares.chest
