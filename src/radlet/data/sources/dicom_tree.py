"""A tree of DICOM files as an archive exports it: found by content, grouped by the UIDs in their headers.

Only headers are read here; the films are decoded by `ingest`. Every id is a patient's, so `ingest` puts keyed
pseudonyms in their place.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pydicom

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.core.records import SECTIONS, ImageRecord, Study
from radlet.core.registry import nearest
from radlet.data.dicom import looks_like_dicom
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_age_years, read_sex
from radlet.data.tables import Row, read_table

_TAGS = [
    "SOPInstanceUID", "StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyDate", "StudyTime",
    "SeriesNumber", "InstanceNumber", "Modality", "BodyPartExamined", "PatientSex", "PatientAge", "Rows",
]  # fmt: skip
_MODALITIES = ("CR", "CT", "DX", "ES", "IO", "MG", "MR", "NM", "OT", "PR", "PT", "PX", "RF", "RG", "SR", "US", "XA")
_BODY_PARTS = (
    "ABDOMEN", "ANKLE", "ARM", "BREAST", "CHEST", "CLAVICLE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT",
    "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "KNEE", "LEG", "NECK", "PELVIS", "RIB", "SHOULDER", "SKULL", "SPINE",
    "STERNUM", "TOE", "WRIST", "CSPINE", "TSPINE", "LSPINE",
)  # fmt: skip
"""Some defined terms of PS3.3 C.7.3.1.1.1 and PS3.16 annex L, the only ones a reason quotes."""


class Reports(Config):
    """A table of reports beside the films."""

    path: Path
    key: str = "StudyInstanceUID"
    """Column that names the study."""
    tag: Literal["StudyInstanceUID", "AccessionNumber"] = "StudyInstanceUID"
    """DICOM attribute that the key column holds."""
    columns: dict[Literal["report", "indication", "history", "technique", "comparison", "findings", "impression"], str]
    """Which column holds the whole report, or its parts."""


class DicomTreeSource(Source):
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

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies and refused files of one shard; an image's id is its path under the root.

        Raises:
            DataError: The root is no folder, or the table of reports cannot be read.
        """
        yield from _scan(self.model_dump_json())[shard::num_shards]


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
    def order(self) -> tuple[int, int, str]:
        """Place within the study."""
        return _number(self.tags["SeriesNumber"]), _number(self.tags["InstanceNumber"]), self.path

    @property
    def moment(self) -> tuple[str, str]:
        """When the study was made, for the order of a patient's studies; never stored."""
        return self.tags["StudyDate"], self.tags["StudyTime"]


@lru_cache(maxsize=1)
def _scan(source_json: str) -> list[RawStudy | Rejected]:
    """Read every header once per process: `ingest` asks one worker for many shards."""
    source = DicomTreeSource.model_validate_json(source_json)
    if not source.root.is_dir():
        raise DataError(f"{source.root}: is not a folder. Give the folder of the DICOM files as source.root.")
    headers: dict[str, list[_Header]] = {}
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for path in _files(source):
        header = _read_header(source, path)
        if isinstance(header, str):
            rejected.append(Rejected(path, header))
            continue
        group = headers.get(header.study, [])
        if problem := _problem(source, header) or _conflict(header, group, seen):
            rejected.append(Rejected(path, problem))
            continue
        seen.add(header.tags["SOPInstanceUID"])
        headers.setdefault(header.study, []).append(header)
    return [*_studies(source, headers), *rejected]


def _files(source: DicomTreeSource) -> Iterator[str]:
    """Yield the paths of all regular files, relative to the root, sorted; reading a device or a pipe could hang."""
    reports = source.reports.path.resolve() if source.reports else None
    for folder, folders, names in os.walk(source.root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and path.resolve() != reports:
                yield path.relative_to(source.root).as_posix()


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
    if tags["Modality"] and tags["Modality"].upper() not in source.modalities:
        return f"modality {_told(tags['Modality'], _MODALITIES)} is not among {', '.join(source.modalities)}"
    body_part = re.sub(r"[^A-Z]+", " ", tags["BodyPartExamined"].upper()).strip()
    if body_part and not any(part in body_part.split() for part in source.body_parts):
        return f"body part {_told(body_part, _BODY_PARTS)} is not among {', '.join(source.body_parts)}"
    if not tags["Rows"]:
        return "holds no image: Rows (0028,0010) is missing"
    return None


def _conflict(header: _Header, group: list[_Header], seen: set[str]) -> str | None:
    uid = header.tags["SOPInstanceUID"]
    if uid and uid in seen:
        return "duplicate: the same SOPInstanceUID stands in an earlier file"
    if group and group[0].patient != header.patient:
        return "its study has another patient in an earlier file"
    return None


def _told(value: str, known: tuple[str, ...]) -> str:
    """Return a coded value only if it is a defined one: what was typed in instead may be anything, a name too."""
    return value if value in known else "(other)"


def _studies(source: DicomTreeSource, headers: dict[str, list[_Header]]) -> Iterator[RawStudy]:
    reports = _read_reports(source.reports)
    priors = _priors(headers)
    for study_uid, group in headers.items():
        group.sort(key=lambda header: header.order)
        tags = group[0].tags
        row = reports.get(tags[source.reports.tag], {}) if source.reports else {}
        yield RawStudy(
            Study(
                study_id=study_uid,
                patient_id=group[0].patient,
                images=tuple(
                    ImageRecord(image_id=header.path, path=str((source.root / header.path).absolute()))
                    for header in group
                ),
                report=row.get("report"),
                sections={name: text for name, text in row.items() if name in SECTIONS},
                sex=read_sex(tags["PatientSex"]),
                age_years=read_age_years(tags["PatientAge"]),
                prior_study_id=priors.get(study_uid),
            )
        )


def _read_reports(reports: Reports | None) -> dict[str, Row]:
    """Return `key -> part of the report -> text`.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    if reports is None:
        return {}
    found: dict[str, Row] = {}
    for row in read_table(reports.path):
        missing = sorted({reports.key, *reports.columns.values()} - set(row))
        if missing:
            raise DataError(f"{reports.path} has no column '{missing[0]}'.{nearest(missing[0], list(row))}")
        texts = {name: row[column] for name, column in reports.columns.items()}
        found.setdefault(str(row[reports.key]), {name: str(text) for name, text in texts.items() if text is not None})
    return found


def _priors(headers: dict[str, list[_Header]]) -> dict[str, str]:
    """Return `study -> the same patient's study before it`, where dates tell."""
    by_patient: dict[str, list[tuple[tuple[str, str], str]]] = {}
    for study_uid, group in headers.items():
        if group[0].moment[0]:
            by_patient.setdefault(group[0].patient, []).append((group[0].moment, study_uid))
    return {
        later: earlier
        for studies in by_patient.values()
        for (_, earlier), (_, later) in zip(sorted(studies), sorted(studies)[1:], strict=False)
    }


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0
