"""Check `aspect`: the film is far longer than wide, or wider than long."""

from typing import ClassVar

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Aspect(FilmCheck):
    """Finds strips, which no chest film is."""

    unit: ClassVar[str] = "longer side over the shorter"

    limit: float = 1.8
    """Largest ratio of the longer to the shorter side."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that ratio."""
        return max(film.height_px, film.width_px) / min(film.height_px, film.width_px)
