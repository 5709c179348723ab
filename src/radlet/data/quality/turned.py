"""Check `turned`: the film lies on its side or stands on its head."""

from typing import ClassVar

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Turned(FilmCheck):
    """Finds chest films turned by 90, 180 or 270 degrees."""

    unit: ClassVar[str] = "probability that the film is turned"

    limit: float = 0.7
    """Largest probability that a chest film is turned."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that probability."""
        return film.shares.turned
