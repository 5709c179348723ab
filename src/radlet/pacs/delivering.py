"""Deliver drafts and signed reports: what goes where, how each is made once, and the worker that sends it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from radlet.core.errors import DataError, RadletError
from radlet.pacs.outputs.facts import Look, ReportFacts, gather, gather_signed
from radlet.pacs.outputs.identifiers import uid_of
from radlet.pacs.outputs.making import make_file
from radlet.pacs.outputs.reports import Signing
from radlet.pacs.peers.base import AwayError, ObjectUids, OverloadedError, PeerClient
from radlet.pacs.settings import Delivery, OutputKind
from radlet.reading.draft_queue import ClosedError
from radlet.reading.outbox import Attempt, Fault, Outbox
from radlet.reading.store.basis import NotThereError
from radlet.reading.store.films import keep_file
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, OutboxRow, SignatureRow
from radlet.reading.store.troubles import TroubleError, troubles_told

_LOG = logging.getLogger(__name__)
OUTPUTS = "outputs"


class PeerDeliveries:
    """What the peers are sent of drafts and of signed reports.

    Args:
        deliveries: To whom, as what.
    """

    def __init__(self, deliveries: Iterable[Delivery]) -> None:
        deliveries = tuple(deliveries)
        self._drafts = [(one.to, kind) for one in deliveries for kind in one.kinds]
        self._signed = [(one.to, kind) for one in deliveries for kind in one.signed]

    def of_draft(self, draft: DraftRow) -> list[OutboxRow]:
        """Return the rows of the outbox for a draft, in the order in which they are to be sent."""
        rows = _rows(self._drafts, draft.id, draft.created_at)
        for row in rows:
            row.study_id, row.draft_id = draft.study_id, draft.id
        return rows

    def of_signature(self, signature: SignatureRow) -> list[OutboxRow]:
        """Return the rows of the outbox for a signed report, likewise."""
        rows = _rows(self._signed, signature.id, signature.signed_at)
        for row in rows:
            row.study_id, row.signature_id = signature.study_id, signature.id
        return rows


def _rows(wanted: Iterable[tuple[str, str]], source_id: str, moment: datetime) -> list[OutboxRow]:
    return [
        OutboxRow(
            kind=kind,
            destination=destination,
            path=str(Path(OUTPUTS) / source_id[:2] / f"{source_id}-{kind}.dcm"),
            sop_instance_uid=uid_of(source_id, kind, "instance"),
            next_at=moment,
            # Their order outlives clocks that do not tell them apart.
            created_at=moment + timedelta(microseconds=number),
        )
        for number, (destination, kind) in enumerate(wanted)
    ]


class Outputs:
    """Make what is delivered, each once, so that whatever is sent again is the same.

    Args:
        store: That keeps drafts, signatures and what was made of them.
        look: Asks the model where it looked, for outputs that show it.
        signing: For whom people sign; None where signed reports stay here.
    """

    def __init__(self, store: Store, look: Look | None = None, signing: Signing | None = None) -> None:
        self._store, self._look, self._signing = store, look, signing

    def of(self, row: OutboxRow) -> bytes:
        """Return the file of a delivery.

        Raises:
            DataError: It cannot be made.
        """
        path = self._store.data_dir / row.path
        # What ails the disk is no failure of the object.
        with troubles_told():
            if path.is_file():
                return path.read_bytes()
        content = make_file(cast("OutputKind", row.kind), self._facts(row))
        with troubles_told():
            keep_file(path, content)
        return content

    def _facts(self, row: OutboxRow) -> ReportFacts:
        study = self._store.study(row.study_id)
        if row.signature_id is None:
            draft = next((one for one in study.drafts if one.id == row.draft_id), None)
            if draft is None:
                raise NotThereError("The draft is not in the store.")
            return gather(self._store, study, draft, self._look)
        signature = next((one for one in study.signatures if one.id == row.signature_id), None)
        if signature is None:
            raise NotThereError("The signature is not in the store.")
        if self._signing is None:
            raise DataError("A signed report waits, and the settings name no organization to sign for.")
        return gather_signed(self._store, study, signature, self._signing)


class OutboxWorker:
    """Send what waits in the outbox, one thing at a time.

    Args:
        outbox: What waits.
        peers: Where it can go.
        outputs: Makes what is sent.
    """

    def __init__(self, outbox: Outbox, peers: Mapping[str, PeerClient], outputs: Outputs) -> None:
        self._outbox, self._peers, self._outputs = outbox, peers, outputs

    def work(self, until: Callable[[], bool] = lambda: False) -> int:
        """Send all that is due, or until told to stop; return how many were delivered."""
        delivered = 0
        while not until():
            attempt = self._outbox.next(list(self._peers))
            if attempt is None:
                break
            delivered += self._try(attempt)
        return delivered

    def _try(self, attempt: Attempt) -> bool:
        row = attempt.row
        try:
            self._deliver(attempt)
        except (ClosedError, TroubleError, SQLAlchemyError):
            # Not the delivery failed but this node; its attempt is noted, so that the next one asks first.
            raise
        except RadletError as error:
            state = self._outbox.note_failed(attempt, str(error), _fault(error))
            _LOG.warning("delivery %s failed (%s) and is %s", row.id, type(error).__name__, state)
            return False
        except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
            self._outbox.note_failed(attempt, f"Unexpected: {type(error).__name__}", "object")
            _LOG.error("delivery %s failed: %s", row.id, type(error).__name__)
            return False
        self._outbox.note_sent(attempt)
        return True

    def _deliver(self, attempt: Attempt) -> None:
        row, peer = attempt.row, self._peers[attempt.row.destination]
        if attempt.is_repeat and peer.holds(_uids(self._outbox.store, row)):
            return
        peer.send(self._outputs.of(row))


def _fault(error: RadletError) -> Fault:
    if isinstance(error, OverloadedError):
        return "either"
    return "peer" if isinstance(error, AwayError) else "object"


def _uids(store: Store, row: OutboxRow) -> ObjectUids:
    study = store.study(row.study_id)
    if not (study.study_uid and row.sop_instance_uid):
        raise DataError("The delivery does not say what it delivers.")
    return ObjectUids(
        study.study_uid, uid_of(row.signature_id or row.draft_id or "", row.kind, "series"), row.sop_instance_uid
    )
