"""De-identify one DICOM film by the Basic Application Level Confidentiality Profile (PS3.15 Annex E). No pixel changes.

What the profile says of each attribute comes from the table that `dicom-anonymizer` transcribes from Table E.1-1; how
it is done is done here, because that package works on the top level of a data set only and draws new UIDs in every
process. Beyond the profile, an attribute of which the table says nothing is kept only where it describes the film:
numbers, defined terms, standard codes, look-up tables. So nothing that can hold free text is left, wherever it stands.
"""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from io import BytesIO
from typing import Any, Literal

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    UID_dictionary,
)

from radlet import __version__
from radlet.core.config import Config
from radlet.core.errors import DicomError
from radlet.data.confidentiality_terms import DEFINED_TERMS, cleaned_description, code_meaning
from radlet.data.dicom import parse_dicom
from radlet.data.pixel_stream import checked_pixel_data
from radlet.data.pseudonyms import Pseudonyms, told_age
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.scanner import told_maker, told_model

_EDITION = "dicomfields_2026c"
"""Edition of Table E.1-1 in `dicom-anonymizer`."""
_IMPLEMENTATION = "2.25.258394722010345118632471912843301552141"
"""Implementation Class UID of what radlet writes (PS3.10 7.1)."""
_ACR_NEMA_CLASSES = {"CR": ComputedRadiographyImageStorage, "DX": DigitalXRayImageStorageForPresentation}
"""SOP classes for objects from before DICOM, which have none."""

_NUMBERS = frozenset(("US", "SS", "UL", "SL", "FL", "FD", "DS", "IS", "US or SS", "AT"))
_FILM_GROUPS = frozenset((0x0018, 0x0020, 0x0028, 0x2050))
"""Acquisition, relationship, image presentation: the groups whose numbers describe a film."""
_MAX_NUMBER = {0x0018: 10**6, 0x0020: 10**5, 0x0028: 10**6, 0x2050: 10**6}
"""Larger numbers are no measurement: an id that a number field took."""
_CODE_SEQUENCES = frozenset(
    (
        "ViewCodeSequence",
        "ViewModifierCodeSequence",
        "AnatomicRegionSequence",
        "AnatomicRegionModifierSequence",
        "PrimaryAnatomicStructureSequence",
        "DerivationCodeSequence",
        "PatientOrientationCodeSequence",
    )
)
_LUT_SEQUENCES = frozenset(("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence"))
_LUT_DATA = frozenset(
    (
        "LUTData",
        "RedPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData",
    )
)
_DESCRIPTIONS = frozenset(("StudyDescription", "SeriesDescription"))
_DATES = {
    "StudyDate": "StudyTime",
    "SeriesDate": "SeriesTime",
    "AcquisitionDate": "AcquisitionTime",
    "ContentDate": "ContentTime",
}
"""Dates that may stay, moved, with the times that belong to them."""

Outcome = Literal["kept", "emptied", "moved", "renamed", "removed"]


class ProfileOptions(Config):
    """Options of the Basic Application Level Confidentiality Profile (PS3.15 E.3)."""

    dates: Literal["shift", "remove"] = "shift"
    """shift: the dates of study, series, acquisition and content are moved back by 1 to 365 days, all of a patient by
    the same number (Retain Longitudinal Temporal Information With Modified Dates Option). remove: none stays."""
    weekdays: bool = False
    """Move dates by whole weeks, so that a Monday stays a Monday."""
    times: Literal["keep", "remove"] = "remove"
    """Whether the times of day beside moved dates stay."""
    descriptions: Literal["clean", "remove"] = "clean"
    """clean: study and series description keep their words of projection radiography (Clean Descriptors Option)."""
    patient_characteristics: bool = True
    """Keep sex and age, 90 for all above 89 (Retain Patient Characteristics Option)."""


class Confidentiality:
    """De-identifies films under one key; the same id, UID or patient always becomes the same pseudonym."""

    def __init__(self, options: ProfileOptions, pseudonyms: Pseudonyms) -> None:
        self.options = options
        self.pseudonyms = pseudonyms

    def film(self, data: bytes, study_id: str, patient_id: str, image_id: str) -> tuple[bytes, dict[str, int]]:
        """De-identify the bytes of a DICOM file.

        Args:
            data: The file.
            study_id: What its new StudyInstanceUID is made from.
            patient_id: What its new PatientID and its date shift are made from.
            image_id: What its SOPInstanceUID is made from when it has none.

        Returns:
            The bytes of the new file, and how many attributes had which outcome.

        Raises:
            DicomError: The object is broken, is no image, or carries what cannot be cleaned.
        """
        with quiet_libraries(), refusing("The DICOM object is damaged or malformed", DicomError):
            header = parse_dicom(data)
            cleaner = _Cleaner(self.options, self.pseudonyms, self._days(patient_id))
            clean = cleaner.dataset(header)
            clean.PixelData, clean["PixelData"].VR = checked_pixel_data(header), header["PixelData"].VR
            self._identify(clean, header, study_id, patient_id, image_id)
            _declare(clean, self.options)
            return _file_bytes(clean, header), dict(cleaner.outcomes)

    def study_uid(self, study_id: str) -> str:
        """Return the StudyInstanceUID that films of a study get."""
        return self.pseudonyms.uid(study_id)

    def _days(self, patient_id: str) -> int:
        return self.pseudonyms.days_back(patient_id, whole_weeks=self.options.weekdays)

    def _identify(self, clean: Dataset, header: Dataset, study_id: str, patient_id: str, image_id: str) -> None:
        own = self.pseudonyms
        clean.SOPClassUID = _sop_class(header)
        clean.SOPInstanceUID = own.uid(str(header.get("SOPInstanceUID") or image_id))
        clean.StudyInstanceUID = self.study_uid(study_id)
        clean.SeriesInstanceUID = own.uid(str(header.get("SeriesInstanceUID") or f"series of {image_id}"))
        clean.PatientID = clean.PatientName = own.of("patient", patient_id)
        clean.PatientBirthDate = clean.ReferringPhysicianName = clean.StudyID = ""
        clean.Manufacturer = told_maker(str(header.get("Manufacturer") or "")) or ""
        if clean.Manufacturer and (model := told_model(str(header.get("ManufacturerModelName") or ""))):
            clean.ManufacturerModelName = model
        accession = str(header.get("AccessionNumber") or "").strip()
        # SH holds 16 characters (PS3.5 6.2): 64 bits.
        clean.AccessionNumber = own.of("accession", accession)[:16] if accession else ""


class _Cleaner:
    """Copies what may stay of one data set, items of sequences included."""

    def __init__(self, options: ProfileOptions, pseudonyms: Pseudonyms, days: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._options = options
        self._pseudonyms = pseudonyms
        self._days = days

    def dataset(self, header: Dataset) -> Dataset:
        """Return a new data set with what may stay of `header`, without its pixel data."""
        clean = Dataset()
        for tag in list(header.keys()):
            if tag.is_private or tag.group <= 0x0002 or tag == 0x7FE00010:
                self.outcomes["removed"] += tag.is_private
                continue
            try:
                element = self._element(header[tag])
            except Exception:  # noqa: BLE001 - a value that its VR does not allow could be anything: it does not stay
                element = None
            if element is None:
                self.outcomes["removed"] += 1
            else:
                clean.add(element)
        return clean

    def _element(self, element: DataElement) -> DataElement | None:
        keyword = element.keyword
        option = self._by_option(element)
        if option is not None:
            return option or None
        action = _profile_actions().get((element.tag.group, element.tag.element))
        if action is not None or element.tag.group >> 8 in (0x50, 0x60):  # curves and overlays: Clean Graphics Option
            return self._by_profile(element, action or "delete")
        if keyword in _CODE_SEQUENCES:
            return self._sequence(element, self._code)
        if keyword in _LUT_SEQUENCES:
            return self._sequence(element, self.dataset)
        if keyword in DEFINED_TERMS:
            return self._terms(element)
        if element.VR == "UI":
            return self._uids(element)
        kept = keyword in _LUT_DATA or (element.VR in _NUMBERS and _is_measurement(element))
        return self._done("kept", element) if kept else None

    def _by_option(self, element: DataElement) -> DataElement | Literal[False] | None:
        """Return what an option leaves of the attribute, False when it leaves nothing, None when none speaks of it."""
        options, keyword = self._options, element.keyword
        if keyword == "PatientSex" and options.patient_characteristics:
            return self._terms(element) or False
        if keyword == "PatientAge" and options.patient_characteristics:
            return self._replaced("kept", element, told_age(str(element.value or "")))
        if keyword in _DESCRIPTIONS and options.descriptions == "clean":
            return self._replaced("kept", element, cleaned_description(str(element.value or ""))) or False
        if keyword in _DATES and options.dates == "shift":
            return self._replaced("moved", element, self._moved(element.value))
        if keyword in _DATES.values() and options.dates == "shift" and options.times == "keep":
            return self._replaced("kept", element, _time(element.value))
        return None

    def _by_profile(self, element: DataElement, action: str) -> DataElement | None:
        """Do what Table E.1-1 says: U is mapped, Z and its kin are emptied, what may be removed is removed.

        D (a dummy value) stands only at attributes that no projection film needs, so it counts as X here.
        """
        if action == "replace_UID":
            return self._uids(element)
        if action in ("empty", "empty_or_replace", "delete_or_empty", "delete_or_empty_or_replace"):
            return self._replaced("emptied", element, [] if element.VR == "SQ" else None)
        return None

    def _sequence(self, element: DataElement, clean_item: Callable[[Dataset], Dataset]) -> DataElement | None:
        items = [item for item in map(clean_item, element.value) if len(item)]
        return DataElement(element.tag, "SQ", items) if items else None

    def _code(self, item: Dataset) -> Dataset:
        """Return a code with the standard's own meaning (PS3.3 8.8); nothing of one that the standard does not use."""
        scheme, code = str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeValue", ""))
        meaning = code_meaning(scheme, code)
        clean = Dataset()
        if meaning is None:
            return clean
        clean.CodeValue, clean.CodingSchemeDesignator, clean.CodeMeaning = code, scheme, meaning
        self.outcomes["kept"] += 3
        for keyword in _CODE_SEQUENCES & set(item.dir()):
            if inner := self._sequence(item[keyword], self._code):
                clean.add(inner)
        return clean

    def _terms(self, element: DataElement) -> DataElement | None:
        values = [str(value).strip() for value in _values(element)]
        allowed = DEFINED_TERMS[element.keyword]
        if element.keyword == "ImageType":  # the third value and those behind it are the maker's
            values = [value if value in allowed else "" for value in values][:2]
        if not all(value in allowed or not value for value in values):
            return None
        return self._replaced("kept", element, values)

    def _uids(self, element: DataElement) -> DataElement:
        mapped = [uid if uid in UID_dictionary else self._pseudonyms.uid(uid) for uid in map(str, _values(element))]
        return self._replaced("renamed", element, mapped)

    def _moved(self, value: Any) -> str:
        match = re.fullmatch(r"(\d{4})[.-]?(\d\d)[.-]?(\d\d)", str(value or "").strip())
        try:
            day = date(*map(int, match.groups())) if match else None
            return f"{day - timedelta(days=self._days):%Y%m%d}" if day else ""
        except (ValueError, OverflowError):
            return ""

    def _replaced(self, outcome: Outcome, element: DataElement, value: Any) -> DataElement:
        return self._done(outcome, DataElement(element.tag, element.VR, value))

    def _done(self, outcome: Outcome, element: DataElement) -> DataElement:
        self.outcomes[outcome] += 1
        return element


@cache
def _profile_actions() -> dict[tuple[int, ...], str]:
    """Return ``(group, element) -> action`` of Table E.1-1; the repeating groups in it are curves and overlays."""
    from dicomanonymizer import initialize_actions  # noqa: PLC0415 - an extra

    return {tag: action.__name__ for tag, action in initialize_actions(_EDITION).items() if len(tag) == 2}


def _values(element: DataElement) -> list[Any]:
    value = element.value
    if value is None or value == "":
        return []
    return list(value) if element.VM > 1 else [value]


def _is_measurement(element: DataElement) -> bool:
    group = element.tag.group
    if group not in _FILM_GROUPS or element.VR == "AT":
        return group in _FILM_GROUPS
    return all(abs(float(value)) < _MAX_NUMBER[group] for value in _values(element))


def _time(value: Any) -> str:
    text = str(value or "").strip()
    return text if re.fullmatch(r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?", text) else ""


def _sop_class(header: Dataset) -> str:
    given = str(header.get("SOPClassUID") or "")
    if given in UID_dictionary:
        return given
    return str(_ACR_NEMA_CLASSES.get(str(header.get("Modality", "")), SecondaryCaptureImageStorage))


def _declare(clean: Dataset, options: ProfileOptions) -> None:
    """State what was done (PS3.15 E.1.1, PS3.3 C.7.1.1 and C.12.1), by the codes of PS3.16 CID 7050."""
    codes = ["113100", "113103"]
    codes += ["113105"] if options.descriptions == "clean" else []
    codes += ["113107"] if options.dates == "shift" else []
    codes += ["113108"] if options.patient_characteristics else []
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = f"radlet {__version__}, PS3.15 Annex E"
    clean.DeidentificationMethodCodeSequence = [_dcm_code(code) for code in codes]
    clean.LongitudinalTemporalInformationModified = "MODIFIED" if options.dates == "shift" else "REMOVED"


def _dcm_code(code: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", code_meaning("DCM", code) or ""
    return item


def _file_bytes(clean: Dataset, header: Dataset) -> bytes:
    """Write a DICOM file (PS3.10 7.1) with a preamble of zeros and file meta information of radlet's own."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = clean.SOPClassUID, clean.SOPInstanceUID
    meta.TransferSyntaxUID = header.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID, meta.ImplementationVersionName = _IMPLEMENTATION, "RADLET"
    clean.file_meta, clean.preamble = meta, b"\0" * 128
    file = BytesIO()
    dcmwrite(file, clean, enforce_file_format=True)
    return file.getvalue()
