"""What is to be delivered to other systems, until it has been: rows that outlive a kill, back-off, dead letters.

A row is written in the transaction of what it follows from, its attempt before it is sent, and its delivery after. A
kill between the last two leads to a second delivery of the same object, which `OutboxRow.attempts` tells the sender.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from radlet.core.config import Config
from radlet.reading.store import audit
from radlet.reading.store.basis import NotThereError, StateError
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, OutboxRow, OutboxState, SignatureRow, now

ACTOR = "outbox"
_LONGEST_ERROR = 200
_PATIENCE = 3

Fault = Literal["object", "peer", "either"]
"""What a failed delivery is laid to."""


class OutboxSettings(Config):
    """How what cannot be delivered is tried again."""

    first_retry_s: float = Field(default=10.0, gt=0)
    """Wait after the first failure; it doubles with each further one."""
    longest_retry_s: float = Field(default=600.0, gt=0)
    """Longest wait between two attempts."""
    jitter: float = Field(default=0.2, ge=0, le=1)
    """Largest share by which a wait is lengthened at random, so that several senders do not come at once."""
    give_up_after_s: float = Field(default=7 * 24 * 3600.0, gt=0)
    """What is this old when it fails becomes a dead letter; `radlet outbox retry` sends it again."""


class Deliveries(Protocol):
    """What is to be delivered of what a room keeps, in the order in which it is to arrive."""

    def of_draft(self, draft: DraftRow) -> Iterable[OutboxRow]:
        """Return what is to be delivered of a draft."""

    def of_signature(self, signature: SignatureRow) -> Iterable[OutboxRow]:
        """Return what is to be delivered of a signed report."""


def deliveries_of(store: Store, study_id: str) -> list[OutboxRow]:
    """Return the deliveries of a study in the order in which they were written."""
    wanted = select(OutboxRow).where(OutboxRow.study_id == study_id)
    with store.reading() as session:
        return list(session.scalars(wanted.order_by(OutboxRow.created_at, OutboxRow.id)))


@dataclass(frozen=True)
class Attempt:
    """One delivery that is about to be tried.

    Attributes:
        row: What, and where to.
        is_repeat: Whether it was tried before: the destination may have it already.
    """

    row: OutboxRow
    is_repeat: bool


class Outbox:
    """The deliveries of a store.

    Args:
        store: That keeps them.
        settings: Of waiting.
        clock: Gives the moment.
        jitter: Gives a number from 0 to 1.
    """

    def __init__(
        self,
        store: Store,
        settings: OutboxSettings,
        clock: Callable[[], datetime] = now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.store, self._settings, self._clock, self._jitter = store, settings, clock, jitter

    def next(self, destinations: Sequence[str]) -> Attempt | None:
        """Return the oldest delivery that is due, its attempt noted before it is made.

        While a destination is away nothing is due there, also what was written since: it would overtake the others.

        Args:
            destinations: Those that can be sent to.
        """
        moment = self._clock()
        away = select(OutboxRow.destination).where(
            OutboxRow.state == "waiting", OutboxRow.peer_away, OutboxRow.next_at > moment
        )
        due = (
            select(OutboxRow)
            .where(OutboxRow.state == "waiting", OutboxRow.next_at <= moment)
            .where(OutboxRow.destination.in_(destinations), OutboxRow.destination.not_in(away))
            .order_by(OutboxRow.created_at, OutboxRow.id)
            .limit(1)
        )
        with self.store.reading() as session:
            if session.scalars(due).first() is None:
                return None
        with self.store.writing() as session:
            row = session.scalars(due.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            row.attempts += 1
            return Attempt(row, row.attempts > 1)

    def note_sent(self, attempt: Attempt) -> None:
        """Note that a delivery has arrived."""
        with self.store.writing() as session:
            row = _get(session.get(OutboxRow, attempt.row.id))
            row.state, row.sent_at, row.last_error = "sent", self._clock(), None
            audit.append(
                session, ACTOR, "outbox.send", row.id, study=row.study_id, kind=row.kind, attempts=row.attempts
            )

    def note_failed(self, attempt: Attempt, reason: str, fault: Fault) -> OutboxState:
        """Note that a delivery failed, and when it is tried again.

        Args:
            attempt: That failed.
            reason: In words that name nobody.
            fault: Of the peer, which cannot be reached: then nothing else is sent to it until the next attempt, so that
                what waits arrives in the order in which it was written. Of the object: the others go on. Where it may
                be either, the peer's until the object has failed three times; then the next one shows it.

        Returns:
            The state of the delivery: waiting, or dead.
        """
        moment = self._clock()
        with self.store.writing() as session:
            row = _get(session.get(OutboxRow, attempt.row.id))
            row.last_error = reason[:_LONGEST_ERROR]
            row.next_at = moment + timedelta(seconds=self._wait_s(row.attempts))
            row.peer_away = fault == "peer" or (fault == "either" and row.attempts <= _PATIENCE)
            if fault == "either":
                row.next_at = max(row.next_at, self._next_before(session, row))
            if moment - row.created_at >= timedelta(seconds=self._settings.give_up_after_s):
                row.state = "dead"
                audit.append(
                    session, ACTOR, "outbox.give_up", row.id, study=row.study_id, kind=row.kind, attempts=row.attempts
                )
            return row.state

    def rows(self, state: OutboxState | None = None) -> list[OutboxRow]:
        """Return deliveries in the order in which they were written."""
        wanted = select(OutboxRow).order_by(OutboxRow.created_at, OutboxRow.id)
        with self.store.reading() as session:
            return list(session.scalars(wanted.where(OutboxRow.state == state) if state else wanted))

    def stranded(self, destinations: Sequence[str]) -> dict[str, int]:
        """Return how many deliveries wait for other destinations than these, by destination."""
        wanted = (
            select(OutboxRow.destination, func.count())
            .where(OutboxRow.state == "waiting", OutboxRow.destination.not_in(destinations))
            .group_by(OutboxRow.destination)
            .order_by(OutboxRow.destination)
        )
        with self.store.reading() as session:
            return {name: count for name, count in session.execute(wanted)}  # noqa: C416 - as in Store.counts

    def retry(self, row_id: str | None, actor: str) -> int:
        """Let dead letters be sent again, now; their age counts from now on.

        Args:
            row_id: Of one delivery; None: all dead letters.
            actor: Who wants it.

        Returns:
            How many.

        Raises:
            NotThereError: There is no such delivery.
            StateError: It has been sent.
        """
        moment = self._clock()
        with self.store.writing() as session:
            if row_id is None:
                rows = list(session.scalars(select(OutboxRow).where(OutboxRow.state == "dead")))
            else:
                rows = [_get(session.get(OutboxRow, row_id))]
            for number, row in enumerate(sorted(rows, key=lambda one: (one.created_at, one.id))):
                if row.state == "sent":
                    raise StateError("This delivery has been sent. Nothing is sent twice.")
                row.state, row.next_at, row.peer_away = "waiting", moment, False
                row.created_at = moment + timedelta(microseconds=number)
                audit.append(session, actor, "outbox.retry", row.id, study=row.study_id)
        return len(rows)

    def _next_before(self, session: Session, row: OutboxRow) -> datetime:
        """Return when what waits alone before a delivery is tried: a peer that takes nothing gets both in order."""
        before = select(func.max(OutboxRow.next_at)).where(
            OutboxRow.state == "waiting",
            OutboxRow.destination == row.destination,
            OutboxRow.attempts > _PATIENCE,
            OutboxRow.created_at < row.created_at,
        )
        return session.scalar(before) or row.next_at

    def _wait_s(self, attempts: int) -> float:
        settings = self._settings
        doubled = settings.first_retry_s * 2.0 ** min(attempts - 1, 60)
        return min(doubled, settings.longest_retry_s) * (1 + settings.jitter * self._jitter())


def _get(row: OutboxRow | None) -> OutboxRow:
    if row is None:
        raise NotThereError("There is no such delivery.")
    return row
