"""Deliver drafts: which outputs go where, how each is made once, and the worker that sends them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from radlet.core.errors import DataError, RadletError
from radlet.pacs.outputs.facts import Look, gather
from radlet.pacs.outputs.identity import uid_of
from radlet.pacs.outputs.making import make_file
from radlet.pacs.peers.base import AwayError, ObjectUids, PeerClient
from radlet.pacs.settings import Delivery, OutputKind
from radlet.reading.outbox import Attempt, Outbox
from radlet.reading.store.films import write_durably
from radlet.reading.store.store import NotThereError, Store
from radlet.reading.store.tables import DraftRow, OutboxRow

_LOG = logging.getLogger(__name__)
OUTPUTS = "outputs"


def rows_for(deliveries: Iterable[Delivery]) -> Callable[[DraftRow], list[OutboxRow]]:
    """Return what makes the rows of the outbox for a draft, in the order in which they are to be sent."""
    wanted = [(delivery.to, kind) for delivery in deliveries for kind in delivery.kinds]

    def rows(draft: DraftRow) -> list[OutboxRow]:
        return [
            OutboxRow(
                study_id=draft.study_id,
                draft_id=draft.id,
                kind=kind,
                destination=destination,
                path=str(Path(OUTPUTS) / draft.id[:2] / f"{draft.id}-{kind}.dcm"),
                sop_instance_uid=uid_of(draft.id, kind, "instance"),
                next_at=draft.created_at,
                # Their order outlives clocks that do not tell them apart.
                created_at=draft.created_at + timedelta(microseconds=number),
            )
            for number, (destination, kind) in enumerate(wanted)
        ]

    return rows


class OutboxWorker:
    """Send what waits in the outbox, one thing at a time.

    Args:
        outbox: What waits.
        peers: Where it can go.
        look: Asks the model where it looked, for outputs that show it.
    """

    def __init__(self, outbox: Outbox, peers: Mapping[str, PeerClient], look: Look | None) -> None:
        self._outbox, self._peers, self._look = outbox, peers, look

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
        except RadletError as error:
            state = self._outbox.note_failed(attempt, str(error), isinstance(error, AwayError))
            _LOG.warning("delivery %s failed (%s) and is %s", row.id, type(error).__name__, state)
            return False
        except SQLAlchemyError:
            # Not the delivery failed but the database; the attempt is noted, so that the next one asks first.
            raise
        except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
            self._outbox.note_failed(attempt, f"Unexpected: {type(error).__name__}", is_away=False)
            _LOG.error("delivery %s failed: %s", row.id, type(error).__name__)
            return False
        self._outbox.note_sent(attempt)
        return True

    def _deliver(self, attempt: Attempt) -> None:
        row, store = attempt.row, self._outbox.store
        peer = self._peers[row.destination]
        if attempt.is_repeat and peer.holds(_uids(store, row)):
            return
        peer.send(output_of(store, row, self._look))


def output_of(store: Store, row: OutboxRow, look: Look | None) -> bytes:
    """Return the file of a delivery; it is made once, so that whatever is sent again is the same.

    Raises:
        DataError: It cannot be made.
    """
    path = store.data_dir / row.path
    if path.is_file():
        return path.read_bytes()
    study = store.study(row.study_id)
    draft = next((draft for draft in study.drafts if draft.id == row.draft_id), None)
    if draft is None:
        raise NotThereError("The draft is not in the store.")
    content = make_file(cast("OutputKind", row.kind), gather(store, study, draft, look))
    write_durably(path, content)
    return content


def _uids(store: Store, row: OutboxRow) -> ObjectUids:
    study = store.study(row.study_id)
    if not (study.study_uid and row.sop_instance_uid):
        raise DataError("The delivery does not say what it delivers.")
    return ObjectUids(study.study_uid, uid_of(row.draft_id or "", row.kind, "series"), row.sop_instance_uid)
