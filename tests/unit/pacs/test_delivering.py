from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
from pydicom import dcmread
from tests.fixtures.dicom_node import drafted, film, keep, open_room

from radlet.pacs.completion import StudyDrafter
from radlet.pacs.delivering import OutboxWorker, rows_for
from radlet.pacs.peers.base import AwayError, FoundStudy, ObjectUids
from radlet.pacs.priors import PriorFetcher
from radlet.pacs.settings import Delivery, PriorSettings
from radlet.reading.outbox import Outbox, OutboxSettings
from radlet.reading.room import ReadingRoom
from radlet.reading.store.tables import now

DELIVERIES = (Delivery(to="pacs", kinds=("text_sr",)),)


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
        self.is_away, self.loses_answer, self.can_be_asked = False, False, True
        self.got: list[str] = []

    def holds(self, uids: ObjectUids) -> bool | None:
        self._reach()
        return uids.instance in self.got if self.can_be_asked else None

    def send(self, content: bytes) -> None:
        self._reach()
        self.got.append(str(dcmread(BytesIO(content)).SOPInstanceUID))
        if self.loses_answer:
            raise AwayError("The connection to the peer was lost.")

    def studies_of(self, patient_id: str) -> list[FoundStudy]:
        self._reach()
        return []

    def retrieve(self, study_uid: str, how: Literal["get", "move"], keep: Callable[[bytes], None]) -> None:
        raise AssertionError

    def _reach(self) -> None:
        if self.is_away:
            raise AwayError("The peer cannot be reached.")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path / "room")
    yield opened
    opened.close(5)
    opened.store.close()


def complete(room: ReadingRoom, clock: Clock, priors: PriorFetcher | None = None) -> StudyDrafter:
    return StudyDrafter(room, 30, rows_for(DELIVERIES), priors, clock)


def sender(room: ReadingRoom, pacs: Pacs, clock: Clock) -> OutboxWorker:
    return OutboxWorker(Outbox(room.store, OutboxSettings(), clock), {"pacs": pacs}, None)


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


@pytest.mark.parametrize(("can_be_asked", "times"), [(True, 1), (False, 2)])
def test_after_a_lost_answer_the_peer_is_asked_first(
    room: ReadingRoom, tmp_path: Path, can_be_asked: bool, times: int
) -> None:
    clock, pacs = Clock(), Pacs()
    keep(room, film(tmp_path, 1))
    complete(room, clock).work()
    pacs.can_be_asked, pacs.loses_answer = can_be_asked, True
    assert sender(room, pacs, clock).work() == 0
    pacs.loses_answer = False
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


def test_drafts_wait_under_the_uid_that_is_sent(room: ReadingRoom, tmp_path: Path) -> None:
    clock, pacs = Clock(), Pacs()
    draft = drafted(room, film(tmp_path, 1), "No pneumothorax.")
    row = rows_for(DELIVERIES)(draft)[0]
    with room.store.writing() as session:
        session.add(row)
    assert sender(room, pacs, clock).work() == 1
    assert pacs.got == [row.sop_instance_uid]
