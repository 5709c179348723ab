"""BRAX of the Hospital Israelita Albert Einstein: films as DICOM and PNG, CheXpert's labels, no reports."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.records import OBSERVATIONS, Study, View
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import LabelRule, read_age_years, read_sex, read_text
from radlet.data.sources.published import (
    FilmsOfStudy,
    ShardOfStudies,
    previous_studies,
    read_columns,
    read_numbered,
    require_file,
)
from radlet.data.tables import Row

_TABLES = ("master_spreadsheet_update*.csv", "master_spreadsheet*.csv")
"""The later release corrects the earlier, and leaves it its name."""
_PATHS = {"png": "PngPath", "dicom": "DicomPath"}
_NEEDED = ("DicomPath", "PngPath", "PatientID", "AccessionNumber", "ViewPosition", *OBSERVATIONS)
_VIEWS: dict[str, View] = {
    "PA": "PA", "AP": "AP", "L": "LATERAL", "LATERAL": "LATERAL", "LL": "LATERAL", "RL": "LATERAL",
}  # fmt: skip


class BraxSource(Source):
    """BRAX: one table of films with labels of a labeller, beside ``Anonymized_DICOMs/`` and ``images/``."""

    terms: ClassVar[str | None] = (
        "PhysioNet, credentialed: training in human-subjects research and a signed agreement; no sharing."
    )
    kind: Literal["brax"] = "brax"
    root: Path
    """Folder of ``master_spreadsheet_update.csv`` (or ``master_spreadsheet.csv``) and of the films."""
    films: Literal["png", "dicom"] = "png"
    """Which of the two forms of the films is read."""
    label_rule: LabelRule = LabelRule()

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies of one shard, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: The table is missing, cannot be read or lacks a column.
        """
        table = require_file(self.root, _TABLES, "table of films")
        priors = previous_studies(_moments(table))
        for study_id, rows in ShardOfStudies(shard, num_shards).group(read_numbered(table, _NEEDED), _study_id).items():
            gathered = FilmsOfStudy(self.root)
            for row in rows:
                self._add_film(gathered, row, rows[0])
            yield from gathered.items(
                Study(
                    study_id=study_id,
                    patient_id=read_text(rows[0], "PatientID") or study_id,
                    images=(),
                    labels=self.label_rule.read(rows[0], OBSERVATIONS),
                    sex=read_sex(read_text(rows[0], "PatientSex")),
                    age_years=_age_years(read_text(rows[0], "PatientAge")),
                    scanner=read_text(rows[0], "Manufacturer") or None,
                    prior_study_id=priors.get(study_id),
                )
            )

    def _add_film(self, gathered: FilmsOfStudy, row: Row, first: Row) -> None:
        path = read_text(row, _PATHS[self.films])
        view = read_text(row, "ViewPosition").upper()
        if not (path and read_text(row, "AccessionNumber")):
            gathered.refuse(path or row["row_id"], "the row names no film or no study")
        elif read_text(row, "PatientID") != read_text(first, "PatientID"):
            gathered.refuse(path, "its study has another patient in an earlier row")
        elif view and view not in _VIEWS:
            gathered.refuse(path, "its view is neither PA, AP nor lateral")
        else:
            # Where the files came as they are published, those of DICOM may have no suffix.
            gathered.add(path, (path, path.removesuffix(".dcm")), _VIEWS.get(view))


def _study_id(row: Row) -> str:
    return read_text(row, "AccessionNumber") or str(row["row_id"])


def _moments(table: Path) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Yield the day on which each study was made; the days are shifted, alike within a patient."""
    for row in read_columns(table, ()):
        day = read_text(row, "StudyDate").removesuffix(".0").replace("-", "")
        if day.isdecimal() and read_text(row, "AccessionNumber"):
            yield read_text(row, "AccessionNumber"), read_text(row, "PatientID"), (float(day),)


def _age_years(cell: str) -> int | None:
    """Read an age; the oldest are told together, as ``85 or more``, and count as the youngest among them."""
    match = re.fullmatch(r"(\d+) or more", cell.strip())
    return read_age_years(match[1] if match else cell)
