"""From measurements to verdicts: what is kept, flagged or rejected, with the counts; the second half of `quality`."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from radlet.core.records import ImageRecord, Record, Split, Study, View
from radlet.data.quality.base import ACTIONS, Action, FilmCheck, Group, MeasuredFilm, QualityCheck, SetCheck

UNREADABLE = "unreadable"
"""Name under which films stand that could not be measured; they are rejected whatever the recipe says."""

Verdict = Literal["keep", "flag", "reject"]
_VERDICTS: dict[Action, Verdict] = {"ignore": "keep", "flag": "flag", "reject": "reject"}


class FilmQuality(Record):
    """What `quality` says of one film; a row of ``films.parquet``."""

    image_id: str
    study_id: str
    patient_id: str
    split: Split | None
    path: str
    """Relative to the ingest run."""
    view: View | None
    """As the source has it."""
    view_from_pixels: Literal["frontal", "LATERAL"] | None
    filled_view: View | None
    """The view that `build` fills in; only where the source has none and the recipe says so."""
    height_px: int | None
    width_px: int | None
    verdict: Verdict
    failed: dict[str, Action]
    """Check that the film or its report failed -> its action."""
    numbers: dict[str, float | None]
    """Check -> number; of the duplicates, the similarity to the other film or report."""


@dataclass(frozen=True)
class Failure:
    """One thing that failed one check."""

    id: str
    of: Literal["film", "study"]
    check: str
    action: Action
    number: float | None
    reason: str | None = None


@dataclass
class Tally:
    """Counts, gathered while the films are judged."""

    verdicts: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    filled: int = 0
    studies: int = 0
    studies_without_film: int = 0
    rejected_by: Counter[str] = field(default_factory=Counter)
    """By the first check that rejects a film, so that the counts add up."""


class Judge:
    """Applies the checks to measured films.

    Args:
        checks: By name.
        groups: What the checks of the whole set found.
        fill_view: Whether the view that the pixels show is filled in where there is none.
    """

    def __init__(self, checks: Mapping[str, QualityCheck], groups: Iterable[Group], fill_view: bool) -> None:
        self._checks = checks
        self._fill_view = fill_view
        self._similarity: dict[str, dict[str, dict[str, float]]] = {"films": {}, "studies": {}}
        for group in groups:
            for name, value in group.surplus.items():
                self._similarity[group.of].setdefault(name, {})[group.check] = value
        self.tally = Tally()

    def rows(self, measured: Iterable[tuple[Study, list[MeasuredFilm]]], listing: TextIO) -> Iterator[FilmQuality]:
        """Yield the row of each film, and write what failed to `listing` as JSON lines."""
        for study, films in measured:
            of_study = list(self._study_failures(study))
            kept = 0
            for failure in of_study:
                _write(listing, failure)
            for image, film in zip(study.images, films, strict=True):
                failures = list(self._film_failures(film))
                for failure in failures:
                    _write(listing, failure)
                row = self._row(study, image, film, [*failures, *of_study])
                self._count(row)
                kept += row.verdict != "reject"
                yield row
            self.tally.failed.update(failure.check for failure in of_study)
            self.tally.studies += 1
            self.tally.studies_without_film += not kept

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON types."""
        tally = self.tally
        names = [*self._checks, *([UNREADABLE] if tally.failed[UNREADABLE] else [])]
        return {
            "films": tally.verdicts.total(),
            "films_by_verdict": {verdict: tally.verdicts[verdict] for verdict in _VERDICTS.values()},
            "studies": tally.studies,
            "studies_without_film": tally.studies_without_film,
            "rejected_by_check": dict(sorted(tally.rejected_by.items())),
            "checks": {name: self._of_check(name) for name in names},
            "views_from_pixels": dict(sorted(tally.views.items())),
            "views_filled": tally.filled,
        }

    def _of_check(self, name: str) -> dict[str, Any]:
        check = self._checks.get(name)
        return {
            "of": "studies" if self._of_studies(name) else "films",
            "action": check.action if check else "reject",
            "limit": getattr(check, "limit", None),
            "failed": self.tally.failed[name],
        }

    def _study_failures(self, study: Study) -> Iterator[Failure]:
        for name, value in self._similarity["studies"].get(study.study_id, {}).items():
            yield Failure(study.study_id, "study", name, self._checks[name].action, value)

    def _film_failures(self, film: MeasuredFilm) -> Iterator[Failure]:
        if film.refused is not None:
            yield Failure(film.image_id, "film", UNREADABLE, "reject", None, film.refused)
            return
        for name, check in self._checks.items():
            if isinstance(check, FilmCheck) and check.fails(film.numbers.get(name)):
                yield Failure(film.image_id, "film", name, check.action, film.numbers[name])
        for name, value in self._similarity["films"].get(film.image_id, {}).items():
            yield Failure(film.image_id, "film", name, self._checks[name].action, value)

    def _row(self, study: Study, image: ImageRecord, film: MeasuredFilm, failures: list[Failure]) -> FilmQuality:
        # What is flagged of a report says nothing against its films; a rejected report takes them along.
        counted = [one.action for one in failures if one.of == "film" or one.action == "reject"]
        strongest: Action = max(counted, key=ACTIONS.index, default="ignore")
        found = {failure.check: failure.number for failure in failures if failure.check != UNREADABLE}
        lateral = self._fill_view and image.view is None and film.view_from_pixels == "LATERAL"
        return FilmQuality(
            image_id=image.image_id,
            study_id=study.study_id,
            patient_id=study.patient_id,
            split=study.split,
            path=image.path,
            view=image.view,
            view_from_pixels=film.view_from_pixels,
            filled_view="LATERAL" if lateral else None,
            height_px=film.height_px,
            width_px=film.width_px,
            verdict=_VERDICTS[strongest],
            failed={failure.check: failure.action for failure in failures},
            numbers={**film.numbers, **found},
        )

    def _count(self, row: FilmQuality) -> None:
        self.tally.verdicts[row.verdict] += 1
        self.tally.filled += row.filled_view is not None
        self.tally.views[row.view_from_pixels or "unknown"] += 1
        self.tally.failed.update(name for name in row.failed if not self._of_studies(name))
        rejecting = [name for name, action in row.failed.items() if action == "reject"]
        self.tally.rejected_by.update(rejecting[:1])

    def _of_studies(self, name: str) -> bool:
        check = self._checks.get(name)
        return isinstance(check, SetCheck) and check.of == "studies"


def goes_alone(checks: Mapping[str, QualityCheck], film: MeasuredFilm) -> bool:
    """Tell whether a film is rejected for itself, whatever it is a copy of."""
    return film.refused is not None or any(
        check.fails(film.numbers.get(name))
        for name, check in checks.items()
        if isinstance(check, FilmCheck) and check.action == "reject"
    )


def _write(listing: TextIO, failure: Failure) -> None:
    if failure.action == "ignore":
        return
    row: dict[str, Any] = {"id": failure.id, "of": failure.of, "check": failure.check, "action": failure.action}
    row |= {"number": failure.number} if failure.reason is None else {"reason": failure.reason}
    listing.write(json.dumps(row, ensure_ascii=False) + "\n")
