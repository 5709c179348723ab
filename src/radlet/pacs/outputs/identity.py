"""What all outputs share: identifiers, patient and study of the source film, and who wrote the draft."""

import uuid
from dataclasses import dataclass
from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from radlet.core.errors import DataError
from radlet.pacs.outputs.facts import DraftFacts
from radlet.reading.store.tables import DraftRow

NOTICE = "AI draft - not verified"
MANUFACTURER = "radlet"
_SPACE = uuid.UUID("6f0a2c86-6d3a-5c0e-9b6e-3d5f7a1c4e20")
_LONG_STRING = 64

SCHEME = "99RADLET"
_CODED = {
    "Cardiomegaly": codes.SCT.Cardiomegaly,
    "Edema": codes.SCT.PulmonaryEdema,
    "Pneumothorax": codes.SCT.Pneumothorax,
    "Pleural Effusion": codes.SCT.PleuralEffusion,
}
"""Observations whose code the DICOM standard itself lists; the others get codes of their own."""


def uid_of(draft_id: str, kind: str, what: str) -> UID:
    """Return an identifier that is the same whenever it is asked for (PS3.5 B.2).

    Args:
        draft_id: Of the draft.
        kind: Of the output.
        what: ``instance``, ``series`` or another thing of it.
    """
    return UID(f"2.25.{uuid.uuid5(_SPACE, f'{draft_id}/{kind}/{what}').int}")


def observation_code(name: str) -> Code:
    """Return the code of an observation."""
    return _CODED.get(name) or Code(name.upper().replace(" ", "_")[:16], SCHEME, name)


@dataclass(frozen=True)
class Frame:
    """Identity of one output.

    Attributes:
        kind: Of the output.
        facts: What it tells.
        source: Header of the source film, with all that must be in it.
    """

    kind: str
    facts: DraftFacts
    source: Dataset

    @classmethod
    def of(cls, kind: str, facts: DraftFacts) -> "Frame":
        """Take patient and study over from the source film.

        Raises:
            DataError: There is none, or it does not say which study it belongs to.
        """
        return cls(kind, facts, _completed(facts.source_header()))

    def series(self, number: int) -> dict[str, Any]:
        """Return the arguments that every object of highdicom takes of series, instance and equipment."""
        draft = self.facts.draft
        # To the second: fractions would only differ in how each reader rounds them.
        moment = draft.created_at.replace(microsecond=0)
        return {
            "series_instance_uid": uid_of(draft.id, self.kind, "series"),
            "sop_instance_uid": uid_of(draft.id, self.kind, "instance"),
            "series_number": number,
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": draft.model[:_LONG_STRING],
            # The digest fills its value: as the last it could be padded beyond what the value may hold.
            "software_versions": (
                draft.checkpoint_digest[:_LONG_STRING],
                f"radlet {draft.radlet_version}"[:_LONG_STRING],
            ),
            "series_description": NOTICE,
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
        """Set what depends on the moment of making to the moment of the draft, so that the same draft is the same."""
        moment = self.facts.draft.created_at
        made.InstanceCreationDate = moment.strftime("%Y%m%d")
        made.InstanceCreationTime = moment.strftime("%H%M%S")
        for equipment in made.get("ContributingEquipmentSequence", ()):
            equipment.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S")
        if "TimeOfSecondaryCapture" in made:
            made.DateOfSecondaryCapture = made.InstanceCreationDate
            made.TimeOfSecondaryCapture = made.InstanceCreationTime
        return made


def provenance(draft: DraftRow) -> list[str]:
    """Return what wrote a draft, line by line."""
    return [
        f"{NOTICE}. Written by software; no physician has read it.",
        f"Algorithm: {draft.model}",
        f"Version: {draft.checkpoint_digest}",
        f"Software: radlet {draft.radlet_version}, engine {draft.engine}, image path {draft.image_path_digest}",
    ]


def algorithm(draft: DraftRow) -> hd.sr.AlgorithmIdentification:
    """Return what wrote a draft as TID 4019."""
    return hd.sr.AlgorithmIdentification(
        name=draft.model,
        version=draft.checkpoint_digest,
        parameters=[f"radlet {draft.radlet_version}", f"image path {draft.image_path_digest}"],
    )


def observer(draft: DraftRow) -> hd.sr.ObservationContext:
    """Return what wrote a draft as the device that observed (TID 1001, 1004)."""
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=uid_of(draft.checkpoint_digest, "device", "observer"),
                name=draft.model,
                manufacturer_name=MANUFACTURER,
                model_name=f"radlet {draft.radlet_version}",
                serial_number=draft.checkpoint_digest,
            ),
        )
    )


_EMPTY_IF_MISSING = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


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
        setattr(taken, keyword, "" if value is None else str(value))
    if taken.PatientSex not in ("M", "F", "O"):
        taken.PatientSex = ""
    taken.Rows, taken.Columns = header.get("Rows"), header.get("Columns")
    taken.Modality = str(header.get("Modality") or "OT")
    return taken
