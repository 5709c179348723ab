"""What `build` takes from a quality run: which films stay out, and which view is filled in.

Which of several copies stays is settled here rather than by `quality`, since only `build` knows the split of every
patient: of the test split before dev before train, so that nobody is judged on what was learnt. Memory grows with the
number of copies, not with that of films.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from radlet.core.errors import DataError
from radlet.core.records import ImageRecord, Record, Split, Study, View
from radlet.data.manifests import read_columns, row_groups_with, write_records
from radlet.data.quality.base import Group, Member
from radlet.data.quality.groups import first_to_stay, scope_of
from radlet.data.quality.showcase import count_groups

FILMS = "films.parquet"
DUPLICATES = "duplicates.jsonl"

SplitOf = Callable[[Member], Split]
"""Tells the split of a member, which a source may have published or not."""


class FilmChoice(Record):
    """What becomes of one film."""

    image_id: str
    rejected: bool
    filled_view: View | None


@dataclass(frozen=True)
class Selection:
    """The choice of some films; an empty one lets everything through.

    Attributes:
        rejected: Ids of films.
        views: Image id -> view to fill in.
    """

    rejected: frozenset[str] = frozenset()
    views: Mapping[str, View] = field(default_factory=dict)

    def apply(self, study: Study) -> Study | None:
        """Return the study without its rejected films; None when none is left."""
        images = tuple(self._filled(image) for image in study.images if image.image_id not in self.rejected)
        if not images and study.images:
            return None
        return study if images == study.images else study.model_copy(update={"images": images})

    def _filled(self, image: ImageRecord) -> ImageRecord:
        view = self.views.get(image.image_id)
        return image.model_copy(update={"view": view}) if view and image.view is None else image


def write_selection(quality: Path, split_of: SplitOf, path: Path) -> dict[str, Any]:
    """Settle what stays, write a row a film in the order of the quality run, and return the counts for the summary.

    Raises:
        DataError: The quality run was made by another version, whose groups tell something else.
    """
    settled = _Settled(quality, split_of)
    write_records(path, settled.choices())
    return settled.summary()


def read_selection(path: Path, image_ids: Sequence[str]) -> Selection:
    """Return what `write_selection` wrote of some films; holds the rows of their neighbourhood alone."""
    rejected, views = set(), {}
    with pq.ParquetFile(path) as file:
        for group in row_groups_with(path, "image_id", image_ids):
            for row in file.read_row_group(group).to_pylist():
                if row["rejected"]:
                    rejected.add(row["image_id"])
                elif row["filled_view"]:
                    views[row["image_id"]] = row["filled_view"]
    return Selection(frozenset(rejected), views)


class _Settled:
    """A quality run with one member of each rejecting group chosen to stay.

    Attributes:
        studies: Surplus study -> check that rejects it.
        films: Surplus film -> check that rejects it.
        dropped: Members of groups of studies of which no film is left.
    """

    def __init__(self, quality: Path, split_of: SplitOf) -> None:
        self._quality = quality
        self._split_of = split_of
        self._found = json.loads((quality / "summary.json").read_text(encoding="utf-8"))
        self._checks: dict[str, Any] = self._found["checks"]
        self.studies: dict[str, str] = {}
        self.films: dict[str, str] = {}
        self.dropped: set[str] = set()
        self._counts = Counter[str]()
        self._rejected_by = Counter[str]()
        # A film that goes with its report is no longer there to stay for its copies, so reports come first.
        for group in self._rejecting("studies"):
            self.studies |= dict.fromkeys(_surplus(group.members), group.check)
        for group in self._rejecting("films"):
            left = [member for member in group.members if member.study_id not in self.studies]
            self.films |= dict.fromkeys(_surplus(left), group.check)

    def choices(self) -> Iterator[FilmChoice]:
        """Yield what becomes of each film, and count."""
        last, left = None, 0
        for row in self._rows():
            if row["study_id"] != last:
                self._close(last, left)
                last, left = row["study_id"], 0
            failed = json.loads(row["failed"])
            check = self._rejecting_check(row, failed)
            left += check is None
            self._count(row, failed, check)
            yield FilmChoice(image_id=row["image_id"], rejected=check is not None, filled_view=row["filled_view"])
        self._close(last, left)

    def summary(self) -> dict[str, Any]:
        """Return the counts, when all choices were made."""
        names = list(self._found["duplicates"])
        return {
            **{name: self._counts[name] for name in ("films_rejected", "films_flagged", "studies_dropped")},
            "rejected_by_check": dict(sorted(self._rejected_by.items())),
            "views_filled": self._counts["views_filled"],
            "duplicates": count_groups(self._groups(), names),
            "in_several_splits": self._standing(names),
        }

    def _groups(self) -> Iterator[Group]:
        """Yield the groups with the splits that `build` gives."""
        with (self._quality / DUPLICATES).open(encoding="utf-8") as file:
            for line in file:
                group = self._read(line)
                members = tuple(member.model_copy(update={"split": self._split_of(member)}) for member in group.members)
                yield group.model_copy(update={"members": members, "scope": scope_of(members)})

    def _read(self, line: str) -> Group:
        try:
            return Group.model_validate_json(line)
        except ValidationError:
            raise DataError(
                f"{self._quality}: {DUPLICATES} is not of this version of radlet. Run quality again."
            ) from None

    def _rejecting(self, of: str) -> Iterator[Group]:
        return (one for one in self._groups() if one.of == of and self._checks[one.check]["action"] == "reject")

    def _rows(self) -> Iterator[dict[str, Any]]:
        names = ("image_id", "study_id", "failed", "filled_view")
        for batch in read_columns(self._quality / FILMS, names):
            yield from (
                dict(zip(names, row, strict=True)) for row in zip(*(batch[name] for name in names), strict=True)
            )

    def _rejecting_check(self, row: Mapping[str, Any], failed: Mapping[str, str]) -> str | None:
        for name, action in failed.items():
            if action == "reject" and name not in self._found["duplicates"]:
                return name
        return self.films.get(row["image_id"]) or self.studies.get(row["study_id"])

    def _count(self, row: Mapping[str, Any], failed: Mapping[str, str], check: str | None) -> None:
        if check:
            self._counts["films_rejected"] += 1
            self._rejected_by[check] += 1
            return
        # What is flagged of a report says nothing against its films.
        of_film = [action for name, action in failed.items() if self._checks[name]["of"] == "films"]
        self._counts["films_flagged"] += "flag" in of_film
        self._counts["views_filled"] += row["filled_view"] is not None

    def _close(self, study_id: str | None, left: int) -> None:
        if study_id is not None and not left:
            self._counts["studies_dropped"] += 1
            self.dropped.add(study_id)

    def _standing(self, names: Iterable[str]) -> dict[str, dict[str, int]]:
        """Return check -> groups, and pairs of members, that still stand in several splits."""
        found = {name: {"groups": 0, "pairs": 0} for name in names}
        for group in self._groups():
            if group.scope == "several splits" and (pairs := self._pairs(group)):
                found[group.check]["groups"] += 1
                found[group.check]["pairs"] += pairs
        return found

    def _pairs(self, group: Group) -> int:
        left = Counter(
            member.split
            for member in group.members
            if member.id not in self.films and member.study_id not in self.dropped
        )
        return sum(left[one] * left[other] for one, other in combinations(left, 2))


def _surplus(members: Sequence[Member]) -> list[str]:
    if not members:
        return []
    stays = first_to_stay(members)
    return [member.id for member in members if member.id != stays.id]
