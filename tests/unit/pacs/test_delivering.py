import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.fixtures.dicom_node import drafted, film, keep, open_room, until

from radlet.inference.drafter import Drafter
from radlet.pacs.completion import StudyDrafter
from radlet.pacs.delivering import OutboxWorker, Outputs, PeerDeliveries
from radlet.pacs.outputs.reports import Signing
from radlet.pacs.peers.base import AwayError, FoundStudy, ObjectUids
from radlet.pacs.priors import PriorFetcher
from radlet.pacs.settings import Delivery, PriorSettings
from radlet.reading.draft_queue import QueueFullError
from radlet.reading.outbox import Outbox, OutboxSettings
from radlet.reading.room import ReadingRoom
from radlet.reading.store.tables import now

DELIVERIES = (Delivery(to="pacs", kinds=("text_sr",), signed=("text_sr",)),)
HOUR_S = 3600


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.moment = now() + timedelta(seconds=60)

    def __call__(self) -> datetime:
        return self.moment

    def skip(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Pacs:
    """Another system, in memory, that counts what it is sent."""

    def __init__(self) -> None:
        self.is_away, self.can_be_asked, self.num_calls = False, True, 0
        self.loses_answer_of: set[str | None] = set()
        self.loses_all_answers = False
        self.got: list[str] = []

    def holds(self, uids: ObjectUids) -> bool | None:
        self._reach()
        return uids.instance in self.got if self.can_be_asked else None

    def send(self, content: bytes) -> None:
        self._reach()
        uid = str(dcmread(BytesIO(content)).SOPInstanceUID)
        self.got.append(uid)
        if self.loses_all_answers or uid in self.loses_answer_of:
            raise AwayError("The connection to the peer was lost.")

    def studies_of(self, patient_id: str) -> list[FoundStudy]:
        self._reach()
        return []

    def retrieve(self, study_uid: str, how: Literal["get", "move"], keep: Callable[[bytes], None]) -> None:
        raise AssertionError

    def _reach(self) -> None:
        self.num_calls += 1
        if self.is_away:
            raise AwayError("The peer cannot be reached.")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path / "room")
    opened.deliveries = PeerDeliveries(DELIVERIES)
    yield opened
    opened.close(5)
    opened.store.close()


def complete(room: ReadingRoom, clock: Clock, priors: PriorFetcher | None = None) -> StudyDrafter:
    return StudyDrafter(room, 30, priors, clock)


def sender(room: ReadingRoom, pacs: Pacs, clock: Clock) -> OutboxWorker:
    outputs = Outputs(room.store, signing=Signing("Clinic"))
    return OutboxWorker(Outbox(room.store, OutboxSettings(), clock), {"pacs": pacs}, outputs)


def test_a_study_is_drafted_once_when_it_is_quiet_also_after_a_restart(room: ReadingRoom, tmp_path: Path) -> None:
    clock = Clock()
    clock.moment = now()
    study = keep(room, film(tmp_path, 1))
    drafter = complete(room, clock)
    assert drafter.work() == 0
    clock.skip(31)
    assert complete(room, clock).work() == 1
    assert complete(room, clock).work() == 0
    assert len(room.store.study(study).drafts) == 1
    assert len(Outbox(room.store, OutboxSettings()).rows("waiting")) == 1


def test_a_study_that_fails_is_tried_again_later(
    room: ReadingRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    keep(room, film(tmp_path, 1))
    drafter = complete(room, clock)
    with monkeypatch.context() as broken:
        broken.setattr(room, "write", lambda *_: (_ for _ in ()).throw(RuntimeError))
        assert drafter.work() == 0
    assert drafter.due() == []
    clock.skip(31)
    assert drafter.work() == 1
    assert drafter.due() == []
    assert drafter._failed == {}


def test_a_study_that_the_gate_refuses_is_told_once_and_not_tried_again(
    room: ReadingRoom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    # No gate of these rooms lets a CT pass, and none is told whose film it was.
    study = keep(room, film(tmp_path, 1, Modality="CT", PatientName="Quezalda^Hortensia"))
    drafter = complete(room, clock)
    assert drafter.work() == 0
    clock.skip(HOUR_S)
    assert drafter.work() == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"study {study} is not drafted: the input gate refused every film of it"
    ]
    assert room.store.study(study).state == "refused"


def test_a_line_that_is_full_does_not_have_the_archive_asked_again(
    room: ReadingRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = Clock(), list[str]()
    study = keep(room, film(tmp_path, 1))

    class Archive:
        def fetch(self, study_id: str) -> int:
            asked.append(study_id)
            return 0

    drafter = complete(room, clock, cast("PriorFetcher", Archive()))
    with monkeypatch.context() as full:
        full.setattr(room, "write", lambda *_: (_ for _ in ()).throw(QueueFullError(1)))
        for _ in range(3):
            assert drafter.work() == 0
            clock.skip(2)
    assert drafter.work() == 1
    assert asked == [study]
    assert drafter.due() == []
    assert not drafter._fetched


def test_a_study_whose_priors_do_not_come_does_not_hold_up_one_that_comes_later(
    room: ReadingRoom, tmp_path: Path
) -> None:
    clock, come = Clock(), threading.Event()
    first = keep(room, film(tmp_path, 1))
    seen: list[str] = []

    class Slow:
        def fetch(self, study_id: str) -> int:
            seen.append(study_id)
            return int(study_id == first and come.wait(60))

    drafter = complete(room, clock, cast("PriorFetcher", Slow()))
    working = threading.Thread(target=drafter.work)
    working.start()
    assert until(lambda: seen == [first])
    second = keep(room, film(tmp_path, 2))
    assert until(lambda: room.store.study(second).state == "drafted")
    assert room.store.study(first).state == "new"
    come.set()
    working.join()
    assert room.store.study(first).state == "drafted"


def test_a_study_that_a_reader_has_drafted_meanwhile_gets_no_second_draft(
    room: ReadingRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, write = Clock(), room.write
    study = keep(room, film(tmp_path, 1))
    asked = room.ask(study, "anna")

    def slowly(*given: Any) -> tuple[str, Drafter]:
        room.keep_draft(asked, "Of the reader.", room.queue.drafter, "anna")
        return write(*given)

    monkeypatch.setattr(room, "write", slowly)
    assert complete(room, clock).work() == 0
    assert [draft.text for draft in room.store.study(study).drafts] == ["Of the reader."]
    assert len(Outbox(room.store, OutboxSettings()).rows()) == 1


@pytest.mark.parametrize(("can_be_asked", "times"), [(True, 1), (False, 2)])
def test_after_a_lost_answer_the_peer_is_asked_first(
    room: ReadingRoom, tmp_path: Path, can_be_asked: bool, times: int
) -> None:
    clock, pacs = Clock(), Pacs()
    keep(room, film(tmp_path, 1))
    complete(room, clock).work()
    pacs.can_be_asked, pacs.loses_all_answers = can_be_asked, True
    assert sender(room, pacs, clock).work() == 0
    pacs.loses_all_answers = False
    clock.skip(60)
    # Another worker, as after a kill.
    assert sender(room, pacs, clock).work() == 1
    assert len(pacs.got) == times
    assert len(set(pacs.got)) == 1


def test_without_the_peer_of_priors_a_study_is_drafted_all_the_same(room: ReadingRoom, tmp_path: Path) -> None:
    clock, pacs = Clock(), Pacs()
    pacs.is_away = True
    keep(room, film(tmp_path, 1, PatientID="P1"))
    fetcher = PriorFetcher(room.store, pacs, PriorSettings(peer="pacs"))
    assert complete(room, clock, fetcher).work() == 1


def test_what_is_drafted_and_signed_at_another_door_is_delivered_too(room: ReadingRoom, tmp_path: Path) -> None:
    clock, pacs = Clock(), Pacs()
    draft = drafted(room, film(tmp_path, 1), "No pneumothorax.")
    signature = room.sign(draft.study_id, "Clear.", "anna")
    rows = Outbox(room.store, OutboxSettings()).rows("waiting")
    assert [(row.draft_id, row.signature_id) for row in rows] == [(draft.id, None), (None, signature.id)]
    assert sender(room, pacs, clock).work() == 2
    assert pacs.got == [row.sop_instance_uid for row in rows]
    assert len(set(pacs.got)) == 2


def test_about_a_film_without_identifiers_nobody_is_told(room: ReadingRoom, tmp_path: Path) -> None:
    content = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(content, "PNG")
    study = room.keep(room.read(content.getvalue()), "test", "upload").study_id
    room.draft(study, "test")
    room.sign(study, "Clear.", "anna")
    assert Outbox(room.store, OutboxSettings()).rows() == []


def test_a_pacs_that_is_down_for_an_hour_gets_all_in_order_and_nothing_twice(room: ReadingRoom, tmp_path: Path) -> None:
    """From films that keep coming through drafts and a signed report to what the other system has in the end."""
    clock, pacs = Clock(), Pacs()
    drafter = complete(room, clock)
    pacs.is_away = True
    began, tries = clock.moment, []
    for number in range(HOUR_S // 10):
        if number % 60 == 0:
            keep(room, film(tmp_path, number + 1))
        drafter.work()
        if number == 100:
            room.sign(room.store.worklist()[0][0].id, "Clear.", "anna")
        before = pacs.num_calls
        # A worker of its own each time, as after a restart: what waits is in the store alone.
        sender(room, pacs, clock).work()
        if pacs.num_calls > before:
            tries.append((clock.moment - began).total_seconds())
        clock.skip(10)
    waits = [after - before for before, after in pairwise(tries)]
    assert 5 <= len(tries) <= 12
    assert waits[0] < 60
    assert all(later >= earlier for earlier, later in pairwise(waits[:4])), "the waits grow"
    assert max(waits) <= 600 * 1.2 + 10
    box = Outbox(room.store, OutboxSettings())
    waiting = [row.sop_instance_uid for row in box.rows("waiting")]
    assert len(waiting) == 6 + 1
    pacs.is_away = False
    pacs.loses_answer_of = {waiting[2]}  # kept, but its answer is lost
    for _ in range(HOUR_S // 10):
        sender(room, pacs, clock).work()
        clock.skip(10)
    assert pacs.got == waiting, "in order, none lost, none doubled"
    assert [row.sop_instance_uid for row in box.rows("sent")] == waiting
    assert box.rows("waiting") == box.rows("dead") == []
