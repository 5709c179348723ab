"""A disk that is really full, or takes no changes: what is told, and that nothing is half done."""

import sqlite3
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import room_config, served
from tests.fixtures.small_disk import SmallDisk

from radlet.core.errors import DataError
from radlet.pacs.storing import OUT_OF_RESOURCES, RECEIVED, SUCCESS, FilmReceiver
from radlet.reading.store import audit
from radlet.reading.store.store import Store

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


def film(number: int, folder: Path) -> bytes:
    return write_film(folder / f"{number}.dcm", number, 128, SeriesInstanceUID=f"1.2.{number}").read_bytes()


def kept(store: Store) -> tuple[set[str], set[str]]:
    """Return the files that the rows speak of, and those that are there."""
    rows = {image.path for study in store.worklist(limit=200)[0] for image in study.images}
    files = {path for path in (store.data_dir / "films").rglob("*") if path.is_file()}
    return rows, {str(path.relative_to(store.data_dir)) for path in files}


def test_a_full_disk_is_told_keeps_nothing_half_and_work_goes_on(small_disk: SmallDisk, tmp_path: Path) -> None:
    with served(room_config(small_disk.path / "room")) as server, httpx2.Client(base_url=server.url) as http:
        store, receiver = server.room.store, FilmReceiver(server.room.store, "RADLET")

        def upload(number: int) -> httpx2.Response:
            return http.post("/api/studies", files=[("films", film(number, tmp_path))])

        assert upload(0).status_code == 201
        told, stored = [], []
        # From no room at all to room for the film and not for its row, and for both.
        for number, room_kib in enumerate((0, 8, 32, 36, 40, 48, 64, 96), 1):
            small_disk.fill(room_kib * 1024)
            told.append(upload(number))
            small_disk.fill(room_kib * 1024)
            content = film(100 + number, tmp_path)
            stored.append(receiver.answer(lambda content=content: content, f"1.2.826.0.1.{100 + number}", RECEIVED))
            rows, files = kept(store)
            assert rows == files, room_kib
            assert audit.verify(store.audit_lines()).broken_at is None
        assert {answer.status_code for answer in told} == {201, 507}
        assert "disk of the reading room is full" in told[0].json()["error"]["message"]
        assert {int(answer.Status) for answer in stored} == {SUCCESS, OUT_OF_RESOURCES}
        assert int(stored[0].Status) == OUT_OF_RESOURCES
        small_disk.clear()
        assert [upload(number).status_code for number in range(9)] == [201] * 9
        assert store.worklist()[1] == 9 + sum(int(answer.Status) == SUCCESS for answer in stored)
        rows, files = kept(store)
        assert rows == files
    with sqlite3.connect(small_disk.path / "room" / "store.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_a_folder_that_takes_no_changes_is_told_before_anything_begins(small_disk: SmallDisk) -> None:
    Store(small_disk.path / "room").close()
    small_disk.take_no_changes()
    with pytest.raises(DataError, match="cannot be written: it is read-only"):
        Store(small_disk.path / "room")
    with pytest.raises(DataError, match="cannot be made"):
        Store(small_disk.path / "other")
