"""What a DICOM header says of a film's patient and study, for the worklist of a reading room. It names people."""

import re
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from radlet.core.errors import DicomError
from radlet.core.records import View
from radlet.data.dicom import SQUARE_WITHIN, looks_like_dicom, parse_dicom
from radlet.data.dicom_tags import number, text, view
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.scanner import read_scanner
from radlet.data.source_grid import facing

_AGE = re.compile(r"0*(\d{1,3})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
"""Units of Age String (PS3.5 6.2)."""
_DATE = re.compile(r"\d{8}", re.ASCII)


@dataclass(frozen=True)
class FilmHeader:
    """Identity and geometry of one DICOM object; what is absent or malformed is None.

    Attributes:
        study_uid: Study Instance UID (0020,000D).
        series_uid: Series Instance UID (0020,000E).
        sop_instance_uid: SOP Instance UID (0008,0018).
        patient_id: (0010,0020).
        patient_name: (0010,0010), as it stands.
        birth_date: (0010,0030), YYYYMMDD.
        sex: (0010,0040).
        age_years: Patient's Age (0010,1010), else from the dates of birth and study.
        accession_number: (0008,0050).
        study_date: (0008,0020), YYYYMMDD.
        description: Study Description (0008,1030).
        indication: Reason for the Requested Procedure (0040,1002), else Additional Patient History (0010,21B0).
        scanner: Maker and model, in words that name nobody.
        view: PA, AP or LATERAL.
        spacing_mm: Between rows and between columns of the film as `radlet.data.dicom` reads it, squared and upright:
            from Pixel Spacing (0028,0030), else Imager Pixel Spacing (0018,1164).
    """

    study_uid: str | None = None
    series_uid: str | None = None
    sop_instance_uid: str | None = None
    patient_id: str | None = None
    patient_name: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    age_years: float | None = None
    accession_number: str | None = None
    study_date: str | None = None
    description: str | None = None
    indication: str | None = None
    scanner: str | None = None
    view: View | None = None
    spacing_mm: tuple[float, float] | None = None


def read_film_header(content: bytes) -> FilmHeader | None:
    """Return what the header of a file says; None for a file that is no DICOM.

    Raises:
        DicomError: The object is broken.
    """
    if not looks_like_dicom(content[:132]):
        return None
    with quiet_libraries(), refusing("The DICOM object is damaged or malformed", DicomError):
        header = parse_dicom(content)
        study_date, birth_date = _date(header, "StudyDate"), _date(header, "PatientBirthDate")
        return FilmHeader(
            study_uid=_words(header, "StudyInstanceUID", 64),
            series_uid=_words(header, "SeriesInstanceUID", 64),
            sop_instance_uid=_words(header, "SOPInstanceUID", 64),
            patient_id=_words(header, "PatientID", 64),
            patient_name=_words(header, "PatientName", 324),
            birth_date=birth_date,
            sex=_words(header, "PatientSex", 16),
            age_years=_age(text(header, "PatientAge"), birth_date, study_date),
            accession_number=_words(header, "AccessionNumber", 16),
            study_date=study_date,
            description=_words(header, "StudyDescription", 64),
            indication=_words(header, "ReasonForTheRequestedProcedure", 1024)
            or _words(header, "AdditionalPatientHistory", 10240),
            scanner=read_scanner(text(header, "Manufacturer"), text(header, "ManufacturerModelName")),
            view=view(header),
            spacing_mm=_spacing(header),
        )


def _words(header: Dataset, keyword: str, longest: int) -> str | None:
    try:
        value = header.get(keyword)
    except (ValueError, TypeError):
        return None
    found = " ".join(str(value).split()) if value is not None else ""
    # A database refuses characters of the value 0.
    return found.replace("\0", "")[:longest] or None


def _date(header: Dataset, keyword: str) -> str | None:
    found = _words(header, keyword, 8)
    if not found or not _DATE.fullmatch(found):
        return None
    try:
        date(int(found[:4]), int(found[4:6]), int(found[6:]))
    except ValueError:
        return None
    return found


def _age(age: str, birth_date: str | None, study_date: str | None) -> float | None:
    match = _AGE.fullmatch(age)
    if match:
        return int(match[1]) * _YEARS[match[2]]
    if birth_date and study_date:
        years = int(study_date[:4]) - int(birth_date[:4]) - (study_date[4:] < birth_date[4:])
        return float(years) if years >= 0 else None
    return None


def _spacing(header: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        rows, columns = (number(header, keyword, index) for index in (0, 1))
        if rows and columns and rows > 0 and columns > 0:
            if abs(rows / columns - 1) > SQUARE_WITHIN:
                # The coarser axis is stretched to the finer one.
                return min(rows, columns), min(rows, columns)
            return (columns, rows) if facing(header, view(header)).transposed else (rows, columns)
    return None
