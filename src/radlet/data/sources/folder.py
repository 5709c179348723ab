"""A folder of films with one or several tables beside it, any column names: the source for most published data sets.

The recipe says which column holds what; rows of the same study are put together. Feeds `ingest`.
"""

import json
import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.core.records import SECTIONS, ImageRecord, Question, Split, Study, View
from radlet.core.registry import nearest
from radlet.data.sources.base import ListedSource, RawStudy, Rejected
from radlet.data.sources.cells import read_age_years, read_answer_kind, read_sex
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
    caption: Names = ()
    """What a publication says below the film."""
    question: Names = ()
    """With `answer`: every row is a question about its film, and a film may stand in several rows."""
    answer: Names = ()
    answer_kind: Names = ()
    """OPEN or CLOSED; without it, questions answered by yes or no are closed."""
    topic: Names = ()
    """The type of question, in the set's own words."""
    options: Names = ()
    """The answers a question leaves to choose from: one column that holds a list, or a list of columns of one each."""
    labels: Names = ()
    """One column that holds a table ``name -> 0 or 1``, or a list of columns that hold 0 or 1 each. Anything else in a
    cell (blank, -1 for uncertain) means unknown."""
    split: Names = ()
    sex: Names = ()
    age_years: Names = ()
    site: Names = ()
    scanner: Names = ()
    """Maker and model of what took the film."""

    @model_validator(mode="after")
    def _asked_and_answered(self) -> Self:
        if bool(self.question) != bool(self.answer):
            raise ValueError("a question needs its answer: name both columns, or neither")
        return self

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
    where: dict[str, tuple[str, ...]] = {}
    """Column -> the words it may hold; other rows are left out, and listed. Capitals do not count."""
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
                parts = {name: tuple(part[name] for part in group.parts if name in part) for name in _PARTS}
                yield RawStudy(Study.model_validate({**group.head, **parts}))
            yield from index.rejected()
        finally:
            index.close()


def _check_columns(source: FolderSource, table: Table, row: Row) -> None:
    missing = sorted((source.columns.named() | set(source.where)) - set(row))
    if missing:
        raise DataError(
            f"{source.root / table.path} has no column '{missing[0]}'.{nearest(missing[0], list(row))} "
            "Correct [source.columns] or [source.where] in the recipe."
        )


_PARTS = ("images", "questions")
_ANOTHER = "its study has another patient or split in an earlier row"


class _Collector:
    """Puts rows together to studies; what does not fit is refused by the id of its film or row."""

    def __init__(self, source: FolderSource, index: StudyIndex) -> None:
        self._source = source
        self._index = index
        self._num_parts = 0

    def add(self, row: Row, table: Table, row_id: str) -> None:
        """Take one row; `row_id` names it where it has no film of its own."""
        columns = self._source.columns
        paths = _first(row, columns.image)
        if problem := self._left_out(row) or ("the row names no film" if paths is None else None):
            self._index.reject(row_id, problem)
            return
        image_ids = []
        for path in paths if isinstance(paths, list) else [paths]:
            image_id = _text(row, columns.image_id) if isinstance(paths, str) else None
            image_ids.append(self._add_image(row, table, posixpath.normpath(str(path)), image_id))
        if columns.question:
            self._add_question(row, row_id, image_ids)

    def _left_out(self, row: Row) -> str | None:
        if is_undecodable(row):
            return "the row is not UTF-8 text"
        for name, words in self._source.where.items():
            if str(row.get(name)).lower() not in {word.lower() for word in words}:
                return f"left out by rule: the column '{name}' holds another word"
        return None

    def _add_image(self, row: Row, table: Table, path: str, image_id: str | None) -> str | None:
        """Take a film and return its id; None where it does not stand in the study of this row."""
        image_id = image_id or path
        study = _study(row, self._source, table, default_id=image_id)
        known = self._index.study(study.study_id)
        another = known is not None and (known[1]["patient_id"], known[1]["split"]) != (study.patient_id, study.split)
        place = json.dumps([path, study.study_id])
        if self._source.columns.question and self._index.get("place", image_id) == place:
            return None if another else image_id
        problem = self._problem(path, image_id)
        for name in (path, image_id):
            self._index.put("film", name)
        if problem or another:
            self._index.reject(image_id, problem or _ANOTHER)
            return None
        number = known[0] if known else self._index.add_study(study.study_id, study.patient_id, _head(study))
        film = ImageRecord(
            image_id=image_id,
            path=str((self._source.root / path).absolute()),
            view=_view(_text(row, self._source.columns.view)),
        )
        self._index.put("place", image_id, place)
        self._add_part(number, "images", film)
        return image_id

    def _add_part(self, number: int, name: str, part: ImageRecord | Question) -> None:
        self._num_parts += 1
        self._index.add_part(number, (0, self._num_parts, ""), {name: part.model_dump(mode="json")})

    def _add_question(self, row: Row, row_id: str, image_ids: list[str | None]) -> None:
        columns = self._source.columns
        question, answer = _text(row, columns.question), _text(row, columns.answer)
        if question is None and answer is None:
            return
        films = tuple(image_id for image_id in image_ids if image_id is not None)
        studies = {json.loads(self._index.get("place", image_id) or "[0, 0]")[1] for image_id in films}
        if question is None or answer is None:
            self._index.reject(f"{row_id}:question", "the row has a question without an answer, or the reverse")
            return
        if len(films) < len(image_ids) or len(studies) != 1:
            self._index.reject(
                f"{row_id}:question", "its films do not stand in the study, patient and split of the row"
            )
            return
        asked = Question(
            question=question,
            answer=answer,
            kind=read_answer_kind(_text(row, columns.answer_kind) or "", answer),
            topic=_text(row, columns.topic),
            options=_options(row, columns.options),
            image_ids=films,
        )
        if asked.options and asked.answer not in asked.options:
            self._index.reject(f"{row_id}:question", "its answer is none of its options")
            return
        study = self._index.study(studies.pop())
        if study and self._index.put("question", f"{study[0]} {asked.model_dump_json()}"):
            self._add_part(study[0], "questions", asked)
        else:
            self._index.reject(f"{row_id}:question", "the same question and answer stand in an earlier row")

    def _problem(self, path: str, image_id: str) -> str | None:
        if path.split("/", maxsplit=1)[0] == ".." or PurePath(path).is_absolute():
            return "its path leads out of the root folder"
        if any(self._index.get("film", name) is not None for name in (path, image_id)):
            return "the same film or id stands in an earlier row"
        if not (self._source.root / path).is_file():
            return "the file is missing"
        return None


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
        scanner=_text(row, columns.scanner),
    )


def _head(study: Study) -> dict[str, Any]:
    return study.model_dump(mode="json", exclude=set(_PARTS))


def _first(row: Row, names: Names) -> Any:
    """Return the first value that is not empty."""
    values = (row.get(name) for name in ([names] if isinstance(names, str) else names))
    return next((value for value in values if value is not None and value != []), None)


def _text(row: Row, names: Names) -> str | None:
    value = _first(row, names)
    return None if value is None else str(value)


def _options(row: Row, names: Names) -> tuple[str, ...]:
    """Return the options of a question, each once, in their order."""
    cells = row.get(names) if isinstance(names, str) else [row.get(name) for name in names]
    cells = cells if isinstance(cells, list | tuple) else [cells]
    return tuple(dict.fromkeys(str(cell) for cell in cells if cell is not None and str(cell).strip()))


def _labels(row: Row, names: Names) -> dict[str, int]:
    cells = row.get(names) if isinstance(names, str) else {name: row.get(name) for name in names}
    if not isinstance(cells, dict):
        cells = {names: cells}
    known = {"0": 0, "0.0": 0, "False": 0, "1": 1, "1.0": 1, "True": 1}
    return {str(name): known[str(cell)] for name, cell in cells.items() if str(cell) in known}


def _view(word: str | None) -> View | None:
    return _VIEWS.get((word or "").upper())
