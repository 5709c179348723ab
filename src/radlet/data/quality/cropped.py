"""Check `cropped`: a part of the lungs lies outside the film."""

from typing import ClassVar

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Cropped(FilmCheck):
    """Finds films on which anatomy runs over the edge."""

    unit: ClassVar[str] = "probability that lung is cut off"

    limit: float = 0.87
    """Largest probability that a part of the lungs is cut off."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that probability, of the side where it is the highest."""
        return max(film.cuts.values())
