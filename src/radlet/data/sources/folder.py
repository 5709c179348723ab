"""A folder of films with one or several tables beside it, any column names: the source for most published data sets.

The recipe says which column holds what; rows of the same study are put together. Feeds `ingest`.
"""

import posixpath
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.core.records import SECTIONS, ImageRecord, Question, Split, Study, View
from radlet.core.registry import nearest
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_age_years, read_answer_kind, read_sex
from radlet.data.tables import Row, read_table

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
    caption: Names = ()
    """What a publication says below the film."""
    question: Names = ()
    """With `answer`: every row is a question about its film, and a film may stand in several rows."""
    answer: Names = ()
    answer_kind: Names = ()
    """OPEN or CLOSED; without it, questions answered by yes or no are closed."""
    topic: Names = ()
    """The type of question, in the set's own words."""
    labels: Names = ()
    """One column that holds a table ``name -> 0 or 1``, or a list of columns that hold 0 or 1 each. Anything else in a
    cell (blank, -1 for uncertain) means unknown."""
    split: Names = ()
    sex: Names = ()
    age_years: Names = ()
    site: Names = ()

    @model_validator(mode="after")
    def _asked_and_answered(self) -> Self:
        if bool(self.question) != bool(self.answer):
            raise ValueError("a question needs its answer: name both columns, or neither")
        return self

    def named(self) -> set[str]:
        """Return every column name the recipe mentions."""
        return {name for value in self.model_dump().values() for name in ([value] if isinstance(value, str) else value)}


class FolderSource(Source):
    """Films in a folder, described by tables (CSV, TSV, JSON, JSONL or Parquet)."""

    kind: Literal["folder"] = "folder"
    root: Path
    """Folder that every path of the tables is relative to; nothing outside it is read."""
    tables: list[Table] = Field(min_length=1)
    columns: Columns
    where: dict[str, tuple[str, ...]] = {}
    """Column -> the words it may hold; other rows are left out, and listed. Capitals do not count."""
    split_words: dict[str, Split] = Field(default_factory=_SPLIT_WORDS.copy)
    """Words of the split column."""
    pseudonymise: bool = False
    """Set it where the ids of the tables are those of real people."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies and the refused rows of one shard, in the order of the tables; `seed` changes nothing.

        Raises:
            DataError: A table cannot be read or lacks a column that the recipe names.
        """
        yield from _read_folder(self.model_dump_json())[shard::num_shards]


@lru_cache(maxsize=1)
def _read_folder(source_json: str) -> list[RawStudy | Rejected]:
    """Read the tables once per process: `ingest` asks one worker for many shards."""
    source = FolderSource.model_validate_json(source_json)
    collector = _Collector(source)
    for table in source.tables:
        for number, row in enumerate(read_table(source.root / table.path), start=1):
            if number == 1:
                _check_columns(source, table, row)
            collector.add(row, table, f"{table.path}:{number}")
    return collector.items()


def _check_columns(source: FolderSource, table: Table, row: Row) -> None:
    missing = sorted((source.columns.named() | set(source.where)) - set(row))
    if missing:
        raise DataError(
            f"{source.root / table.path} has no column '{missing[0]}'.{nearest(missing[0], list(row))} "
            "Correct [source.columns] or [source.where] in the recipe."
        )


_ANOTHER = "its study has another patient or split in an earlier row"


class _Collector:
    """Puts rows together to studies; what does not fit is refused by the id of its film or row."""

    def __init__(self, source: FolderSource) -> None:
        self._source = source
        self._studies: dict[str, Study] = {}
        self._images: dict[str, list[ImageRecord]] = {}
        self._questions: dict[str, list[Question]] = {}
        self._films: dict[str, tuple[str, str]] = {}
        self._seen: set[str] = set()
        self._rejected: list[RawStudy | Rejected] = []

    def items(self) -> list[RawStudy | Rejected]:
        """Return every study with its films, then everything refused."""
        raw = [
            RawStudy(
                study.model_copy(
                    update={
                        "images": tuple(self._images[study_id]),
                        "questions": tuple(self._questions.get(study_id, ())),
                    }
                )
            )
            for study_id, study in self._studies.items()
        ]
        return [*raw, *self._rejected]

    def add(self, row: Row, table: Table, row_id: str) -> None:
        """Take one row; `row_id` names it where it has no film of its own."""
        columns = self._source.columns
        paths = _first(row, columns.image)
        if problem := self._left_out(row) or ("the row names no film" if paths is None else None):
            self._reject(row_id, problem)
            return
        image_ids = []
        for path in paths if isinstance(paths, list) else [paths]:
            image_id = _text(row, columns.image_id) if isinstance(paths, str) else None
            image_ids.append(self._add_image(row, table, posixpath.normpath(str(path)), image_id))
        if columns.question:
            self._add_question(row, row_id, image_ids)

    def _left_out(self, row: Row) -> str | None:
        for name, words in self._source.where.items():
            if str(row.get(name)).lower() not in {word.lower() for word in words}:
                return f"left out by rule: the column '{name}' holds another word"
        return None

    def _add_image(self, row: Row, table: Table, path: str, image_id: str | None) -> str | None:
        """Take a film and return its id; None where it does not stand in the study of this row."""
        image_id = image_id or path
        study = _study(row, self._source, table, default_id=image_id)
        first = self._studies.get(study.study_id, study)
        another = (first.patient_id, first.split) != (study.patient_id, study.split)
        if self._source.columns.question and self._films.get(image_id) == (path, study.study_id):
            return None if another else image_id
        if problem := self._problem(path, image_id):
            self._reject(image_id, problem)
            return None
        self._seen.update((path, image_id))
        if another:
            self._reject(image_id, _ANOTHER)
            return None
        film = ImageRecord(
            image_id=image_id,
            path=str((self._source.root / path).absolute()),
            view=_view(_text(row, self._source.columns.view)),
        )
        self._studies.setdefault(study.study_id, study)
        self._films[image_id] = (path, study.study_id)
        self._images.setdefault(study.study_id, []).append(film)
        return image_id

    def _add_question(self, row: Row, row_id: str, image_ids: list[str | None]) -> None:
        columns = self._source.columns
        question, answer = _text(row, columns.question), _text(row, columns.answer)
        if question is None and answer is None:
            return
        films = tuple(image_id for image_id in image_ids if image_id is not None)
        studies = {self._films[image_id][1] for image_id in films}
        if question is None or answer is None:
            self._reject(f"{row_id}:question", "the row has a question without an answer, or the reverse")
        elif len(films) < len(image_ids) or len(studies) != 1:
            self._reject(f"{row_id}:question", "its films do not stand in the study, patient and split of the row")
        else:
            asked = Question(
                question=question,
                answer=answer,
                kind=read_answer_kind(_text(row, columns.answer_kind) or "", answer),
                topic=_text(row, columns.topic),
                image_ids=films,
            )
            told = self._questions.setdefault(studies.pop(), [])
            if asked in told:
                self._reject(f"{row_id}:question", "the same question and answer stand in an earlier row")
            else:
                told.append(asked)

    def _problem(self, path: str, image_id: str) -> str | None:
        if path.split("/", maxsplit=1)[0] == ".." or PurePath(path).is_absolute():
            return "its path leads out of the root folder"
        if path in self._seen or image_id in self._seen:
            return "the same film or id stands in an earlier row"
        if not (self._source.root / path).is_file():
            return "the file is missing"
        return None

    def _reject(self, item_id: str, reason: str) -> None:
        self._rejected.append(Rejected(item_id, reason))


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
        caption=_text(row, columns.caption),
        labels=_labels(row, columns.labels),
        split=table.split or source.split_words.get((_text(row, columns.split) or "").lower()),
        sex=read_sex(_text(row, columns.sex) or ""),
        age_years=read_age_years(_text(row, columns.age_years) or ""),
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
