"""Identifiers and codes that follow from what is told, so that the same thing has the same one whenever it is made."""

import uuid

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, BasicTextSRStorage, ComprehensiveSRStorage

_SPACE = uuid.UUID("6f0a2c86-6d3a-5c0e-9b6e-3d5f7a1c4e20")
SCHEME = "99RADLET"
_CODED = {
    "Cardiomegaly": codes.SCT.Cardiomegaly,
    "Edema": codes.SCT.PulmonaryEdema,
    "Pneumothorax": codes.SCT.Pneumothorax,
    "Pleural Effusion": codes.SCT.PleuralEffusion,
}
"""Observations whose code the DICOM standard itself lists; the others get codes of their own."""
SR_CLASSES = {"text_sr": BasicTextSRStorage, "comprehensive_sr": ComprehensiveSRStorage}
"""SOP classes of the kinds of output that are structured reports."""


def uid_of(source_id: str, kind: str, what: str) -> UID:
    """Return an identifier that is the same whenever it is asked for (PS3.5 B.2).

    Args:
        source_id: Of the draft or the signature.
        kind: Of the output.
        what: ``instance``, ``series`` or another thing of it.
    """
    return UID(f"2.25.{uuid.uuid5(_SPACE, f'{source_id}/{kind}/{what}').int}")


def observation_code(name: str) -> Code:
    """Return the code of an observation."""
    return _CODED.get(name) or Code(name.upper().replace(" ", "_")[:16], SCHEME, name)


def predecessor(study_uid: str, source_id: str, kind: str) -> Dataset:
    """Return class and UIDs of a structured report that was made of a draft or a signature."""
    item = Dataset()
    item.SOPClassUID, item.StudyInstanceUID = SR_CLASSES[kind], study_uid
    item.SeriesInstanceUID = uid_of(source_id, kind, "series")
    item.SOPInstanceUID = uid_of(source_id, kind, "instance")
    return item
