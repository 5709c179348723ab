"""A folder of films with one or several tables beside it, any column names: the source for most published data sets.

The recipe says which column holds what; rows of the same study are put together. Feeds `ingest`.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import Field

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.core.records import SECTIONS, ImageRecord, Split, Study, View
from radlet.core.registry import nearest
from radlet.data.sources.base import ListedSource, RawStudy, Rejected
from radlet.data.sources.study_index import StudyIndex
from radlet.data.tables import Row, is_undecodable, read_table

_VIEWS: dict[str, View] = {
    "PA": "PA",
    "AP": "AP",
    "LATERAL": "LATERAL",
    "LAT": "LATERAL",
    "LL": "LATERAL",
    "RL": "LATERAL",
}

_SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "valid": "dev",
    "validate": "dev",
    "val": "dev",
    "dev": "dev",
    "test": "test",
}

Names = str | tuple[str, ...]


class Table(Config):
    """One table of the folder."""

    path: Path
    """Relative to the root."""
    split: Split | None = None
    """Split of every row of this table; without it the column decides, and without that `build`."""


class Columns(Config):
    """Which column holds what. A list of names means: the first of them that is not empty."""

    image: Names
    """Path of the film relative to the root, or a list of paths."""
    image_id: Names = ()
    """Without it, the path of the film is its id."""
    study_id: Names = ()
    """Without it, every film is a study of its own."""
    patient_id: Names = ()
    """Without it, every study is a patient of its own; splits can then not keep patients apart."""
    view: Names = ()
    """PA, AP, LATERAL (LL, RL, LAT); any other word, such as frontal, leaves the view open, which counts as frontal."""
    report: Names = ()
    indication: Names = ()
    history: Names = ()
    technique: Names = ()
    comparison: Names = ()
    findings: Names = ()
    impression: Names = ()
    labels: Names = ()
    """One column that holds a table ``name -> 0 or 1``, or a list of columns that hold 0 or 1 each. Anything else in a
    cell (blank, -1 for uncertain) means unknown."""
    split: Names = ()
    sex: Names = ()
    age_years: Names = ()
    site: Names = ()

    def named(self) -> set[str]:
        """Return every column name the recipe mentions."""
        return {name for value in self.model_dump().values() for name in ([value] if isinstance(value, str) else value)}


class FolderSource(ListedSource):
    """Films in a folder, described by tables (CSV, TSV, JSON, JSONL or Parquet)."""

    kind: Literal["folder"] = "folder"
    root: Path
    """Folder that every path of the tables is relative to; nothing outside it is read."""
    tables: list[Table] = Field(min_length=1)
    columns: Columns
    split_words: dict[str, Split] = Field(default_factory=_SPLIT_WORDS.copy)
    """Words of the split column."""
    pseudonymise: bool = False
    """Set it where the ids of the tables are those of real people."""

    def list_studies(self, scratch: Path) -> Iterator[RawStudy | Rejected]:
        """Yield the studies, then the refused rows, in the order of the tables.

        Raises:
            DataError: A table cannot be read or lacks a column that the recipe names.
        """
        index = StudyIndex(scratch)
        try:
            collector = _Collector(self, index)
            for table in self.tables:
                for number, row in enumerate(read_table(self.root / table.path, keep_undecodable=True), start=1):
                    if number == 1:
                        _check_columns(self, table, row)
                    collector.add(row, table, f"{table.path}:{number}")
            for group in index.studies():
                films = tuple(ImageRecord.model_validate(film) for film in group.films)
                yield RawStudy(Study.model_validate(group.head).model_copy(update={"images": films}))
            yield from index.rejected()
        finally:
            index.close()


def _check_columns(source: FolderSource, table: Table, row: Row) -> None:
    missing = sorted(source.columns.named() - set(row))
    if missing:
        raise DataError(
            f"{source.root / table.path} has no column '{missing[0]}'.{nearest(missing[0], list(row))} "
            "Correct [source.columns] in the recipe."
        )


class _Collector:
    """Puts rows together to studies; what does not fit is refused by the id of its film or row."""

    def __init__(self, source: FolderSource, index: StudyIndex) -> None:
        self._source = source
        self._index = index
        self._num_films = 0

    def add(self, row: Row, table: Table, row_id: str) -> None:
        """Take one row; `row_id` names it where it has no film."""
        if is_undecodable(row):
            self._reject(row_id, "the row is not UTF-8 text")
            return
        columns = self._source.columns
        paths = _first(row, columns.image)
        if paths is None:
            self._reject(row_id, "the row names no film")
            return
        for path in paths if isinstance(paths, list) else [paths]:
            image_id = _text(row, columns.image_id) if isinstance(paths, str) else None
            self._add_image(row, table, posixpath.normpath(str(path)), image_id)

    def _add_image(self, row: Row, table: Table, path: str, image_id: str | None) -> None:
        image_id = image_id or path
        if problem := self._problem(path, image_id):
            self._reject(image_id, problem)
            return
        for name in (path, image_id):
            self._index.put("film", name)
        study = _study(row, self._source, table, default_id=image_id)
        known = self._index.study(study.study_id)
        if known is None:
            number = self._index.add_study(study.study_id, study.patient_id, study.model_dump(mode="json"))
        elif (known[1]["patient_id"], known[1]["split"]) != (study.patient_id, study.split):
            self._reject(image_id, "its study has another patient or split in an earlier row")
            return
        else:
            number = known[0]
        film = ImageRecord(
            image_id=image_id,
            path=str((self._source.root / path).absolute()),
            view=_view(_text(row, self._source.columns.view)),
        )
        self._num_films += 1
        self._index.add_film(number, (0, self._num_films, ""), film.model_dump(mode="json"))

    def _problem(self, path: str, image_id: str) -> str | None:
        if path.split("/", maxsplit=1)[0] == ".." or PurePath(path).is_absolute():
            return "its path leads out of the root folder"
        if any(self._index.get("film", name) is not None for name in (path, image_id)):
            return "the same film or id stands in an earlier row"
        if not (self._source.root / path).is_file():
            return "the file is missing"
        return None

    def _reject(self, item_id: str, reason: str) -> None:
        self._index.reject(item_id, reason)


def _study(row: Row, source: FolderSource, table: Table, default_id: str) -> Study:
    columns = source.columns
    study_id = _text(row, columns.study_id) or default_id
    sections = {name: _text(row, getattr(columns, name)) for name in SECTIONS}
    return Study(
        study_id=study_id,
        patient_id=_text(row, columns.patient_id) or study_id,
        images=(),
        report=_text(row, columns.report),
        sections={name: text for name, text in sections.items() if text},
        labels=_labels(row, columns.labels),
        split=table.split or source.split_words.get((_text(row, columns.split) or "").lower()),
        sex=_sex(_text(row, columns.sex)),
        age_years=_age_years(_text(row, columns.age_years)),
        site=_text(row, columns.site),
    )


def _first(row: Row, names: Names) -> Any:
    """Return the first value that is not empty."""
    values = (row.get(name) for name in ([names] if isinstance(names, str) else names))
    return next((value for value in values if value is not None and value != []), None)


def _text(row: Row, names: Names) -> str | None:
    value = _first(row, names)
    return None if value is None else str(value)


def _labels(row: Row, names: Names) -> dict[str, int]:
    cells = row.get(names) if isinstance(names, str) else {name: row.get(name) for name in names}
    if not isinstance(cells, dict):
        cells = {names: cells}
    known = {"0": 0, "0.0": 0, "False": 0, "1": 1, "1.0": 1, "True": 1}
    return {str(name): known[str(cell)] for name, cell in cells.items() if str(cell) in known}


def _view(word: str | None) -> View | None:
    return _VIEWS.get((word or "").upper())


def _sex(word: str | None) -> Literal["F", "M"] | None:
    letter = (word or "").upper()[:1]
    return "F" if letter == "F" else "M" if letter == "M" else None


def _age_years(word: str | None) -> int | None:
    match = re.fullmatch(r"0*(\d{1,3})(\.\d*)?Y?", (word or "").upper())
    return int(match[1]) if match else None
