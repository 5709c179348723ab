import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import OPEN_GATE, Server, room_config, served

from radlet.core.errors import RadletError
from radlet.reading.opening import read_received
from radlet.reading.store import audit, database
from radlet.reading.store.accounts import Accounts
from radlet.reading.store.store import Store
from radlet.reading.store.tables import SessionRow, now

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test
_CHILD = """
import sys
from pathlib import Path
from tests.fixtures import reading_room
with reading_room.served(reading_room.room_config(Path(sys.argv[1]))) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    with served(room_config(tmp_path / "room")) as running:
        yield running


def film(number: int, folder: Path) -> bytes:
    return write_film(folder / f"{number}.dcm", number, size_px=32).read_bytes()


def upload(url: str, *contents: bytes) -> httpx2.Response:
    files = [("films", ("film", content)) for content in contents]
    return httpx2.post(f"{url}/api/studies", files=files, timeout=30)


def files_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "films").rglob("*") if path.is_file()]


def test_a_locked_database_is_told_and_nothing_is_half_done(server: Server, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "room" / "store.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = upload(server.url, film(1, tmp_path))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "another process holds it" in answer.json()["error"]["message"]
        assert httpx2.get(f"{server.url}/api/studies").json()["total"] == 0  # readers do not wait
        other.execute("ROLLBACK")
    other.close()
    assert files_of(tmp_path / "room") == []
    assert upload(server.url, film(1, tmp_path)).status_code == 201
    assert len(files_of(tmp_path / "room")) == 1


@pytest.mark.parametrize("where", ["file", "database"])
def test_a_full_disk_is_told_and_nothing_is_half_done(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_database(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as broken:
        broken.setattr(*((os, "fsync", full_disk) if where == "file" else (audit, "append", full_database)))
        answer = upload(server.url, film(1, tmp_path))
    assert answer.status_code == 507
    assert "disk of the reading room is full" in answer.json()["error"]["message"]
    assert files_of(tmp_path / "room") == []
    assert server.room.store.worklist()[1] == 0
    assert upload(server.url, film(1, tmp_path)).status_code == 201


def test_what_was_answered_outlives_a_kill_and_nothing_is_kept_twice(tmp_path: Path) -> None:
    room, films = tmp_path / "room", [film(number, tmp_path) for number in range(60)]
    answered: list[str] = []
    command = [sys.executable, "-c", _CHILD, str(room)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()

        def send(mine: list[bytes]) -> None:
            for content in mine:
                try:
                    received = upload(url, content)
                except httpx2.TransportError:
                    return
                assert received.status_code == 201
                answered.append(received.json()[0]["image_id"])
                if len(answered) == 20:
                    child.send_signal(signal.SIGKILL)

        senders = [threading.Thread(target=send, args=(films[start::4],)) for start in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert 20 <= len(answered) < 60
    with served(room_config(room)) as again:
        kept = {image.id: image for row in again.room.store.worklist(limit=200)[0] for image in row.images}
        assert set(answered) <= set(kept)
        assert all((room / image.path).is_file() for image in kept.values())
        for content in films:  # everybody sends all of it again
            assert upload(again.url, content).status_code == 201
        rows, total = again.room.store.worklist(limit=200)
        assert (total, sum(len(row.images) for row in rows)) == (60, 60)
        assert audit.verify(again.room.store.audit_lines()).broken_at is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    picture = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(picture, "PNG")
    odd = {"ViewPosition": "LL", "PatientAge": "003D", "Modality": "CT"}
    return [film(1, folder), write_film(folder / "odd.dcm", 2, 32, **odd).read_bytes(), picture.getvalue()]


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_malformed_films_are_refused_in_words(data: st.DataObject, whole: list[bytes]) -> None:
    content = bytearray(data.draw(st.sampled_from(whole)))
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["cut", "flip", "insert", "repeat", "length"]))
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        if kind == "cut":
            del content[place : place + data.draw(st.integers(1, 400))]
        elif kind == "flip" and content:
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(max_size=40))
        elif kind == "repeat":
            content[place:place] = content[place : place + 64]
        else:
            content[place : place + 4] = b"\xff\xff\xff\x7f"
    tracemalloc.start()
    # Whatever else is raised fails the test.
    with contextlib.suppress(RadletError):
        read_received(bytes(content), OPEN_GATE)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 * 2**20


def test_a_locked_database_is_told_to_those_who_are_logged_in_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    with Store(tmp_path / "room") as store:
        Accounts(store).add("anna", "reader", PASSWORD, "test")
    with (
        served(room_config(tmp_path / "room", accounts=True)) as server,
        httpx2.Client(base_url=server.url, timeout=20) as http,
    ):
        http.post("/login", data={"name": "anna", "password": PASSWORD})
        assert http.get("/api/studies").status_code == 200
        with server.room.store.writing() as session:
            # Long enough ago that the next request is noted.
            for row in session.scalars(select(SessionRow)):
                row.seen_at = now() - timedelta(minutes=2)
        with contextlib.closing(sqlite3.connect(tmp_path / "room" / "store.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            told = http.get("/api/studies")
        assert (told.status_code, told.headers["retry-after"]) == (503, "10")
        assert "content-security-policy" in told.headers


def test_what_nobody_foresaw_is_counted_and_carries_the_headers(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret report")

    monkeypatch.setattr(Store, "worklist", fail)
    told = httpx2.get(f"{server.url}/api/studies")
    assert told.status_code == 500
    assert "secret" not in told.text
    assert (told.headers["x-frame-options"], told.headers["cache-control"]) == ("DENY", "no-store")
    assert 'route="/api/studies",status="500"' in httpx2.get(f"{server.url}/metrics").text
