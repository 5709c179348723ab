"""VQA-RAD: questions that clinicians asked about films of MedPix, with their answers; head, chest and abdomen."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.records import Split, Study
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, read_columns, require_file
from radlet.data.sources.questions import gather_questions
from radlet.data.tables import Row

_FILES = ("VQA_RAD Dataset Public.json", "*VQA*RAD*.json")
_FOLDERS = ("VQA_RAD Image Folder", "images", ".")
_NEEDED = ("image_name", "image_organ", "question", "answer", "answer_type", "question_type", "phrase_type")
_CHEST = "CHEST"
_NOTHING = "NULL"
_OTHER_SPELLINGS = {"PRSE": "PRES", "ATRIB": "ATTRIB"}


class VqaRadSource(Source):
    """VQA-RAD in its published form: one JSON of questions beside a folder of films."""

    terms: ClassVar[str | None] = "Open Science Framework, open, without registration; CC0 1.0."
    kind: Literal["vqa_rad"] = "vqa_rad"
    root: Path
    """Folder of the JSON; the films stand in it, in ``images/`` or in ``VQA_RAD Image Folder/``."""
    chest_xrays_only: bool = False
    """Leave out films of head and abdomen. The chest films are all radiographs."""
    split: Literal["none", "published"] = "none"
    """``published`` keeps the test questions together with no other question about their patients; without it, `build`
    deals patients out to splits."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the films of one shard as studies, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: The JSON is missing, cannot be read or lacks a field.
        """
        rows = list(self._rows())
        patients = _patients(rows)
        tested = {patients[_film(row)] for row in rows if _is_test(row)}
        for name, asked in ShardOfStudies(shard, num_shards).group(rows, _film).items():
            gathered = FilmsOfStudy(self.root)
            split = self._split_of(patients[name] in tested)
            kept = [row for row in asked if split != "test" or _is_test(row)]
            if len(kept) < len(asked):
                left_out = len(asked) - len(kept)
                gathered.refuse(f"{name}:questions", f"left out by rule: {left_out} other questions on a test patient")
            if problem := self._rule_against(asked[0], kept):
                gathered.refuse(name, problem)
            else:
                gathered.add(name, [f"{folder}/{name}" for folder in _FOLDERS], None)
            yield from gathered.items(
                Study(
                    study_id=name,
                    patient_id=patients[name],
                    images=(),
                    questions=gather_questions(gathered, kept, "question_type"),
                    split=split,
                )
            )

    def _rows(self) -> Iterator[Row]:
        path = require_file(self.root, _FILES, "file of questions")
        for number, row in enumerate(read_columns(path, _NEEDED), start=1):
            topics = [word.strip().upper() for word in read_text(row, "question_type").split(",")]
            mended = ",".join(_OTHER_SPELLINGS.get(word, word) for word in topics)
            yield {**row, "row_id": f"{path.name}:{number}", "question_type": mended}

    def _split_of(self, tested: bool) -> Split | None:
        if self.split == "none":
            return None
        return "test" if tested else "train"

    def _rule_against(self, row: Row, kept: list[Row]) -> str | None:
        if not read_text(row, "image_name"):
            return "the row names no film"
        if self.chest_xrays_only and read_text(row, "image_organ").upper() != _CHEST:
            return "left out by rule: not a film of the chest"
        return None if kept else "left out by rule: none of its questions is in the test split of its patient"


def _film(row: Row) -> str:
    return read_text(row, "image_name") or str(row["row_id"])


def _is_test(row: Row) -> bool:
    return read_text(row, "phrase_type").lower().startswith("test")


def _patients(rows: Iterable[Row]) -> dict[str, str]:
    """Return ``film -> patient``: the MedPix case, where cases that share a film are one.

    Some films stand under the addresses of several cases. A film without any is a patient of its own.
    """
    earlier: dict[tuple[str, str], tuple[str, str]] = {}

    def first(node: tuple[str, str]) -> tuple[str, str]:
        while earlier.setdefault(node, node) != node:
            node = earlier[node]
        return node

    films = set()
    for row in rows:
        film = ("film", _film(row))
        films.add(film)
        address = read_text(row, "image_case_url")
        if address and address != _NOTHING:
            known, told = first(film), first(("case", address.rpartition("id=")[2]))
            later, sooner = (known, told) if known[0] == "film" else (told, known)
            earlier[later] = sooner
    return {film[1]: first(film)[1] for film in films}
