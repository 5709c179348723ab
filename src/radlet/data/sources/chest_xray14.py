"""NIH ChestX-ray14: a table of films with labels mined from reports that were never published, and some boxes."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.errors import DataError
from radlet.core.records import Box, Finding, Split, Study, View
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_age_years, read_sex, read_text
from radlet.data.sources.published import (
    FilmsOfStudy,
    ShardOfStudies,
    find_file,
    previous_studies,
    read_columns,
    read_ids,
    require_file,
)
from radlet.data.tables import Row

LABELS: dict[str, str | None] = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Effusion": "Pleural Effusion",
    "Emphysema": None,
    "Fibrosis": None,
    "Hernia": None,
    "Infiltration": "Lung Opacity",
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Pleural_Thickening": "Pleural Other",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
}
"""The 14 labels -> the CheXpert observation each counts as, where there is one."""
_NORMAL = "No Finding"
_OTHER_SPELLINGS = {"Infiltrate": "Infiltration"}
"""The table of boxes spells one label otherwise than the table of films."""
_BOX_FRAME_PX = 1024.0
"""Boxes are told in pixels of the films as published, which are 1024 square."""
_BOX_COLUMNS = ("Bbox [x", "y", "w", "h]")
_FOLDERS = ("images", *(f"images_{number:03d}/images" for number in range(1, 13)), "")
_NEEDED = ("Image Index", "Finding Labels", "Patient ID")


class ChestXray14Source(Source):
    """ChestX-ray14 with its published train/test lists: labels without reports, every film a study of its own."""

    terms: ClassVar[str | None] = "NIH Clinical Center, open; free use with the citation asked for (Wang et al. 2017)."
    kind: Literal["chest_xray14"] = "chest_xray14"
    root: Path
    """Folder of ``Data_Entry_2017*.csv``, the two lists and ``images/`` (or ``images_001/images/`` …)."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the films of one shard as studies, each followed by what was refused of it; `seed` changes nothing.

        Films of ``train_val_list.txt`` are train: the set publishes no validation split of its own.

        Raises:
            DataError: A table or list is missing, cannot be read or lacks a column.
        """
        table = require_file(self.root, ("Data_Entry_2017*.csv",), "table of films")
        splits = _read_splits(self.root)
        boxes = _read_boxes(self.root)
        priors = previous_studies(_moments(table))
        rows = read_columns(table, _NEEDED)
        groups = ShardOfStudies(shard, num_shards).group(rows, lambda row: read_text(row, "Image Index"))
        for image_id, group in groups.items():
            gathered = FilmsOfStudy(self.root)
            for row in group:
                _add_film(gathered, image_id, row, splits)
            yield from gathered.items(_study(image_id, group[0], splits, boxes, priors))


def _read_splits(root: Path) -> dict[str, set[Split]]:
    found: dict[str, set[Split]] = {}
    lists: tuple[tuple[str, Split], ...] = (("train_val_list*.txt", "train"), ("test_list*.txt", "test"))
    for pattern, split in lists:
        for image_id in read_ids(require_file(root, (pattern,), "published list")):
            found.setdefault(image_id, set()).add(split)
    return found


def _read_boxes(root: Path) -> dict[str, list[tuple[str, Box]]]:
    """Return ``film -> (label, box)``; the header of that table breaks one name over four columns."""
    path = find_file(root, ("BBox_List_2017*.csv",))
    found: dict[str, list[tuple[str, Box]]] = {}
    for number, row in enumerate(read_columns(path, ("Image Index", "Finding Label", *_BOX_COLUMNS)) if path else ()):
        try:
            x, y, width, height = (float(read_text(row, column)) / _BOX_FRAME_PX for column in _BOX_COLUMNS)
            box = Box(x_min=_within(x), y_min=_within(y), x_max=_within(x + width), y_max=_within(y + height))
        except ValueError:
            raise DataError(
                f"{path}: the box of row {number + 1} cannot be read. Restore the published table."
            ) from None
        found.setdefault(read_text(row, "Image Index"), []).append((_spelt(read_text(row, "Finding Label")), box))
    return found


def _within(share: float) -> float:
    """Boxes at the edge overshoot it by parts of a pixel."""
    return min(max(share, 0.0), 1.0)


def _spelt(label: str) -> str:
    return _OTHER_SPELLINGS.get(label, label)


def _moments(table: Path) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    for row in read_columns(table, _NEEDED):
        if (number := read_text(row, "Follow-up #")).isdigit():
            yield read_text(row, "Image Index"), read_text(row, "Patient ID"), (float(number),)


def _add_film(gathered: FilmsOfStudy, image_id: str, row: Row, splits: dict[str, set[Split]]) -> None:
    held = splits.get(image_id, set())
    if not _labels(row):
        gathered.refuse(image_id, "its labels are none of the 14, nor No Finding")
    elif len(held) != 1:
        gathered.refuse(image_id, "on both published lists" if held else "on neither published list")
    else:
        views: dict[str, View] = {"PA": "PA", "AP": "AP"}
        paths = [f"{folder}/{image_id}" if folder else image_id for folder in _FOLDERS]
        gathered.add(image_id, paths, views.get(read_text(row, "View Position")))


def _labels(row: Row) -> dict[str, int]:
    """Return all labels as 1 or 0; nothing where a word is unknown, because then the zeros would not be sure."""
    words = {_spelt(word.strip()) for word in read_text(row, "Finding Labels").split("|")}
    if not words or words - {*LABELS, _NORMAL} or (_NORMAL in words and len(words) > 1):
        return {}
    return {name: int(name in words) for name in (*LABELS, _NORMAL)}


def _study(
    image_id: str,
    row: Row,
    splits: dict[str, set[Split]],
    boxes: dict[str, list[tuple[str, Box]]],
    priors: dict[str, str],
) -> Study:
    labels = _labels(row)
    return Study(
        study_id=image_id,
        patient_id=read_text(row, "Patient ID"),
        images=(),
        labels=labels,
        truth=_findings(image_id, labels, boxes[image_id]) if image_id in boxes else None,
        split=next(iter(sorted(splits.get(image_id, set()))), None),
        sex=read_sex(read_text(row, "Patient Gender") or read_text(row, "Patient Sex")),
        age_years=read_age_years(read_text(row, "Patient Age")),
        prior_study_id=priors.get(image_id),
    )


def _findings(image_id: str, labels: dict[str, int], boxes: list[tuple[str, Box]]) -> tuple[Finding, ...]:
    """Return the labels of a film with boxes as findings, one for each box and one for each label without any.

    A truth has to be whole, and the labels beside the boxes are the mined ones: it is as good as those are.
    """
    boxed = [(name, {image_id: box}) for name, box in boxes]
    unboxed: list[tuple[str, dict[str, Box]]] = [
        (name, {}) for name, present in labels.items() if present and name not in {label for label, _ in boxes}
    ]
    found = []
    for name, places in [*boxed, *unboxed]:
        if observation := LABELS.get(name):
            found.append(Finding(kind=name, observation=observation, boxes=places))
    return tuple(found)
