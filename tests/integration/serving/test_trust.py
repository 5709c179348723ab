"""The doors of a room that runs: who comes in, what is refused, what is noted, and what is never said."""

import json
import logging
import re
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from fastapi.routing import iter_route_contexts
from PIL import Image
from pydicom import dcmread
from tests.fixtures.dicom_files import PLANTED, write_film
from tests.fixtures.reading_room import Server, room_config, served

from radlet.reading.store import audit
from radlet.reading.store.accounts import Accounts
from radlet.reading.store.sessions import Sessions, SessionSettings
from radlet.serving.app import create_app
from radlet.serving.permissions import PERMISSIONS
from radlet.serving.settings import TrafficLimits, UploadLimits

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test
PLANT = "ZYXWORDS"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = room_config(
        tmp_path_factory.mktemp("room"),
        accounts=True,
        uploads=UploadLimits(max_body_mb=4, max_films=2, body_timeout_s=0.3),
        traffic=TrafficLimits(header_timeout_s=1, max_connections_per_address=6),
    )
    with served(config) as running:
        accounts = Accounts(running.room.store)
        accounts.add("anna", "reader", PASSWORD, "test")
        accounts.add("script", "machine", None, "test")
        yield running


@pytest.fixture
def machine(server: Server) -> Iterator[httpx2.Client]:
    _, key = Sessions(server.room.store, SessionSettings()).add_key("script", "test")
    with httpx2.Client(base_url=server.url, timeout=60, headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


@pytest.fixture
def anna(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        came = client.post("/login", data={"name": "anna", "password": PASSWORD})
        assert (came.status_code, came.headers["location"]) == (303, "/")
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        yield client


def upload(client: httpx2.Client, *films: bytes, **form: str) -> httpx2.Response:
    return client.post("/api/studies", files=[("films", film) for film in films], data=form)


def test_every_route_is_in_the_table_and_the_table_holds_no_other(server: Server, tmp_path: Path) -> None:
    routes = iter_route_contexts(create_app(server.room, room_config(tmp_path)).routes)
    # What has no methods, such as a mounted application, must show up too.
    there = [(method, route.path) for route in routes for method in (route.methods or {"all"}) - {"HEAD"}]
    assert sorted(there) == sorted((one.method, one.path) for one in PERMISSIONS)


def test_a_reader_comes_in_signs_by_name_and_goes(server: Server, anna: httpx2.Client, tiny_films: list[Path]) -> None:
    study_id = upload(anna, tiny_films[0].read_bytes()).json()[0]["study_id"]
    for _ in range(3):
        anna.get(f"/api/studies/{study_id}")
    signed = anna.post(f"/api/studies/{study_id}/signature", json={"text": "Clear."})
    assert (signed.status_code, signed.json()["signed_by"]) == (201, "anna")
    lines = [(line.actor, line.action) for line in server.room.store.audit_lines() if line.subject == study_id]
    assert lines.count(("anna", "study.view")) == 1
    assert {actor for actor, _ in lines} == {"anna"}
    assert anna.post("/logout").status_code == 204
    assert anna.get("/api/studies").status_code == 401
    assert audit.verify(server.room.store.audit_lines()).broken_at is None


def test_the_cookie_is_for_this_site_alone_and_a_wrong_password_gets_none(server: Server) -> None:
    with httpx2.Client(base_url=server.url) as client:
        right = client.post("/login", data={"name": "anna", "password": PASSWORD}).headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(right.split("; "))
        assert "secure" not in right.lower(), "browsers would not send it back without TLS"
    with httpx2.Client(base_url=server.url) as client:
        answers = [client.post("/login", data={"name": name, "password": "wrong"}) for name in ("anna", "nobody")]
        assert [answer.status_code for answer in answers] == [401, 401]
        assert answers[0].text == answers[1].text
        assert not any("set-cookie" in answer.headers for answer in answers)
        assert client.get("/").headers["location"] == "/login"


def test_a_change_without_the_sessions_token_changes_nothing(anna: httpx2.Client, tiny_films: list[Path]) -> None:
    study_id = upload(anna, tiny_films[1].read_bytes()).json()[0]["study_id"]
    answer = anna.post(f"/api/studies/{study_id}/signature", json={"text": "x"}, headers={"X-CSRF-Token": "other"})
    assert answer.status_code == 403
    assert anna.get(f"/api/studies/{study_id}").json()["state"] == "new"


def test_a_machine_brings_films_and_cannot_sign(machine: httpx2.Client, tiny_films: list[Path]) -> None:
    study_id = upload(machine, tiny_films[2].read_bytes()).json()[0]["study_id"]
    assert machine.post(f"/api/studies/{study_id}/signature", json={"text": "x"}).status_code == 403
    assert upload(machine, *(film.read_bytes() for film in tiny_films[:3])).status_code == 413
    # Of no announced length; one that goes on sending may find the connection closed instead.
    pieces = (b'--x\r\nContent-Disposition: form-data; name="films"; filename="a"\r\n\r\n', *[bytes(MIB)] * 4)
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert machine.post("/api/studies", content=iter(pieces), headers=form).status_code == 413


def png_bomb() -> bytes:
    """Return a picture of 60,000 x 60,000 grey pixels in a few hundred kilobytes at most."""
    side = 60_000

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes((side // 8 + 1) * 100)) for _ in range(side // 1000)) + squeeze.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    """Return a JPEG file whose header claims 65,000 x 65,000 pixels."""
    buffer = BytesIO()
    Image.new("L", (16, 16)).save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(content)


def dicom_bomb(folder: Path) -> bytes:
    """Return an object in Deflated Explicit VR Little Endian that unpacks to a gigabyte."""
    header = dcmread(write_film(folder / "film.dcm", 1))
    header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    header.save_as(folder / "film.dcm", enforce_file_format=True)
    start = 144 + dcmread(folder / "film.dcm").file_meta.FileMetaInformationGroupLength
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush a piece stands for itself, and may be repeated.
    mebibyte = squeeze.compress(bytes(MIB)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return (folder / "film.dcm").read_bytes()[:start] + mebibyte * 1024 + squeeze.flush()


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["png", "jpeg", "dicom"])
def test_a_decompression_bomb_is_refused_with_flat_memory(machine: httpx2.Client, tmp_path: Path, kind: str) -> None:
    bomb = {"png": png_bomb, "jpeg": jpeg_bomb}[kind]() if kind != "dicom" else dicom_bomb(tmp_path)
    assert len(bomb) < 2 * MIB
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = peak_mib()
    answer = upload(machine, bomb)
    assert answer.status_code == 422
    assert "decompression bomb" in answer.json()["error"]["message"]
    assert peak_mib() - before < 40


def test_nothing_a_patient_could_be_known_by_is_logged_counted_or_told_back(
    server: Server, machine: httpx2.Client, anna: httpx2.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    machine.headers["User-Agent"] = PLANT
    film = write_film(tmp_path / "film.dcm", 7, StudyDescription=PLANT, AdditionalPatientHistory=PLANT)
    study_id = upload(machine, film.read_bytes(), indication=PLANT).json()[0]["study_id"]
    assert PLANTED[0] in anna.get(f"/api/studies/{study_id}").text, "those who may see it do"
    drafted = anna.post(f"/api/studies/{study_id}/draft").text
    draft_id = json.loads(drafted.strip().splitlines()[-1].removeprefix("data: "))["draft"]["id"]
    anna.post(f"/api/studies/{study_id}/question", json={"question": PLANT})
    anna.post(f"/api/drafts/{draft_id}/feedback", json={"kind": "wrong", "note": PLANT})
    anna.put(f"/api/studies/{study_id}/report", json={"text": PLANT})
    edit = anna.get(f"/api/studies/{study_id}").json()["last_text"]
    anna.post(f"/api/studies/{study_id}/signature", json={"text": PLANT, "based_on": edit})
    anna.get("/api/studies", params={"words": PLANT})
    broken = film.read_bytes().replace(b"CHEST ", PLANT.encode()[:6])[:-5000]
    chat = {"model": PLANT, "messages": [{"role": "user", "content": PLANT}]}
    told = [
        upload(machine, broken),
        upload(machine, PLANT.encode()),
        machine.post("/v1/chat/completions", json=chat),
        machine.post("/v1/chat/completions", json={**chat, "temperature": PLANT}),
        machine.post(
            "/v1/chat/completions", content=f'{{"{PLANT}'.encode(), headers={"Content-Type": "application/json"}
        ),
        anna.put(f"/api/studies/{study_id}/report", json={"text": PLANT}),
        anna.put(f"/api/studies/{study_id}/report", json={"text": [PLANT], PLANT: PLANT}),
        anna.get(f"/api/studies/{PLANT}"),
        anna.get("/api/studies", params={"state": PLANT, "limit": PLANT}),
        machine.get(f"/api/{PLANT}"),
        machine.request(PLANT, "/api/studies"),
        machine.get("/api/model", headers={"Host": PLANT}),
        machine.post("/login", data={"name": PLANT, "password": PLANT}),
    ]
    assert all(answer.status_code >= 400 for answer in told)
    # The test's own client writes down what it asks for.
    logged = [record for record in caplog.records if not record.name.startswith(("httpx2", "httpcore2"))]
    noted = [[row.actor, row.subject, row.detail] for row in server.room.store.audit_lines()]
    written = {
        "log": "".join(record.getMessage() + str(record.exc_info) for record in logged),
        "metrics": machine.get("/metrics").text,
        "answers": "".join(answer.text for answer in told),
        "audit": json.dumps(noted),
    }
    for place, words in written.items():
        assert not [word for word in (PLANT, *PLANTED) if word.lower() in words.lower()], place
    lines = [json.loads(record.message) for record in caplog.records if record.name == "radlet.access"]
    assert {"POST", "GET", "PUT", "other"} <= {line["method"] for line in lines}
    assert {line["account"] for line in lines} == {"anna", "script", None}
    assert "/api/studies/{study_id}" in {line["route"] for line in lines}


def closed_after(connection: socket.socket) -> float:
    """Return after how many seconds the other side has closed."""
    connection.settimeout(10)
    began = time.monotonic()
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - began


def test_who_does_not_say_what_they_want_loses_the_connection(server: Server) -> None:
    address = ("127.0.0.1", httpx2.URL(server.url).port)
    with socket.create_connection(address) as slow, socket.create_connection(address) as late:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        head = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        late.sendall(head + b"Content-Length: 9\r\n\r\nname=")
        assert 0.5 < closed_after(slow) < 5
        late.settimeout(5)
        assert late.recv(100).startswith(b"HTTP/1.1 408")


def test_one_address_cannot_take_all_connections(server: Server) -> None:
    address = ("127.0.0.1", httpx2.URL(server.url).port)
    opened = [socket.create_connection(address) for _ in range(8)]
    try:
        assert closed_after(opened[-1]) < 0.5, "beyond the limit a connection is closed at once"
    finally:
        for connection in opened:
            connection.close()
