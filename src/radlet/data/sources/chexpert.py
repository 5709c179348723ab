"""CheXpert as Stanford publishes it: ``train.csv``, ``valid.csv`` and films, labels without reports."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Split, Study, View
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import LabelRule, read_age_years, read_sex, read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, find_file, read_columns
from radlet.data.tables import Row

_TABLES = (("train.csv",), ("valid.csv",), ("test.csv", "test_labels.csv"))
_SPLITS: dict[str, Split] = {"train": "train", "valid": "dev", "test": "test"}
_FILM = re.compile(r"(?:^|/)((train|valid|test)/(patient\d+)/(study\d+)/[^/]+)$")


class FilmPlace(NamedTuple):
    """What the path of a film tells.

    Attributes:
        path: From ``train/``, ``valid/`` or ``test/`` on; the folders before it differ between releases.
    """

    path: str
    split: Split
    patient_id: str
    study_id: str


def read_place(path: str) -> FilmPlace | None:
    """Read the path of a film, as every table of CheXpert and CheXpert Plus writes it; None if it is no such path."""
    match = _FILM.search(path)
    return FilmPlace(match[1], _SPLITS[match[2]], match[3], f"{match[2]}/{match[3]}/{match[4]}") if match else None


def read_view(side: str, projection: str, path: str) -> View | None:
    """Return the view from the columns frontal/lateral and AP/PA; where they are empty, from the name of the film."""
    if side.lower() == "lateral" or projection in ("LL", "RL") or (not side and "_lateral." in path):
        return "LATERAL"
    views: dict[str, View] = {"AP": "AP", "PA": "PA"}
    return views.get(projection)


def add_film(gathered: FilmsOfStudy, place: FilmPlace | None, row_id: str, paths: list[str], view: View | None) -> None:
    """Gather a film whose path must be one of the set's."""
    if place is None:
        gathered.refuse(row_id, "the path of the film is not that of a patient and study")
    else:
        gathered.add(place.path, paths, view)


class CheXpertSource(Source):
    """CheXpert v1.0, full size or small: ``train.csv``, ``valid.csv``, and where it was got the test set's table."""

    terms: ClassVar[str | None] = "Stanford AIMI, after registration; research use only, no redistribution."
    kind: Literal["chexpert"] = "chexpert"
    root: Path
    """Folder that holds the tables and ``train/``, ``valid/``. ``valid`` becomes the split dev."""
    label_rule: LabelRule = LabelRule()

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies of one shard, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: There is no table, or one cannot be read or lacks a column.
        """
        for study_id, rows in ShardOfStudies(shard, num_shards).group(self._rows(), _study_id).items():
            gathered = FilmsOfStudy(self.root)
            for row in rows:
                place = read_place(read_text(row, "Path"))
                view = read_view(read_text(row, "Frontal/Lateral"), read_text(row, "AP/PA"), read_text(row, "Path"))
                add_film(gathered, place, row["row_id"], [place.path] if place else [], view)
            place = read_place(read_text(rows[0], "Path"))
            yield from gathered.items(
                Study(
                    study_id=study_id,
                    patient_id=place.patient_id if place else study_id,
                    images=(),
                    labels=self.label_rule.read(rows[0], OBSERVATIONS),
                    split=place.split if place else None,
                    sex=read_sex(read_text(rows[0], "Sex")),
                    age_years=read_age_years(read_text(rows[0], "Age")),
                )
            )

    def _rows(self) -> Iterator[Row]:
        paths = [path for names in _TABLES if (path := find_file(self.root, names))]
        if not paths:
            raise DataError(f"{self.root}: holds neither train.csv nor valid.csv. Give the folder that does.")
        for path in paths:
            for number, row in enumerate(read_columns(path, ("Path", *OBSERVATIONS)), start=1):
                yield {**row, "row_id": f"{path.name}:{number}"}


def _study_id(row: Row) -> str:
    place = read_place(read_text(row, "Path"))
    return place.study_id if place else row["row_id"]
