"""VinDr-CXR of two hospitals in Hanoi: DICOM films, labels and boxes that several radiologists gave, no reports."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import pydicom

from radlet.core.errors import DataError
from radlet.core.records import Box, Finding, Split, Study
from radlet.data.dicom_tags import number, orientation, text
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_age_years, read_sex, read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, read_columns, require_file
from radlet.data.tables import Row

LABELS: dict[str, str | None] = {
    "Aortic enlargement": "Enlarged Cardiomediastinum",
    "Atelectasis": "Atelectasis",
    "Calcification": None,
    "Cardiomegaly": "Cardiomegaly",
    "Clavicle fracture": "Fracture",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": None,
    "Enlarged PA": None,
    "ILD": "Lung Opacity",
    "Infiltration": "Lung Opacity",
    "Lung Opacity": "Lung Opacity",
    "Lung cavity": "Lung Lesion",
    "Lung cyst": "Lung Lesion",
    "Mediastinal shift": None,
    "Nodule/Mass": "Lung Lesion",
    "Pleural effusion": "Pleural Effusion",
    "Pleural thickening": "Pleural Other",
    "Pneumothorax": "Pneumothorax",
    "Pulmonary fibrosis": None,
    "Rib fracture": "Fracture",
    "Other lesion": None,
    "COPD": None,
    "Lung tumor": "Lung Lesion",
    "Pneumonia": "Pneumonia",
    "Tuberculosis": None,
    "Other disease": None,
}
"""The labels -> the CheXpert observation each counts as, where there is one; the first 22 are those with boxes."""
_NORMAL = "No finding"
_OTHER_SPELLINGS = {"Other diseases": "Other disease"}
"""The table of the training films spells one column otherwise than that of the test films."""
_SPLITS: tuple[Split, ...] = ("train", "test")
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_TAGS = ["Rows", "Columns", "PatientOrientation", "PatientSex", "PatientAge"]
_SAME_PLACE = 0.5
"""Boxes of two readers that share more than this (intersection over union) mark the same thing."""

Marks = list[tuple[str, tuple[str, ...]]]
"""Label and corners, as the cells have them."""


class _Header(NamedTuple):
    """What the header of a film tells; `size_px` is (width, height), None where boxes cannot be placed."""

    size_px: tuple[float, float] | None = None
    sex: str = ""
    age: str = ""


class VinDrCxrSource(Source):
    """VinDr-CXR with its published split: every film is a PA view and a study of its own."""

    terms: ClassVar[str | None] = (
        "PhysioNet, credentialed: training in human-subjects research and a signed agreement; no sharing."
    )
    kind: Literal["vindr_cxr"] = "vindr_cxr"
    root: Path
    """Folder of ``train/``, ``test/`` and of the tables, which may stand in ``annotations/``."""
    agreement: Literal["majority", "any", "all"] = "majority"
    """How many of the three readers of a training film have to see a label. A test film has one row, by consensus."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the films of one shard as studies, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: A table is missing, cannot be read or lacks a column.
        """
        groups = ShardOfStudies(shard, num_shards).group(self._rows(), lambda row: read_text(row, "image_id"))
        marks = self._marks(groups)
        for image_id, rows in groups.items():
            gathered = FilmsOfStudy(self.root)
            split: Split = rows[0]["split"]
            if any(row["split"] != split for row in rows):
                gathered.refuse(image_id, "in the tables of both splits")
            else:
                gathered.add(image_id, [f"{split}/{image_id}{suffix}" for suffix in (".dicom", ".dcm")], "PA")
            header = _read_header(Path(gathered.images[0].path)) if gathered.images else _Header()
            labels = _agreed(rows, self.agreement)
            yield from gathered.items(
                Study(
                    study_id=image_id,
                    # The set tells no patients.
                    patient_id=image_id,
                    images=(),
                    labels=labels,
                    truth=_findings(gathered, image_id, labels, marks.get(image_id, []), header.size_px),
                    split=split,
                    sex=read_sex(header.sex),
                    age_years=read_age_years(header.age),
                )
            )

    def _rows(self) -> Iterator[Row]:
        for split in _SPLITS:
            for row in read_columns(self._table(f"image_labels_{split}"), ("image_id", _NORMAL)):
                spelt = {_OTHER_SPELLINGS.get(name, name): value for name, value in row.items()}
                if missing := sorted(set(LABELS) - set(spelt)):
                    raise DataError(f"{self.root}: the {split} table of labels has no column '{missing[0]}'.")
                yield {**spelt, "split": split}

    def _marks(self, wanted: dict[str, list[Row]]) -> dict[str, Marks]:
        found: dict[str, Marks] = {}
        for split in _SPLITS:
            for row in read_columns(self._table(f"annotations_{split}"), ("image_id", "class_name", *_CORNERS)):
                image_id, label = read_text(row, "image_id"), read_text(row, "class_name")
                if image_id in wanted and label != _NORMAL:
                    corners = tuple(read_text(row, corner) for corner in _CORNERS)
                    found.setdefault(image_id, []).append((label, corners))
        return found

    def _table(self, name: str) -> Path:
        folder = self.root / "annotations"
        return require_file(folder if folder.is_dir() else self.root, (f"{name}.csv", f"{name}.csv.gz"), "table")


def _agreed(rows: Sequence[Row], agreement: Literal["majority", "any", "all"]) -> dict[str, int]:
    """Return all labels as 1 or 0 from one row a reader."""
    needed = {"majority": len(rows) // 2 + 1, "any": 1, "all": len(rows)}[agreement]
    votes = Counter(name for row in rows for name in LABELS if read_text(row, name) in ("1", "1.0"))
    labels = {name: int(votes[name] >= needed) for name in LABELS}
    # Readers who each see something else agree on no label, yet none of them calls the film normal.
    normal = sum(read_text(row, _NORMAL) in ("1", "1.0") for row in rows)
    return labels | {_NORMAL: int(normal >= needed and not any(labels.values()))}


def _read_header(path: Path) -> _Header:
    """Return what is needed of a film's header; nothing where it cannot be read, which `ingest` will say."""
    try:
        with refusing("the header cannot be read", DataError), quiet_libraries():
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_TAGS))
            height, width = number(header, "Rows"), number(header, "Columns")
            # A film that is turned on reading would leave its boxes behind.
            upright = orientation(header) in (None, ("L", "F"))
            size_px = (width, height) if upright and width and height else None
            return _Header(size_px, text(header, "PatientSex"), text(header, "PatientAge"))
    except DataError:
        return _Header()


def _findings(
    gathered: FilmsOfStudy,
    image_id: str,
    labels: dict[str, int],
    marks: Marks,
    size_px: tuple[float, float] | None,
) -> tuple[Finding, ...] | None:
    """Return the agreed labels as findings, one for each place and one for each label without any.

    None where nothing that is there counts as a CheXpert observation: an empty truth would call the film normal.
    """
    present = {name: LABELS[name] for name in LABELS if labels[name]}
    boxes: dict[str, list[Box]] = {}
    try:
        for label, corners in marks if size_px else ():
            boxes.setdefault(_OTHER_SPELLINGS.get(label, label), []).append(_box(corners, size_px or (1, 1)))
    except ValueError:
        boxes = {}
        gathered.refuse(f"{image_id}:boxes", "a box cannot be read; the film is kept without its boxes")
    found = [
        Finding(kind=name, observation=observation, boxes=places)
        for name, observation in present.items()
        if observation
        for places in [{image_id: box} for box in merge_boxes(boxes.get(name, []))] or [{}]
    ]
    return tuple(found) if found or not present else None


def _box(corners: tuple[str, ...], size_px: tuple[float, float]) -> Box:
    x_min, y_min, x_max, y_max = (
        min(max(float(corner) / side, 0.0), 1.0) for corner, side in zip(corners, (*size_px, *size_px), strict=True)
    )
    return Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)


def merge_boxes(boxes: Sequence[Box]) -> list[Box]:
    """Return one box for each place: the mean of the boxes that lie on the first of them there."""
    places: list[list[Box]] = []
    for box in boxes:
        place = next((place for place in places if _overlap(place[0], box) > _SAME_PLACE), None)
        if place is None:
            places.append([box])
        else:
            place.append(box)
    return [
        Box(**{corner: sum(getattr(box, corner) for box in place) / len(place) for corner in _CORNERS})
        for place in places
    ]


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection over the union of two boxes; 0 where both are empty."""
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    shared = max(width, 0.0) * max(height, 0.0)
    union = sum((box.x_max - box.x_min) * (box.y_max - box.y_min) for box in (one, other)) - shared
    return shared / union if union > 0 else 0.0
