"""Check `inverted`: black and white are exchanged."""

from typing import ClassVar

from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm


class Inverted(FilmCheck):
    """Finds films shown as negatives: bright lungs, dark bones."""

    unit: ClassVar[str] = "probability that the film is a negative"

    limit: float = 0.7
    """Largest probability that black and white are exchanged."""

    def measure(self, film: ReducedFilm) -> float:
        """Return that probability."""
        return film.inverted
