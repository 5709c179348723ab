"""Check `view`: the pixels contradict the view that the film is said to have; and the view they show themselves."""

from typing import ClassVar, Literal

from radlet.data.examples import is_frontal
from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm

PixelView = Literal["frontal", "LATERAL"]


class ViewContradicted(FilmCheck):
    """Finds laterals called frontal, and the other way round. PA and AP are not told apart: pixels do not show it."""

    unit: ClassVar[str] = "probability of the other view"

    limit: float = 0.95
    """Largest probability that a film with a known view is of the other one."""

    def measure(self, film: ReducedFilm) -> float | None:
        """Return that probability; None where the view is unknown."""
        if film.image.view is None:
            return None
        return film.shares.lateral if is_frontal(film.image.view) else 1.0 - film.shares.lateral


def view_from_pixels(film: ReducedFilm, confidence: float) -> PixelView | None:
    """Return the view that the pixels show with at least this probability; None for a turned film and for no chest."""
    shares = film.shares
    if shares.chest < 1 - shares.chest or shares.turned > 1 - shares.turned:
        return None
    if shares.lateral >= confidence:
        return "LATERAL"
    return "frontal" if 1 - shares.lateral >= confidence else None
