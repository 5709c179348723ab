"""What any other system can be asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from radlet.core.errors import RadletError


class AwayError(RadletError):
    """The system cannot be reached, or can take nothing at the moment."""


class OverloadedError(AwayError):
    """The system answered that it cannot take this now: it may take nothing, or never take this."""


class RefusedError(RadletError):
    """The system was reached and refused what it was asked."""


@dataclass(frozen=True)
class ObjectUids:
    """Which object is meant.

    Attributes:
        study: Study Instance UID.
        series: Series Instance UID.
        instance: SOP Instance UID.
    """

    study: str
    series: str
    instance: str


@dataclass(frozen=True)
class FoundStudy:
    """A study that another system holds.

    Attributes:
        study_uid: Study Instance UID.
        patient_id: Patient ID.
        study_date: YYYYMMDD, or empty.
        modalities: Modalities in Study.
    """

    study_uid: str
    patient_id: str
    study_date: str
    modalities: tuple[str, ...]


class PeerClient(Protocol):
    """Another system."""

    def holds(self, uids: ObjectUids) -> bool | None:
        """Say whether it has an object; None where it cannot be asked.

        Raises:
            AwayError: It cannot be reached.
        """

    def send(self, content: bytes) -> None:
        """Send an object, a DICOM file.

        Raises:
            AwayError: It cannot be reached.
            OverloadedError: It cannot take the object now.
            RefusedError: It does not take the object.
        """

    def studies_of(self, patient_id: str) -> list[FoundStudy]:
        """Return the studies of a patient.

        Raises:
            AwayError: It cannot be reached.
            RefusedError: It does not answer this.
        """

    def retrieve(self, study_uid: str, how: Literal["get", "move"], keep: Callable[[bytes], None]) -> None:
        """Fetch the films of a study.

        Args:
            study_uid: Which.
            how: Over DIMSE. What is moved comes to the node's own port instead of `keep`.
            keep: Is given each film, a DICOM file; what it raises refuses that film alone.

        Raises:
            AwayError: It cannot be reached.
            RefusedError: It does not answer this.
        """
