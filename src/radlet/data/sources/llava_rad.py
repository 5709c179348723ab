"""LLaVA-Rad's annotation of MIMIC-CXR: one JSON array a split, one row an image and way of getting its findings.

A row is a study of its own here, because the two rows of an image (``rule-based``, ``gpt4``) have different findings.
They share the film, which is stored once.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, SPLITS, Split, Study, View
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import LabelRule, read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, find_file, read_columns
from radlet.data.tables import Row

_FILES: dict[Split, tuple[str, ...]] = {
    "train": ("*train*.json",),
    "dev": ("*dev*.json", "*val*.json"),
    "test": ("*test*.json",),
}
Method = Literal["rule-based", "gpt4"]
_METHODS: tuple[Method, ...] = ("rule-based", "gpt4")
_FRONTAL: dict[str, View] = {"AP": "AP", "PA": "PA"}
_FILM = re.compile(r"(?:^|/)(p\d\d/p(\d+)/s\d+/([^/]+)\.\w+)$")
_COLUMNS = ("image", "generate_method", "view", "conversations")


class LlavaRadSource(Source):
    """LLaVA-Rad's annotation JSON over the films of MIMIC-CXR-JPG, by the rules of its loader.

    These are: frontal films that have findings; for training both rows of an image, for judging the rule-based one
    alone. Dev counts as judging.
    """

    terms: ClassVar[str | None] = "PhysioNet, credentialed, as MIMIC-CXR, whose films it needs."
    kind: Literal["llava_rad"] = "llava_rad"
    root: Path
    """Folder of MIMIC-CXR-JPG, the one that holds ``files/``."""
    annotations_dir: Path
    """Folder of the annotation files, whose names tell train, dev and test; those that are there are read."""
    train_methods: tuple[Method, ...] = _METHODS
    """Whose findings are trained on."""
    label_rule: LabelRule = LabelRule()

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the rows of one shard as studies, and the rows that the rules leave out; `seed` changes nothing.

        Raises:
            DataError: There is no annotation file, or one cannot be read or lacks a field.
        """
        # All rows of a film fall into one shard, so that no two processes write its file.
        for film_rows in ShardOfStudies(shard, num_shards).group(self._rows(), _film_id).values():
            by_method: dict[str, list[Row]] = {}
            for row in film_rows:
                by_method.setdefault(_row_id(row), []).append(row)
            for row_id, rows in by_method.items():
                gathered = FilmsOfStudy(self.root)
                self._add_film(gathered, row_id, rows[0], film_rows[0]["split"])
                for _ in rows[1:]:
                    gathered.refuse(row_id, "the same film and method stand in an earlier row")
                yield from gathered.items(self._study(row_id, rows[0]))

    def _rows(self) -> Iterator[Row]:
        """Yield every row with its split, test first: of a film that stands in two files, the judged row counts."""
        found = {split: find_file(self.annotations_dir, _FILES[split]) for split in reversed(SPLITS)}
        if not any(found.values()):
            raise DataError(f"{self.annotations_dir}: holds no annotation file such as chat_train….json.")
        for split, path in found.items():
            for number, row in enumerate(read_columns(path, _COLUMNS) if path else (), start=1):
                yield {**row, "split": split, "number": number}

    def _add_film(self, gathered: FilmsOfStudy, row_id: str, row: Row, split: Split) -> None:
        """Take the film of a row; `split` is the one that counts for the film."""
        film = _FILM.search(read_text(row, "image"))
        if film is None:
            gathered.refuse(row_id, "the row names no film of MIMIC-CXR")
        elif problem := self._rule_against(row):
            gathered.refuse(row_id, problem)
        elif row["split"] != split:
            gathered.refuse(row_id, f"its film is in {split} too")
        else:
            gathered.add(film[3], [f"files/{film[1]}", film[1]], _FRONTAL[read_text(row, "view").upper()])

    def _rule_against(self, row: Row) -> str | None:
        method = read_text(row, "generate_method")
        if method not in _METHODS:
            return "its generate_method is neither rule-based nor gpt4"
        if method not in (self.train_methods if row["split"] == "train" else ("rule-based",)):
            return f"left out by rule: {method} in {row['split']}"
        if read_text(row, "view").upper() not in _FRONTAL:
            return "left out by rule: not a frontal film"
        return None if _answer(row) else "left out by rule: no findings"

    def _study(self, row_id: str, row: Row) -> Study:
        film = _FILM.search(read_text(row, "image"))
        sections = {
            "indication": _one_line(read_text(row, "reason") or read_text(row, "indication")),
            "history": _one_line(read_text(row, "history")),
            "findings": _answer(row),
            "impression": read_text(row, "impression"),
        }
        labels = row.get("chexpert_labels")
        return Study(
            study_id=row_id,
            patient_id=film[2] if film else row_id,
            images=(),
            sections={name: text for name, text in sections.items() if text},
            labels=self.label_rule.read(labels, OBSERVATIONS) if isinstance(labels, dict) else {},
            split=row["split"],
        )


def _film_id(row: Row) -> str:
    film = _FILM.search(read_text(row, "image"))
    return film[3] if film else _row_id(row)


def _row_id(row: Row) -> str:
    """Return ``<film>-<method>``, which two rows of a film do not share; a row without a film goes by its number."""
    film = _FILM.search(read_text(row, "image"))
    method = read_text(row, "generate_method")
    return f"{film[3]}-{method if method in _METHODS else 'other'}" if film else f"{row['split']}:{row['number']}"


def _answer(row: Row) -> str:
    """Return the last turn of the model's side, which is the findings."""
    turns: Any = row.get("conversations")
    said = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return next((read_text(turn, "value") for turn in reversed(said) if turn.get("from") == "gpt"), "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
