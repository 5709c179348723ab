"""Check `brightness`: the chest is far darker or brighter than on usual films."""

from typing import ClassVar

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm

_USUAL = 0.58
"""Mean grey of the middle, 0..1, halfway between the darkest and the brightest of films that are shown as meant."""


class Brightness(FilmCheck):
    """Finds under- and over-exposed films, and tone curves that are not meant for a display."""

    unit: ClassVar[str] = "distance of the mean grey of the middle from 0.58"

    limit: float = 0.22
    """Largest distance of the mean grey (0..1) of the middle three fifths from 0.58."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that distance."""
        return abs(float(film.centre.mean()) - _USUAL)
