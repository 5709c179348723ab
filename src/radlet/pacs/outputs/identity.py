"""What all outputs share: patient and study of the source film, who signed the report and what drafted it."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM

from radlet.core.errors import DataError
from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.identifiers import uid_of
from radlet.pacs.outputs.reports import Report
from radlet.reading.store.tables import DraftRow

MANUFACTURER = "radlet"
_LONG_STRING = 64


@dataclass(frozen=True)
class Frame:
    """Identity of one output.

    Attributes:
        kind: Of the output.
        facts: What it tells.
        source: Header of the source film, with all that must be in it.
    """

    kind: str
    facts: ReportFacts
    source: Dataset

    @classmethod
    def of(cls, kind: str, facts: ReportFacts) -> "Frame":
        """Take patient and study over from the source film.

        Raises:
            DataError: There is none, or it does not say which study it belongs to.
        """
        return cls(kind, facts, _completed(facts.source_header()))

    @property
    def moment(self) -> datetime:
        """When the report was written or signed, in the zone of the film's times (PS3.3 C.12.1.1.8), else of here."""
        zone = None
        if self.source.TimezoneOffsetFromUTC:
            zone = datetime.strptime(self.source.TimezoneOffsetFromUTC, "%z").tzinfo
        # To the second: fractions would only differ in how each reader rounds them.
        return self.facts.report.moment.replace(microsecond=0).astimezone(zone)

    def series(self, number: int) -> dict[str, Any]:
        """Return the arguments that every object of highdicom takes of series, instance and equipment."""
        report, moment = self.facts.report, self.moment
        return {
            "series_instance_uid": uid_of(report.id, self.kind, "series"),
            "sop_instance_uid": uid_of(report.id, self.kind, "instance"),
            "series_number": number,
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": report.equipment[:_LONG_STRING],
            "software_versions": tuple(version[:_LONG_STRING] for version in report.software_versions),
            "series_description": report.notice,
            "series_date": moment.date(),
            "series_time": moment.time(),
            "content_date": moment.date(),
            "content_time": moment.time(),
        }

    def study(self) -> dict[str, Any]:
        """Return the arguments of patient and study, for objects that do not take them from their evidence."""
        source = self.source
        return {
            "study_instance_uid": source.StudyInstanceUID,
            "patient_id": source.PatientID,
            "patient_name": source.PatientName,
            "patient_birth_date": source.PatientBirthDate,
            "patient_sex": source.PatientSex,
            "accession_number": source.AccessionNumber,
            "study_id": source.StudyID,
            "study_date": source.StudyDate,
            "study_time": source.StudyTime,
            "referring_physician_name": source.ReferringPhysicianName,
            "specific_character_set": "ISO_IR 192",
        }

    def reference(self) -> Dataset:
        """Return a reference to the source film, for a sequence."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.source.SOPClassUID
        item.ReferencedSOPInstanceUID = self.source.SOPInstanceUID
        return item

    def finish(self, made: Dataset) -> Dataset:
        """Set what depends on the moment of making to that of the report: the same report is the same object."""
        moment = self.moment
        made.InstanceCreationDate = moment.strftime("%Y%m%d")
        made.InstanceCreationTime = moment.strftime("%H%M%S")
        for equipment in made.get("ContributingEquipmentSequence", ()):
            equipment.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S%z")
        if "TimeOfSecondaryCapture" in made:
            made.DateOfSecondaryCapture = made.InstanceCreationDate
            made.TimeOfSecondaryCapture = made.InstanceCreationTime
        if self.source.TimezoneOffsetFromUTC:
            made.TimezoneOffsetFromUTC = self.source.TimezoneOffsetFromUTC
        return made


def algorithm(draft: DraftRow) -> hd.sr.AlgorithmIdentification:
    """Return what wrote a draft as TID 4019."""
    return hd.sr.AlgorithmIdentification(
        name=draft.model,
        version=draft.checkpoint_digest,
        parameters=[f"radlet {draft.radlet_version}", f"image path {draft.image_path_digest}"],
    )


def observers(report: Report) -> hd.sr.ObservationContext:
    """Return who observed: the person who signed, and the device that drafted (TID 1001, 1003, 1004)."""
    person, device = None, None
    if report.signed:
        person = hd.sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(
                name=report.signed.name,
                login_name=report.signed.account,
                organization_name=report.signed.organization,
            ),
        )
    if report.draft:
        draft = report.draft
        device = hd.sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=uid_of(draft.checkpoint_digest, "device", "observer"),
                name=draft.model,
                manufacturer_name=MANUFACTURER,
                model_name=f"radlet {draft.radlet_version}",
                serial_number=draft.checkpoint_digest,
            ),
        )
    return hd.sr.ObservationContext(observer_person_context=person, observer_device_context=device)


_EMPTY_IF_MISSING = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d")
_PARSERS = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def _parsable(keyword: str, value: str) -> str:
    """Return a value, or none where it is a day or a time that does not exist."""
    if keyword in _PARSERS:
        try:
            _PARSERS[keyword](value)
        except ValueError:
            return ""
    return value


def _completed(header: Dataset) -> Dataset:
    """Return what outputs take over of a header, in Unicode; what may be empty is empty where it is missing."""
    taken = Dataset()
    taken.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _NEEDED:
        value = str(header.get(keyword) or "")
        if not value:
            raise DataError(f"The source film has no {keyword}, so that nothing can refer to it.")
        setattr(taken, keyword, value)
    for keyword in _EMPTY_IF_MISSING:
        value = header.get(keyword)
        setattr(taken, keyword, "" if value is None else _parsable(keyword, str(value)))
    if taken.PatientSex not in ("M", "F", "O"):
        taken.PatientSex = ""
    offset = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    taken.TimezoneOffsetFromUTC = offset if _OFFSET.fullmatch(offset) else ""
    taken.Rows, taken.Columns = header.get("Rows"), header.get("Columns")
    taken.Modality = str(header.get("Modality") or "OT")
    return taken
