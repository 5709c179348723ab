"""Another application entity, asked over DIMSE: C-STORE, C-FIND, C-GET, C-MOVE (PS3.4 B, C)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.events import EVT_C_STORE, Event
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from radlet.data.quiet import quiet_libraries
from radlet.pacs.contexts import FILM_CLASSES, UNCOMPRESSED, readable_syntaxes
from radlet.pacs.network_libraries import prepare_libraries
from radlet.pacs.peers.base import AwayError, FoundStudy, ObjectUids, OverloadedError, RefusedError
from radlet.pacs.settings import DimsePeer
from radlet.reading.certificates import client_tls

_FIND = StudyRootQueryRetrieveInformationModelFind
_GET = StudyRootQueryRetrieveInformationModelGet
_MOVE = StudyRootQueryRetrieveInformationModelMove
_PENDING = (0xFF00, 0xFF01)
_DUPLICATE = 0x0111
_CANNOT_UNDERSTAND = 0xC000
_UNICODE = "ISO_IR 192"


class DimseClient:
    """Another application entity.

    Args:
        peer: Where it is.
        own_title: How this one calls itself.

    Raises:
        ConfigError: A certificate or a key cannot be read.
    """

    def __init__(self, peer: DimsePeer, own_title: str) -> None:
        prepare_libraries()
        self._peer, self._own_title = peer, own_title
        self._tls = client_tls(peer.tls_ca, peer.tls_certificate, peer.tls_key) if peer.tls_ca else None

    def holds(self, uids: ObjectUids) -> bool | None:
        """Ask by C-FIND at the level of images."""
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        query.StudyInstanceUID, query.SeriesInstanceUID = uids.study, uids.series
        query.SOPInstanceUID = uids.instance
        try:
            return any(found.get("SOPInstanceUID") == uids.instance for found in self._find(query))
        except RefusedError:
            return None

    def send(self, content: bytes) -> None:
        """Send by C-STORE, in one of the uncompressed transfer syntaxes."""
        with quiet_libraries():
            item = dcmread(BytesIO(content))
            with self._associated([build_context(item.SOPClassUID, list(UNCOMPRESSED))]) as association:
                if not association.accepted_contexts:
                    raise RefusedError("The peer does not take objects of this SOP class.")
                status = association.send_c_store(item)
        code = _code(status)
        # 0xBxxx: taken, with a warning. 0xA7xx: out of resources, for this object or for any.
        if code == _DUPLICATE or code == 0 or code >> 12 == 0xB:
            return
        if code >> 8 == 0xA7:
            raise OverloadedError(f"The peer is out of resources (status {code:#06x}).")
        raise RefusedError(f"The peer refused the object (status {code:#06x}).")

    def studies_of(self, patient_id: str) -> list[FoundStudy]:
        """Ask by C-FIND at the level of studies."""
        query = Dataset()
        query.QueryRetrieveLevel, query.PatientID = "STUDY", patient_id
        query.StudyInstanceUID = query.StudyDate = query.ModalitiesInStudy = ""
        if not patient_id.isascii():
            # Without, what is no ASCII is asked for as question marks, which any character matches (PS3.4 C.2.2.2).
            query.SpecificCharacterSet = _UNICODE
        found = self._find(query)
        # Answers are decoded as they are read, each from its own character set.
        with quiet_libraries():
            return [
                FoundStudy(
                    str(one.get("StudyInstanceUID", "")),
                    str(one.get("PatientID", "")),
                    str(one.get("StudyDate", "") or ""),
                    _several(one.get("ModalitiesInStudy")),
                )
                for one in found
            ]

    def retrieve(self, study_uid: str, how: Literal["get", "move"], keep: Callable[[bytes], None]) -> None:
        """Fetch by C-GET, or have it sent by C-MOVE."""
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study_uid
        if how == "move":
            with self._associated([build_context(_MOVE)]) as association:
                _refuse_without(association, "C-MOVE")
                _check_end([status for status, _ in association.send_c_move(query, self._own_title, _MOVE)])
            return

        def on_store(event: Event) -> int:
            try:
                keep(event.encoded_dataset())
            except Exception:  # noqa: BLE001 - this film alone is refused; why is the keeper's to tell
                return _CANNOT_UNDERSTAND
            return 0

        contexts = [build_context(_GET), *(build_context(uid, readable_syntaxes()) for uid in FILM_CLASSES)]
        with self._associated(contexts, on_store) as association:
            _refuse_without(association, "C-GET")
            _check_end([status for status, _ in association.send_c_get(query, _GET)])

    def _find(self, query: Dataset) -> list[Dataset]:
        with self._associated([build_context(_FIND)]) as association, quiet_libraries():
            _refuse_without(association, "C-FIND")
            answers = list(association.send_c_find(query, _FIND))
        _check_end([status for status, _ in answers])
        return [found for status, found in answers if found is not None and _code(status) in _PENDING]

    @contextmanager
    def _associated(
        self, contexts: list[PresentationContext], on_store: Callable[[Event], int] | None = None
    ) -> Iterator[Association]:
        entity = AE(ae_title=self._own_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self._peer.timeout_s
        entity.connection_timeout = self._peer.timeout_s
        association = entity.associate(
            self._peer.host,
            self._peer.port,
            contexts=contexts,
            ae_title=self._peer.ae_title,
            ext_neg=[build_role(uid, scp_role=True) for uid in FILM_CLASSES] if on_store else None,
            evt_handlers=[(EVT_C_STORE, on_store)] if on_store else None,
            tls_args=(self._tls, self._peer.host) if self._tls else None,
        )
        if not association.is_established:
            if association.is_rejected:
                raise AwayError("The peer rejected the association. Does it know this node's title and address?")
            if association.acceptor.primitive is not None and association.rejected_contexts:
                raise RefusedError("The peer does not speak any of what it was asked for.")
            certified = ", or one of the two did not accept the other's certificate" if self._tls else ""
            raise AwayError(f"The peer cannot be reached{certified}.")
        try:
            yield association
        finally:
            association.release()


def _code(status: Dataset) -> int:
    """Return the status of an answer.

    Raises:
        AwayError: There was none: the connection was lost.
    """
    if "Status" not in status:
        raise AwayError("The connection to the peer was lost.")
    return int(status.Status)


def _check_end(statuses: list[Dataset]) -> None:
    last = _code(statuses[-1]) if statuses else 0
    # 0xB000: some of the sub-operations failed, such as what is no film.
    if last not in (0, 0xB000, *_PENDING):
        raise RefusedError(f"The peer refused what it was asked (status {last:#06x}).")


def _refuse_without(association: Association, service: str) -> None:
    queries = (_FIND, _GET, _MOVE)
    if not any(context.abstract_syntax in queries for context in association.accepted_contexts):
        raise RefusedError(f"The peer does not answer {service}.")


def _several(value: object) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(one) for one in value)  # type: ignore[attr-defined]
