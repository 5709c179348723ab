"""PadChest of the Hospital San Juan de Alicante: 16-bit films, Spanish reports, English labels in one wide table."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.records import Finding, Study, View
from radlet.data.scanner import read_scanner
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_age_years, read_sex, read_text, read_words
from radlet.data.sources.padchest_findings import read_findings
from radlet.data.sources.published import (
    FilmsOfStudy,
    ShardOfStudies,
    previous_studies,
    read_columns,
    read_numbered,
    require_file,
)
from radlet.data.tables import Row

_TABLES = ("PADCHEST_chest_x_ray_images_labels*.csv.gz", "PADCHEST_chest_x_ray_images_labels*.csv")
_NEEDED = ("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report", "MethodLabel", "Labels")
_VIEWS: dict[str, View] = {"PA": "PA", "L": "LATERAL", "AP": "AP", "AP_horizontal": "AP"}
"""The codes of projections that are kept; COSTAL shows the ribs, EXCLUDE no chest at all."""
_NOT_LABELLED = "exclude"
_AS_BEFORE = "unchanged"

LabelMethod = Literal["Physician", "RNN_model"]


def present_labels(cell: str) -> set[str] | None:
    """Return the labels of a study as its cell lists them, in small letters; None where nobody labelled it."""
    words = read_words(cell)
    labels = {word.lower() for word in words or ()}
    return None if not labels or _NOT_LABELLED in labels else labels


def known_labels(cells: Iterable[str]) -> tuple[str, ...]:
    """Return every label of a table, in order. The names are too many to be listed by hand and differ by release."""
    found = {label for cell in cells for label in present_labels(cell) or ()}
    return tuple(sorted(found - {_AS_BEFORE}))


def read_labels(cell: str, known: tuple[str, ...]) -> dict[str, int]:
    """Return the labels of a study as 1 or 0.

    One that is told to be unchanged shows what an earlier study shows, which the cell does not repeat: it has no zeros.
    """
    present = present_labels(cell)
    if present is None:
        return {}
    if _AS_BEFORE in present:
        return {label: 1 for label in known if label in present}
    return {label: int(label in present) for label in known}


class PadChestSource(Source):
    """PadChest: films as 16-bit PNG in numbered folders, one table of reports in Spanish and labels in English."""

    terms: ClassVar[str | None] = (
        "BIMCV (Valencian Region Medical ImageBank), after a request; research use only, no redistribution."
    )
    kind: Literal["padchest"] = "padchest"
    root: Path
    """Folder of the table and of the films: in it, or under ``0/`` to ``54/``, with or without ``images/`` before."""
    label_methods: tuple[LabelMethod, ...] = ("Physician", "RNN_model")
    """Whose labels are read; a study labelled otherwise stays without. A quarter is from physicians."""
    keep_reports: bool = True
    """Whether the reports are kept. They are Spanish, which neither the labeller nor an English model reads."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies of one shard, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: The table is missing, cannot be read or lacks a column.
        """
        table = require_file(self.root, _TABLES, "table of films and reports")
        known = known_labels(self._label_cell(row) for row in read_columns(table, _NEEDED))
        priors = previous_studies(_moments(table))
        groups = ShardOfStudies(shard, num_shards).group(_numbered(table), _study_id)
        for study_id, rows in groups.items():
            gathered = FilmsOfStudy(self.root)
            for row in rows:
                _add_film(gathered, row, read_text(rows[0], "PatientID"))
            report = next((text for row in rows if (text := read_text(row, "Report"))), "")
            yield from gathered.items(
                Study(
                    study_id=study_id,
                    patient_id=read_text(rows[0], "PatientID") or study_id,
                    images=(),
                    # The published text is the body of the report alone, so there is nothing to cut.
                    sections={"findings": report} if report and self.keep_reports else {},
                    labels=read_labels(self._label_cell(rows[0]), known),
                    truth=self._truth(rows[0]),
                    sex=read_sex(read_text(rows[0], "PatientSex_DICOM")),
                    age_years=_age_years(rows[0]),
                    scanner=read_scanner(read_text(rows[0], "Manufacturer_DICOM"), ""),
                    prior_study_id=priors.get(study_id),
                )
            )

    def _truth(self, row: Row) -> tuple[Finding, ...] | None:
        present = present_labels(self._label_cell(row))
        if present is None or _AS_BEFORE in present:
            return None
        return read_findings(present, read_text(row, "LabelsLocalizationsBySentence"))

    def _label_cell(self, row: Row) -> str:
        return read_text(row, "Labels") if read_text(row, "MethodLabel") in self.label_methods else ""


def _numbered(table: Path) -> Iterator[Row]:
    """Yield the rows of the table with what names them where they have no film, and whether their film came before."""
    seen: set[str] = set()
    for row in read_numbered(table, _NEEDED):
        image_id = read_text(row, "ImageID")
        yield {**row, "repeated": image_id in seen}
        seen.add(image_id)


def _study_id(row: Row) -> str:
    return read_text(row, "StudyID") or str(row["row_id"])


def _moments(table: Path) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Yield the day on which each study was made; two of one day have no order."""
    for row in read_columns(table, ()):
        day = read_text(row, "StudyDate_DICOM").removesuffix(".0")
        if day.isdecimal() and read_text(row, "StudyID"):
            yield read_text(row, "StudyID"), read_text(row, "PatientID"), (float(day),)


def _add_film(gathered: FilmsOfStudy, row: Row, patient_id: str) -> None:
    image_id = read_text(row, "ImageID")
    view = _VIEWS.get(read_text(row, "Projection"))
    folder = read_text(row, "ImageDir").removesuffix(".0")
    if not (image_id and read_text(row, "StudyID")):
        gathered.refuse(image_id or row["row_id"], "the row names no film or no study")
    elif row["repeated"]:
        gathered.refuse(image_id, "the same film stands in an earlier row")
    elif read_text(row, "PatientID") != patient_id:
        gathered.refuse(image_id, "its study has another patient in an earlier row")
    elif view is None:
        gathered.refuse(image_id, "its projection is neither PA, AP nor lateral")
    else:
        places = (f"{folder}/{image_id}", f"images/{folder}/{image_id}", image_id, f"images/{image_id}")
        gathered.add(image_id, places, view)


def _age_years(row: Row) -> int | None:
    """Return the age in the year of the exam; of the birth only the year is published."""
    year, born = read_text(row, "StudyDate_DICOM")[:4], read_text(row, "PatientBirth").removesuffix(".0")
    if not (year.isdecimal() and born.isdecimal()):
        return None
    return read_age_years(str(int(year) - int(born)))
