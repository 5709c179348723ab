"""PathVQA: questions about pathology images, as tables that hold the images themselves, or lists beside a folder."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from radlet.core.errors import DataError
from radlet.core.records import ImageRecord, Split, Study
from radlet.data.raster import read_raster
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, read_columns
from radlet.data.sources.questions import gather_questions
from radlet.data.tables import Row

_SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "dev": ("validation", "val"), "test": ("test",)}
_PATTERNS = ("data/{0}-*.parquet", "{0}-*.parquet", "{0}/*.arrow", "{0}.json", "{0}_qa.json", "qas/{0}/{0}_qa.json")
_NEEDED = ("image", "question", "answer")


class PathVqaSource(Source):
    """PathVQA in the forms that hold no program code: Parquet, Arrow or JSON. Its pickles are not read."""

    terms: ClassVar[str | None] = (
        "Open, without registration; MIT for the questions, the images are the publishers' of the textbooks."
    )
    kind: Literal["path_vqa"] = "path_vqa"
    root: Path
    """Folder of ``data/train-….parquet`` and its like, of ``train/….arrow``, or of ``train.json`` and ``images/``."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the images of one shard as studies, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: There is no table, or one cannot be read or lacks a column.
        """
        contents = _Contents()
        shard_of = ShardOfStudies(shard, num_shards)
        groups: dict[str, list[Row]] = {}
        for row in self._rows():
            name = contents.name_of(row)
            if shard_of.holds(name):
                contents.keep(name, row)
                groups.setdefault(name, []).append({**row, "image": None})
        for name, rows in groups.items():
            yield from self._study(name, rows, contents)

    def _study(self, name: str, rows: list[Row], contents: "_Contents") -> Iterator[RawStudy | Rejected]:
        gathered = FilmsOfStudy(self.root)
        split: Split = rows[0]["split"]
        stored = contents.bytes_of(name)
        pixels = {}
        if any(row["split"] != split for row in rows):
            gathered.refuse(name, "its questions are in several splits")
        elif stored is None:
            gathered.add(name, contents.places_of(name, rows[0]), None)
        else:
            try:
                pixels[name] = read_raster(stored)
                gathered.images.append(ImageRecord(image_id=name, path=""))
            except DataError as error:
                gathered.refuse(name, str(error))
        # The set tells no patients.
        study = Study(study_id=name, patient_id=name, images=(), split=split)
        study = study.model_copy(update={"questions": gather_questions(gathered, rows, "")})
        for item in gathered.items(study):
            yield RawStudy(item.study, pixels) if isinstance(item, RawStudy) else item

    def _rows(self) -> Iterator[Row]:
        found = {split: self._files(words) for split, words in _SPLITS.items()}
        if not any(found.values()):
            pickles = any(self.root.rglob("*.pkl"))
            raise DataError(
                f"{self.root}: holds no table of questions such as data/train-….parquet."
                + (" Its pickles are not read: they can run code. Get the Parquet form." if pickles else "")
            )
        for split, paths in found.items():
            for path in paths:
                for number, row in enumerate(read_columns(path, _NEEDED), start=1):
                    yield {**row, "split": split, "row_id": f"{path.name}:{number}"}

    def _files(self, words: tuple[str, ...]) -> list[Path]:
        for pattern in _PATTERNS:
            for word in words:
                if paths := sorted(self.root.glob(pattern.format(word))):
                    return paths
        return []


class _Contents:
    """The images of a shard: by their bytes, so that an image that stands in many rows is one study."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def name_of(self, row: Row) -> str:
        """Return the digest of an image, or its name where the table holds no bytes."""
        stored = _stored(row["image"])
        if stored is not None:
            return hashlib.sha256(stored).hexdigest()[:20]
        return _told(row["image"]) or str(row["row_id"])

    def keep(self, name: str, row: Row) -> None:
        """Remember an image of the shard."""
        stored = _stored(row["image"])
        if stored is not None:
            self._bytes.setdefault(name, stored)

    def bytes_of(self, name: str) -> bytes | None:
        """Return the bytes of an image; None where it stands in a folder."""
        return self._bytes.get(name)

    def places_of(self, name: str, row: Row) -> list[str]:
        """Return where the file of an image may be."""
        files = [name] if Path(name).suffix else [f"{name}.jpg", f"{name}.png"]
        folders = [f"images/{word}" for word in _SPLITS[row["split"]]]
        return [f"{folder}/{file}" for folder in (*folders, "images", ".") for file in files]


def _stored(cell: Any) -> bytes | None:
    stored = cell.get("bytes") if isinstance(cell, dict) else cell
    return stored if isinstance(stored, bytes) else None


def _told(cell: Any) -> str:
    return read_text(cell, "path") if isinstance(cell, dict) else cell if isinstance(cell, str) else ""
