"""Check `small`: the film has too few pixels."""

from typing import ClassVar, Literal

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Small(FilmCheck):
    """Finds thumbnails that stand where films should."""

    worse: ClassVar[Literal["above", "below"]] = "below"
    unit: ClassVar[str] = "pixels of the shorter side"

    limit: float = 96
    """Fewest pixels of the shorter side."""

    def measure(self, film: ReducedFilm) -> float:
        """Return the pixels of the shorter side."""
        return float(min(film.height_px, film.width_px))
