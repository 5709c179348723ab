from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fixtures.scripted_peer import ScriptedPeer

from radlet.core.errors import RadletError
from radlet.pacs.delivering import OutboxWorker, Outputs
from radlet.reading.draft_queue import ClosedError
from radlet.reading.outbox import Outbox, OutboxSettings
from radlet.reading.store.basis import StateError
from radlet.reading.store.films import NewFilm, NewStudy
from radlet.reading.store.store import Store
from radlet.reading.store.tables import OutboxRow
from radlet.reading.store.troubles import BusyError, FullError


class Clock:
    """A clock that is told what time it is."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def pass_s(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    with Store(tmp_path, database_url) as opened:
        yield opened


def outbox(store: Store, clock: Clock, **settings: float) -> Outbox:
    return Outbox(store, OutboxSettings(**settings), clock, jitter=lambda: 0.5)


def put(store: Store, clock: Clock, count: int, destination: str = "pacs") -> list[str]:
    """Put objects into the outbox whose files are there; return what they hold."""
    film = NewFilm(b"film", ".dcm", 1, 1)
    study_id, _, _ = store.add_film(NewStudy("dicom", study_uid="1.2"), film, "test")
    contents = [f"{destination} {number}" for number in range(count)]
    with store.writing() as session:
        for number, content in enumerate(contents):
            (store.data_dir / content).write_text(content)
            session.add(
                OutboxRow(
                    study_id=study_id,
                    kind="text_sr",
                    destination=destination,
                    path=content,
                    sop_instance_uid=content,
                    next_at=clock(),
                    created_at=clock() + timedelta(microseconds=number),
                )
            )
    clock.pass_s(1)
    return contents


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # 4,300 times to work are long on the other
def test_a_peer_that_is_away_for_an_hour_gets_everything_afterwards_in_order(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 20)
    peer = ScriptedPeer(is_away=True)
    worker = OutboxWorker(outbox(store, clock), {"pacs": peer}, Outputs(store))
    tries = 0
    for _ in range(720):
        before = peer.num_calls
        worker.work()
        tries += peer.num_calls - before
        clock.pass_s(5)
    assert 5 < tries < 20  # 10 s, doubling to 10 min, a tenth longer
    peer.is_away = False
    for _ in range(140):
        worker.work()
        clock.pass_s(5)
    assert peer.received == contents


def test_an_object_that_is_refused_does_not_hold_up_the_others(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 3)
    peer = ScriptedPeer(refused={contents[0]})
    box = outbox(store, clock)
    OutboxWorker(box, {"pacs": peer}, Outputs(store)).work()
    assert peer.received == contents[1:]
    assert [(row.state, row.attempts) for row in box.rows("waiting")] == [("waiting", 1)]


def test_an_object_that_the_peer_fails_at_waits_alone_after_three_times(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 4)
    peer = ScriptedPeer(failing={contents[1]})
    box = outbox(store, clock)
    worker = OutboxWorker(box, {"pacs": peer}, Outputs(store))
    for _ in range(3):
        assert peer.received in ([], contents[:1])
        worker.work()
        clock.pass_s(50)
    assert peer.received == contents[:1]
    worker.work()
    assert peer.received == [contents[0], *contents[2:]]
    assert [row.attempts for row in box.rows("waiting")] == [4]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_peer_that_fails_at_everything_for_hours_gets_all_afterwards_in_order(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 6)
    peer = ScriptedPeer(is_full=True)
    worker = OutboxWorker(outbox(store, clock), {"pacs": peer}, Outputs(store))
    for _ in range(200):
        worker.work()
        clock.pass_s(60)
    peer.is_full = False
    for _ in range(30):
        worker.work()
        clock.pass_s(60)
    assert peer.received == contents


@pytest.mark.parametrize("trouble", [BusyError(), FullError(), ClosedError("The service is stopping.")])
def test_what_ails_this_node_is_no_failure_of_the_delivery(store: Store, clock: Clock, trouble: RadletError) -> None:
    put(store, clock, 1)
    outputs, box = Outputs(store), outbox(store, clock)

    def fail(_: OutboxRow) -> bytes:
        raise trouble

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outputs, "of", fail)
        with pytest.raises(type(trouble)):
            OutboxWorker(box, {"pacs": ScriptedPeer()}, outputs).work()
    assert [(row.last_error, row.next_at <= clock()) for row in box.rows("waiting")] == [(None, True)]


def test_another_destination_does_not_wait_for_one_that_is_away(store: Store, clock: Clock) -> None:
    put(store, clock, 2, "away")
    here = put(store, clock, 2, "here")
    peers = {"away": ScriptedPeer(is_away=True), "here": ScriptedPeer()}
    OutboxWorker(outbox(store, clock), peers, Outputs(store)).work()
    assert peers["here"].received == here


def test_a_kill_between_sending_and_noting_doubles_nothing_at_a_peer_that_counts(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 1)
    peer = ScriptedPeer(killed_after_sending=True)
    worker = OutboxWorker(outbox(store, clock), {"pacs": peer}, Outputs(store))
    with pytest.raises(KeyboardInterrupt):
        worker.work()
    peer.killed_after_sending = False
    OutboxWorker(outbox(store, clock), {"pacs": peer}, Outputs(store)).work()  # as after a restart
    assert peer.received == contents
    assert len(outbox(store, clock).rows("sent")) == 1


def test_a_peer_that_cannot_be_asked_gets_the_same_object_again(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 1)
    peer = ScriptedPeer(killed_after_sending=True, can_be_asked=False)
    with pytest.raises(KeyboardInterrupt):
        OutboxWorker(outbox(store, clock), {"pacs": peer}, Outputs(store)).work()
    peer.killed_after_sending = False
    OutboxWorker(outbox(store, clock), {"pacs": peer}, Outputs(store)).work()
    assert peer.received == contents * 2


def test_what_is_too_old_becomes_a_dead_letter_and_can_be_sent_again(store: Store, clock: Clock) -> None:
    contents = put(store, clock, 1)
    peer = ScriptedPeer(refused=set(contents))
    box = outbox(store, clock, give_up_after_s=100)
    worker = OutboxWorker(box, {"pacs": peer}, Outputs(store))
    for _ in range(300):
        worker.work()
        clock.pass_s(1)
    (dead,) = box.rows("dead")
    assert dead.last_error == "The peer refused the object."
    assert worker.work() == 0
    peer.refused.clear()
    assert box.retry(None, "admin") == 1
    assert worker.work() == 1
    assert peer.received == contents
    with pytest.raises(StateError, match="has been sent"):
        box.retry(dead.id, "admin")
