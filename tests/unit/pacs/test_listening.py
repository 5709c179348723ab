import errno
import logging
import os
import socket
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from tests.fixtures.dicom_files import PLANTED, truncate
from tests.fixtures.dicom_node import drafted, film, open_room, send, until
from tests.fixtures.reading_room import OPEN_GATE, make_served

from radlet.data.film import Film
from radlet.data.images import read_film_bytes
from radlet.data.quiet import quiet_libraries
from radlet.pacs.delivering import PeerDeliveries
from radlet.pacs.node import DicomNode
from radlet.pacs.settings import Delivery, NodeSettings
from radlet.pacs.storing import FilmReceiver
from radlet.reading import opening
from radlet.reading.room import ReadingRoom, RoomSettings
from radlet.reading.store import database
from radlet.reading.store.store import Store
from radlet.reading.store.troubles import BusyError, FullError, UnwritableError

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    opened = open_room(tmp_path / "room")
    yield opened
    opened.close(5)
    opened.store.close()


@contextmanager
def running(room: ReadingRoom, **settings: object) -> Iterator[DicomNode]:
    node = DicomNode(room, NodeSettings.model_validate({"port": 0, "complete_after_s": 3600, **settings}))
    node.start()
    try:
        yield node
    finally:
        assert node.stop(5)


def statuses(port: int, *paths: Path) -> list[int]:
    answers = send(port, *paths)
    assert answers is not None
    return [int(answer.Status) for answer in answers]


def test_a_film_is_kept_once_and_damaged_ones_are_refused_without_a_name(
    room: ReadingRoom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good, damaged, lost = film(tmp_path, 1), film(tmp_path, 2), film(tmp_path, 3, StudyInstanceUID="")
    truncate(damaged, 0.6)
    with running(room) as node:
        answers = send(node.port, good, good, damaged, lost)
    assert answers is not None
    assert [int(answer.Status) for answer in answers] == [0, 0, 0xC000, 0xC000]
    assert room.store.worklist(limit=9)[1] == 1
    told = caplog.text + str(answers)
    assert not [word for word in PLANTED if word in told]


def test_a_value_that_its_library_does_not_like_is_not_quoted(
    room: ReadingRoom, tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """As the process runs: warnings go to standard error, where services keep them."""
    uid = "999.999.01.23.45"
    path = film(tmp_path, 1)
    with quiet_libraries():
        odd = dcmread(path)
        odd.SOPInstanceUID = odd.file_meta.MediaStorageSOPInstanceUID = uid
        odd.save_as(path)
    caplog.clear()
    warnings.simplefilter("default")
    with running(room) as node:
        assert statuses(node.port, path) == [0]
    assert uid not in caplog.text
    assert uid not in "".join(str(one.message) for one in recwarn)


def test_what_cannot_be_kept_now_is_asked_for_again(
    room: ReadingRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [FullError(), BusyError(), UnwritableError(), MemoryError()]

    def fail(*_: object) -> None:
        raise errors.pop()

    with running(room) as node, monkeypatch.context() as broken:
        broken.setattr(Store, "add_films", fail)
        assert statuses(node.port, *[film(tmp_path, 1)] * 4) == [0xA700] * 4
    assert errors == []


def test_a_film_without_room_or_a_free_database_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path, 1)
    uid = dcmread(path).SOPInstanceUID
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store(tmp_path / "store") as store, closing(sqlite3.connect(tmp_path / "store" / "store.sqlite")) as other:
        receiver = FilmReceiver(store, "RADLET")
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", fail)
            assert receiver.answer(path.read_bytes, uid, "dicom").Status == 0xA700
        other.execute("BEGIN IMMEDIATE")
        assert receiver.answer(path.read_bytes, uid, "dicom").Status == 0xA700
        other.rollback()
        assert receiver.answer(path.read_bytes, uid, "dicom").Status == 0
        assert [len(study.images) for study in store.worklist()[0]] == [1]


def test_an_object_other_than_the_named_one_is_refused(room: ReadingRoom, tmp_path: Path) -> None:
    receiver = FilmReceiver(room.store, "RADLET")
    assert receiver.answer(film(tmp_path, 1).read_bytes, "1.2.3", "dicom").Status == 0xA900


def test_films_that_come_together_are_not_all_in_memory_together(
    room: ReadingRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_open, most_open, lock = [0], [0], threading.Lock()

    def read(content: bytes) -> Film:
        with lock:
            now_open[0] += 1
            most_open[0] = max(most_open[0], now_open[0])
        try:
            time.sleep(0.1)
            return read_film_bytes(content)
        finally:
            with lock:
                now_open[0] -= 1

    monkeypatch.setattr(opening, "read_film_bytes", read)
    paths = [film(tmp_path, number) for number in range(8)]
    with running(room) as node, ThreadPoolExecutor(9) as threads:
        uploaded = threads.submit(room.read, paths[0].read_bytes())
        answers = list(threads.map(lambda path: statuses(node.port, path), paths))
        assert uploaded.result().film.pixels.shape == (64, 64)
    assert answers == [[0]] * 8
    assert 1 <= most_open[0] <= 2


def test_a_child_is_told_of_by_the_age_in_the_header_of_a_film_that_was_sent(tmp_path: Path) -> None:
    with Store(tmp_path / "room") as store:
        room = ReadingRoom(store, make_served(), RoomSettings(gate=OPEN_GATE))
        given = {"PatientAge": "008Y", "PatientBirthDate": ""}
        with running(room) as node:
            assert statuses(node.port, film(tmp_path, 1, **given)) == [0]
        (study,) = store.worklist()[0]
        (verdict,) = room.judge(store.study(study.id)).values()
        assert [reason.code for reason in verdict.reasons] == ["child"]
        room.close(5)


def test_only_listed_titles_may_call_the_right_one(room: ReadingRoom, tmp_path: Path) -> None:
    path = film(tmp_path, 1)
    with running(room, calling_ae_titles=["MODALITY"]) as node:
        assert send(node.port, path, calling="MODALITY") is not None
        assert send(node.port, path, calling="STRANGER") is None
        assert send(node.port, path, calling="MODALITY", called="OTHER") is None


def test_an_address_that_is_not_listed_is_hung_up_on(room: ReadingRoom, tmp_path: Path) -> None:
    with running(room, addresses=["10.9.8.0/24"]) as node:
        assert send(node.port, film(tmp_path, 1)) is None


def test_half_open_connections_die_and_do_not_keep_others_out(room: ReadingRoom, tmp_path: Path) -> None:
    limits = {"acse_timeout_s": 0.5, "network_timeout_s": 0.5, "max_associations": 4}
    with running(room, limits=limits) as node:
        silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(3)]
        assert statuses(node.port, film(tmp_path, 1)) == [0]
        for connection in silent:
            connection.settimeout(10)
            began = time.monotonic()
            assert connection.recv(64)[:1] in (b"", b"\x07")  # closed, or A-ABORT
            assert time.monotonic() - began < 9
            connection.close()


def test_one_association_more_than_may_be_is_told_to_come_again(room: ReadingRoom, tmp_path: Path) -> None:
    with running(room, limits={"max_associations": 1, "acse_timeout_s": 2}) as node:
        silent = socket.create_connection(("127.0.0.1", node.port))
        assert until(lambda: len(node._server.active_associations) == 1, 10)
        entity = AE(ae_title="TESTER")
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", node.port, ae_title="RADLET")
        assert association.is_rejected
        told = association.acceptor.primitive
        # Rejected for now, as the local limit is exceeded (PS3.8 9.3.4).
        assert (told.result, told.result_source, told.diagnostic) == (2, 3, 2)
        silent.close()
        assert until(lambda: send(node.port, film(tmp_path, 1)) is not None, 10)


def test_a_film_that_never_comes_whole_ends_its_association_and_a_slow_pause_does_not(
    room: ReadingRoom, tmp_path: Path
) -> None:
    with running(room, limits={"dimse_timeout_s": 1.5, "network_timeout_s": 60}) as node:
        entity = AE(ae_title="TESTER")
        entity.add_requested_context(Verification)
        patient, stuck = (entity.associate("127.0.0.1", node.port, ae_title="RADLET") for _ in range(2))
        assert patient.send_c_echo().Status == 0
        # The head of a P-DATA-TF that announces a thousand bytes, and a byte now and then.
        connection = stuck.dul.socket.socket
        connection.sendall(b"\x04\x00\x00\x00\x03\xe8")

        def is_ended() -> bool:
            try:
                connection.sendall(b"\x00")
            except OSError:
                return True
            return len(node._server.active_associations) < 2

        assert until(is_ended, 20)
        # Longer than a message may take has passed, and nobody minds who says nothing in between.
        assert patient.send_c_echo().Status == 0
        patient.release()


def test_a_pdu_that_claims_to_be_endless_is_hung_up_on(room: ReadingRoom, tmp_path: Path) -> None:
    with running(room) as node:
        with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
            connection.sendall(b"\x01\x00\xff\xff\xff\xff" + b"\0" * 100)
            assert connection.recv(64)[:1] in (b"", b"\x07")
        assert statuses(node.port, film(tmp_path, 1)) == [0]


def test_what_waits_for_a_peer_that_is_gone_is_told_at_the_start(
    room: ReadingRoom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    room.deliveries = PeerDeliveries([Delivery(to="old", kinds=("text_sr", "pdf"))])
    drafted(room, film(tmp_path, 1), "Clear.")
    with running(room):
        pass
    assert "2 deliveries wait for 'old'" in caplog.text


def test_a_quiet_study_is_drafted_by_the_running_node(room: ReadingRoom, tmp_path: Path) -> None:
    with running(room, complete_after_s=0) as node:
        statuses(node.port, film(tmp_path, 1))
        assert until(lambda: [row.state for row in room.store.worklist(limit=9)[0]] == ["drafted"])
