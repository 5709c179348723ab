"""SLAKE: questions in English and Chinese about films of five body regions, with boxes of organs and diseases."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image

from radlet.core.errors import DataError
from radlet.core.records import Box, Finding, Split, Study
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, find_file, read_columns
from radlet.data.sources.questions import gather_questions
from radlet.data.tables import Row, read_table

_FILES: dict[Split, tuple[str, ...]] = {
    "train": ("train.json",),
    "dev": ("validate.json", "validation.json"),
    "test": ("test.json",),
}
_NEEDED = ("img_name", "question", "answer", "q_lang", "modality", "location")
_CHEST = ("CHEST", "LUNG")
_DISEASES = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "effusion": "Pleural Effusion",
    "infiltration": "Lung Opacity",
    "mass": "Lung Lesion",
    "nodule": "Lung Lesion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}
"""Last word of a box's label on a chest film -> the CheXpert observation it counts as; other boxes are of organs."""

Language = Literal["en", "zh"]


class SlakeSource(Source):
    """SLAKE with its published split, which is by film."""

    terms: ClassVar[str | None] = (
        "Open, without registration; CC BY 4.0; its films come from sets with terms of their own."
    )
    kind: Literal["slake"] = "slake"
    root: Path
    """Folder of ``imgs/`` and of the JSON files of the splits; those that are there are read."""
    languages: tuple[Language, ...] = ("en",)
    """Languages of the questions that are read; about half are Chinese."""
    chest_xrays_only: bool = False
    """Leave out CT, MRI and films of other regions."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the films of one shard as studies, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: There is no file of questions, or one cannot be read or lacks a field.
        """
        groups = ShardOfStudies(shard, num_shards).group(self._rows(), _film)
        for film, rows in groups.items():
            gathered = FilmsOfStudy(self.root)
            # Folders are named xmlab<number>; the file in them is always called source.jpg.
            name = film.rpartition("/")[0].rpartition("/")[2] or film
            if problem := self._problem(rows):
                gathered.refuse(name, problem)
            else:
                gathered.add(name, [f"imgs/{film}", film], None)
            wanted = [row for row in rows if read_text(row, "q_lang").lower() in self.languages]
            yield from gathered.items(
                Study(
                    study_id=name,
                    # The set tells no patients.
                    patient_id=name,
                    images=(),
                    questions=gather_questions(gathered, wanted, "content_type"),
                    truth=_findings(gathered, name) if _is_chest_xray(rows[0]) else None,
                    split=rows[0]["split"],
                )
            )

    def _rows(self) -> Iterator[Row]:
        found = {split: find_file(self.root, names) for split, names in _FILES.items()}
        if not any(found.values()):
            raise DataError(
                f"{self.root}: holds no file of questions ({', '.join(n for f in _FILES.values() for n in f)})."
            )
        for split, path in found.items():
            for number, row in enumerate(read_columns(path, _NEEDED) if path else (), start=1):
                yield {**row, "split": split, "row_id": f"{split}:{number}"}

    def _problem(self, rows: list[Row]) -> str | None:
        if not read_text(rows[0], "img_name"):
            return "the row names no film"
        if any(row["split"] != rows[0]["split"] for row in rows):
            return "its questions are in several splits"
        if self.chest_xrays_only and not _is_chest_xray(rows[0]):
            return "left out by rule: not a chest radiograph"
        return None


def _film(row: Row) -> str:
    return read_text(row, "img_name") or str(row["row_id"])


def _is_chest_xray(row: Row) -> bool:
    modality = re.sub(r"[^A-Z]", "", read_text(row, "modality").upper())
    return modality == "XRAY" and read_text(row, "location").upper().startswith(_CHEST)


def _findings(gathered: FilmsOfStudy, image_id: str) -> tuple[Finding, ...] | None:
    """Return the diseases that are boxed on a film; None where none is, since an empty truth would call it normal."""
    if not gathered.images:
        return None
    film = Path(gathered.images[0].path)
    try:
        marks = list(_boxes(film.with_name("detection.json")))
        size_px = _size_px(film) if marks else (1, 1)
        found = [
            Finding(kind=label.lower(), observation=observation, boxes={image_id: _box(corners, size_px)})
            for label, corners in marks
            if (observation := _DISEASES.get(label.lower().split()[-1]))
        ]
    except (DataError, ValueError, TypeError):
        gathered.refuse(f"{image_id}:boxes", "its boxes cannot be read; the film is kept without them")
        return None
    return tuple(found) or None


def _boxes(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield label and [x, y, width, height] in pixels; a film without the file has no boxes."""
    if path.is_file():
        for row in read_table(path):
            yield from ((label, corners) for label, corners in row.items() if label.strip())


def _size_px(path: Path) -> tuple[int, int]:
    with quiet_libraries(), refusing("the size of the film cannot be read", DataError), Image.open(path) as image:
        width, height = image.size
    return width, height


def _box(corners: Any, size_px: tuple[int, int]) -> Box:
    x, y, width, height = (float(corner) for corner in corners)
    right, bottom = size_px
    ends = {"x_min": x / right, "y_min": y / bottom, "x_max": (x + width) / right, "y_max": (y + height) / bottom}
    return Box(**{name: min(max(end, 0.0), 1.0) for name, end in ends.items()})
