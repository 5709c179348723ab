"""What every quality check is: a configuration that measures films one by one, or finds groups in the whole set."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from radlet.core.config import Config
from radlet.core.records import Record, Split, Study
from radlet.data.quality.reduced import ReducedFilm

Action = Literal["ignore", "flag", "reject"]
Scope = Literal["one patient", "several patients", "several splits"]

ACTIONS: tuple[Action, ...] = ("ignore", "flag", "reject")
"""From the mildest to the strongest."""


class QualityCheck(Config):
    """Base of the checks; each is a table ``[checks.<name>]`` of a quality recipe."""

    action: Action = "flag"
    """ignore: only measure; flag: list what fails; reject: list it and let `build` leave it out."""


class FilmCheck(QualityCheck):
    """Base of the checks that look at one film at a time."""

    worse: ClassVar[Literal["above", "below"]] = "above"
    """On which side of `limit` a film fails."""
    unit: ClassVar[str] = ""
    """What the number is, in a few words, for the page."""

    limit: float
    """A film whose number lies beyond this fails."""

    def measure(self, film: ReducedFilm) -> float | None:
        """Return the film's number; None where the check has nothing to say of it."""
        raise NotImplementedError

    def fails(self, number: float | None) -> bool:
        """Tell whether a film with this number fails."""
        if number is None:
            return False
        return number > self.limit if self.worse == "above" else number < self.limit


class MeasuredFilm(Record):
    """What a worker found out about one film; a line of a journal."""

    image_id: str
    refused: str | None = None
    """Why the film could not be measured; then all else is empty."""
    height_px: int | None = None
    width_px: int | None = None
    numbers: dict[str, float | None] = {}
    """Check -> number."""
    view_from_pixels: Literal["frontal", "LATERAL"] | None = None
    descriptor: str = ""
    """Coarse picture for the search of duplicates: base64 of float32."""
    fine: str = ""
    """Fine structure by which they are confirmed: base64 of signed bytes."""


class Member(Record):
    """A film or a study that is part of a group."""

    id: str
    study_id: str
    patient_id: str
    split: Split | None


class Group(Record):
    """Films or studies that a check found to be the same."""

    check: str
    of: Literal["films", "studies"]
    scope: Scope
    kept: str
    """Id of the member that stays: of the test split before dev before train, then the first of the manifest. Where
    nobody published splits, `build` decides anew."""
    similarity: dict[str, float]
    """Member -> how like another member it is, 0..1."""
    members: tuple[Member, ...]
    """In the order of the manifest."""

    @property
    def surplus(self) -> dict[str, float]:
        """The members that fail the check, with their similarity."""
        return {name: value for name, value in self.similarity.items() if name != self.kept}


class Finder(Protocol):
    """Gathers what a check needs of each study, then finds the groups."""

    def add(self, study: Study, films: Sequence[MeasuredFilm]) -> None:
        """Take note of a study and its measured films."""

    def find(self) -> list[Group]:
        """Return the groups, in the order of their first members."""


class SetCheck(QualityCheck):
    """Base of the checks that look at the whole set."""

    of: ClassVar[Literal["films", "studies"]] = "films"
    unit: ClassVar[str] = "similarity to another"
    limit: float

    def finder(self, scratch_dir: Path) -> Finder:
        """Return a new finder, which may keep files in `scratch_dir`."""
        raise NotImplementedError
