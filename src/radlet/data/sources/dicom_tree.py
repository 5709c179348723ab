"""A tree of DICOM files as an archive exports it: found by content, grouped by the UIDs in their headers.

Only headers are read here; the films are decoded by `ingest`. Every id is a patient's, so `ingest` puts keyed
pseudonyms in their place.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydicom
from pydicom.uid import (
    UID,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    UltrasoundImageStorage,
)

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.core.records import SECTIONS, ImageRecord, Study
from radlet.core.registry import nearest
from radlet.data.dicom import looks_like_dicom
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.scanner import read_scanner
from radlet.data.sources.base import ListedSource, RawStudy, Rejected
from radlet.data.sources.cells import read_age_years, read_sex
from radlet.data.sources.study_index import Grouped, StudyIndex
from radlet.data.tables import Row, is_undecodable, read_table

_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber",
    "StudyDate", "StudyTime", "SeriesNumber", "InstanceNumber", "Modality", "BodyPartExamined", "PatientBirthDate",
    "PatientSex", "PatientAge", "Rows", "Manufacturer", "ManufacturerModelName",
]  # fmt: skip
_MODALITIES = ("CR", "CT", "DX", "ES", "IO", "MG", "MR", "NM", "OT", "PR", "PT", "PX", "RF", "RG", "SR", "US", "XA")
_BODY_PARTS = (
    "ABDOMEN", "ANKLE", "ARM", "BREAST", "CHEST", "CLAVICLE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT",
    "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "KNEE", "LEG", "NECK", "PELVIS", "RIB", "SHOULDER", "SKULL", "SPINE",
    "STERNUM", "TOE", "WRIST", "CSPINE", "TSPINE", "LSPINE",
)  # fmt: skip
"""Some defined terms of PS3.3 C.7.3.1.1.1 and PS3.16 annex L, the only ones a reason quotes."""

_MODALITY_OF = {
    CTImageStorage: "CT",
    EnhancedCTImageStorage: "CT",
    MRImageStorage: "MR",
    EnhancedMRImageStorage: "MR",
    UltrasoundImageStorage: "US",
    NuclearMedicineImageStorage: "NM",
    PositronEmissionTomographyImageStorage: "PT",
    DigitalMammographyXRayImageStorageForPresentation: "MG",
    DigitalMammographyXRayImageStorageForProcessing: "MG",
}
"""SOP classes (PS3.4 B.5) that belong to one modality."""


class Reports(Config):
    """A table of reports beside the films."""

    path: Path
    key: str = "StudyInstanceUID"
    """Column that names the study."""
    tag: Literal["StudyInstanceUID", "AccessionNumber"] = "StudyInstanceUID"
    """DICOM attribute that the key column holds."""
    columns: dict[Literal["report", "indication", "history", "technique", "comparison", "findings", "impression"], str]
    """Which column holds the whole report, or its parts."""


class DicomTreeSource(ListedSource):
    """Every DICOM file under a folder, whatever the files are called."""

    kind: Literal["dicom_tree"] = "dicom_tree"
    root: Path
    reports: Reports | None = None
    modalities: tuple[str, ...] = ("CR", "DX", "RG", "RF")
    """Allowed Modality (PS3.3 C.7.3.1.1.1); a file that tells none is let through."""
    body_parts: tuple[str, ...] = ("CHEST", "THORAX", "LUNG")
    """Allowed BodyPartExamined (PS3.16 annex L); a file that tells none is let through."""
    pseudonymise: Literal[True] = True
    """Always: DICOM ids are those of real people."""

    def list_studies(self, scratch: Path) -> Iterator[RawStudy | Rejected]:
        """Yield the studies, then the refused files; an image's id is its path under the root.

        Raises:
            DataError: The root is no folder, or the table of reports cannot be read.
        """
        if not self.root.is_dir():
            raise DataError(f"{self.root}: is not a folder. Give the folder of the DICOM files as source.root.")
        index = StudyIndex(scratch)
        try:
            if self.reports:
                _take_reports(self.reports, index)
            for path in _files(self):
                if isinstance(path, Rejected):
                    index.reject(_storable(path.item_id), path.reason)
                else:
                    _take(self, index, path)
            for group in index.studies():
                yield _study(self, index, group)
            yield from index.rejected()
            # One item for all of them: the table of a whole hospital may stand beside the export of one ward.
            if self.reports and (left := index.count_without("report", "used")):
                yield Rejected(self.reports.path.name, f"{left} reports are of no study that has a film in the tree")
        finally:
            index.close()


@dataclass(frozen=True)
class _Header:
    """What is kept of one file's header."""

    path: str
    tags: dict[str, str]

    @property
    def study(self) -> str:
        """The study; a file that tells none is one of its own."""
        return self.tags["StudyInstanceUID"] or f"file|{self.path}"

    @property
    def patient(self) -> str:
        """The patient within the archive; a study without PatientID is a patient of its own."""
        own, issuer = self.tags["PatientID"], self.tags["IssuerOfPatientID"]
        return f"{issuer}|{own}" if own else f"study|{self.study}"

    @property
    def person(self) -> list[str]:
        """What no two files of one patient tell differently; never stored."""
        return [self.tags["PatientBirthDate"], self.tags["PatientSex"]]

    @property
    def order(self) -> tuple[int, int, str]:
        """Place within the study."""
        return _number(self.tags["SeriesNumber"]), _number(self.tags["InstanceNumber"]), self.path

    @property
    def moment(self) -> str:
        """When the study was made, for the order of a patient's studies; "" where no date tells. Never stored."""
        # The lowest separator: dates sort as if each stood alone.
        return f"{self.tags['StudyDate']}\x01{self.tags['StudyTime']}" if self.tags["StudyDate"] else ""


def _take(source: DicomTreeSource, index: StudyIndex, path: str) -> None:
    """Read one file's header and put it where it belongs."""
    name = _storable(path)
    header = _read_header(source, path) if name == path else "the file's name is not valid UTF-8"
    if isinstance(header, str):
        index.reject(name, header)
        return
    study = index.study(header.study)
    if problem := _problem(source, header) or _conflict(header, study, index):
        index.reject(path, problem)
        return
    index.put("image", header.tags["SOPInstanceUID"])
    index.put("person", header.patient, json.dumps(header.person))
    head = {"patient": header.patient, "date": header.tags["StudyDate"]}
    number = study[0] if study else index.add_study(header.study, header.patient, head, header.moment)
    index.add_part(number, header.order, {"path": path, "tags": header.tags})


def _storable(path: str) -> str:
    """Return a path as text that can be written; a name's bytes that are no UTF-8 become escapes."""
    return path.encode(errors="backslashreplace").decode()


def _files(source: DicomTreeSource) -> Iterator[str | Rejected]:
    """Yield the paths of all files, relative to the root, sorted, and refuse what cannot be walked or read safely."""
    reports = source.reports.path.resolve() if source.reports else None
    unread: list[OSError] = []
    for folder, folders, names in os.walk(source.root, onerror=unread.append):
        folders.sort()
        yield from (
            Rejected(
                Path(folder, name).relative_to(source.root).as_posix(), "a link to a folder, which is not followed"
            )
            for name in folders
            if Path(folder, name).is_symlink()
        )
        for name in sorted(names):
            path = Path(folder, name)
            own = path.relative_to(source.root).as_posix()
            if problem := _no_file(path):
                yield Rejected(own, problem)
            elif path.resolve() != reports:
                yield own
    for error in unread:
        yield Rejected(Path(error.filename).relative_to(source.root).as_posix(), "the folder cannot be read")


def _no_file(path: Path) -> str | None:
    """Return why a path is not to be opened, if so: reading a device or a pipe could hang."""
    try:
        regular = path.is_file()
    except OSError:
        regular = False
    if regular:
        return None
    return "a link that leads nowhere" if path.is_symlink() else "no regular file"


def _read_header(source: DicomTreeSource, path: str) -> _Header | str:
    """Return the header, or why there is none."""
    try:
        with (
            refusing("the header cannot be read", DataError),
            quiet_libraries(),
            (source.root / path).open("rb") as file,
        ):
            if not looks_like_dicom(file.read(132)):
                return "not a DICOM file"
            file.seek(0)
            dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=_TAGS)
            return _Header(path, {tag: _value(dataset, tag) for tag in _TAGS})
    except DataError as error:
        return str(error)


def _value(dataset: Any, tag: str) -> str:
    value = dataset.get(tag)
    return "" if value is None else str(value).strip()


def _problem(source: DicomTreeSource, header: _Header) -> str | None:
    tags = header.tags
    if not tags["StudyInstanceUID"] and not tags["Modality"]:
        return "truncated or without a study: StudyInstanceUID (0020,000D) is missing"
    modality = tags["Modality"].upper()
    if modality and modality not in source.modalities:
        return f"modality {_told(modality, _MODALITIES)} is not among {', '.join(source.modalities)}"
    body_part = re.sub(r"[^A-Z]+", " ", tags["BodyPartExamined"].upper()).strip()
    if body_part and not any(part in body_part.split() for part in source.body_parts):
        return f"body part {_told(body_part, _BODY_PARTS)} is not among {', '.join(source.body_parts)}"
    if modality and _MODALITY_OF.get(UID(tags["SOPClassUID"]), modality) != modality:
        return f"contradictory: modality {_told(modality, _MODALITIES)}, SOP class {UID(tags['SOPClassUID']).name}"
    if not tags["Rows"]:
        return "holds no image: Rows (0028,0010) is missing"
    return None


def _conflict(header: _Header, study: tuple[int, dict[str, str]] | None, index: StudyIndex) -> str | None:
    """Return how the header contradicts an earlier file: a patient's films must not teach another patient's report."""
    uid = header.tags["SOPInstanceUID"]
    if uid and index.get("image", uid) is not None:
        return "duplicate: the same SOPInstanceUID stands in an earlier file"
    if study and study[1]["patient"] != header.patient:
        return "its study has another patient in an earlier file"
    if study and _differ([study[1]["date"]], [header.tags["StudyDate"]]):
        return "contradictory: its study has another StudyDate in an earlier file"
    person = index.get("person", header.patient)
    if person and _differ(json.loads(person), header.person):
        return "contradictory: its PatientID has another birth date or sex in an earlier file"
    return None


def _differ(one: list[str], other: list[str]) -> bool:
    """Tell whether two values are told and are not the same; what is left out contradicts nothing."""
    return any(first and second and first != second for first, second in zip(one, other, strict=True))


def _told(value: str, known: tuple[str, ...]) -> str:
    """Return a coded value only if it is a defined one: what was typed in instead may be anything, a name too."""
    return value if value in known else "(other)"


def _study(source: DicomTreeSource, index: StudyIndex, group: Grouped) -> RawStudy:
    tags = group.parts[0]["tags"]
    key = tags[source.reports.tag] if source.reports else ""
    text = index.get("report", key) if key else None
    if text is not None:
        index.put("used", key)
    row: Row = json.loads(text) if text else {}
    return RawStudy(
        Study(
            study_id=group.study_id,
            patient_id=group.head["patient"],
            images=tuple(
                ImageRecord(image_id=film["path"], path=str((source.root / film["path"]).absolute()))
                for film in group.parts
            ),
            report=row.get("report"),
            sections={name: text for name, text in row.items() if name in SECTIONS},
            sex=read_sex(tags["PatientSex"]),
            age_years=read_age_years(tags["PatientAge"]),
            scanner=read_scanner(tags["Manufacturer"], tags["ManufacturerModelName"]),
            prior_study_id=group.prior_study_id,
        )
    )


def _take_reports(reports: Reports, index: StudyIndex) -> None:
    """Keep, by the key of their study, the reports of the table as JSON, ``part of the report -> text``.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    for number, row in enumerate(read_table(reports.path, keep_undecodable=True), start=1):
        missing = sorted({reports.key, *reports.columns.values()} - set(row))
        if missing:
            raise DataError(f"{reports.path} has no column '{missing[0]}'.{nearest(missing[0], list(row))}")
        if problem := _take_report(reports, row, index):
            index.reject(f"{reports.path.name}:{number}", problem)


def _take_report(reports: Reports, row: Row, index: StudyIndex) -> str | None:
    """Keep one report, or return why it is not kept."""
    if is_undecodable(row):
        return "the report is not UTF-8 text"
    if row[reports.key] is None:
        return "the report names no study"
    texts = {name: row[column] for name, column in reports.columns.items()}
    text = json.dumps({name: str(text) for name, text in texts.items() if text is not None})
    return None if index.put("report", str(row[reports.key]), text) else "its study has a report in an earlier row"


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0
