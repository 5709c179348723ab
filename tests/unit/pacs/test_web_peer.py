import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from tests.fixtures.dicom_files import write_film

from radlet.core.errors import ConfigError
from radlet.pacs.peers import open_peer
from radlet.pacs.peers.base import AwayError, ObjectUids, RefusedError
from radlet.pacs.peers.web import WebClient
from radlet.pacs.settings import WebPeer

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


class _Answers(BaseHTTPRequestHandler):
    """Answers every request alike, as the test has said before."""

    def answer(self) -> None:
        server: Archive = self.server  # type: ignore[assignment]
        server.path = self.path
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(server.status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass


class Archive(ThreadingHTTPServer):
    """A peer whose next answers are given."""

    status, body, path = 200, b"", ""


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    server = Archive(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(archive: Archive) -> WebClient:
    peer = open_peer(WebPeer(url=f"http://127.0.0.1:{archive.server_address[1]}/dicom-web"), "RADLET")
    assert isinstance(peer, WebClient)
    return peer


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_film(tmp_path_factory.mktemp("film") / "film.dcm", 1).read_bytes()


def failed(*reasons: int) -> bytes:
    items = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
    return json.dumps({"00081198": {"vr": "SQ", "Value": items}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (200, b"{}", None, ""),
        (200, b"", None, ""),
        (202, failed(0x0111), None, ""),
        (202, failed(0xA700), AwayError, "out of resources"),
        (202, failed(0xC000), RefusedError, "0xc000"),
        (202, failed(0x0111, 0xA900), RefusedError, "0xa900"),
        (409, failed(0x0111), None, ""),
        (409, failed(0xA900), RefusedError, "0xa900"),
        (409, failed(0xA701), AwayError, "0xa701"),
        (409, b"no JSON", RefusedError, "HTTP 409"),
        (409, b'{"00081198": 3}', RefusedError, "HTTP 409"),
        (401, b"", RefusedError, "HTTP 401"),
        (503, b"", AwayError, "HTTP 503"),
    ],
)
def test_an_object_counts_as_sent_only_where_the_answer_says_so(
    archive: Archive, client: WebClient, content: bytes, status: int, body: bytes, error: type[Exception], words: str
) -> None:
    archive.status, archive.body = status, body
    if error is None:
        client.send(content)
    else:
        with pytest.raises(error, match=words):
            client.send(content)


def test_a_peer_that_cannot_be_asked_is_not_taken_to_hold_anything(archive: Archive, client: WebClient) -> None:
    archive.status, archive.body = 404, b""
    assert client.holds(ObjectUids("1.2", "1.2.3", "1.2.3.4")) is None
    archive.status, archive.body = 204, b""
    assert client.holds(ObjectUids("1.2", "1.2.3", "1.2.3.4")) is False


def test_a_patient_is_asked_for_and_found_in_any_script(archive: Archive, client: WebClient) -> None:
    found = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00100020": {"vr": "LO", "Value": ["ПАЦИЕНТ 7"]}}
    archive.status, archive.body = 200, json.dumps([found], ensure_ascii=False).encode()
    assert [study.patient_id for study in client.studies_of("ПАЦИЕНТ 7")] == ["ПАЦИЕНТ 7"]
    assert unquote_plus(archive.path).endswith("PatientID=ПАЦИЕНТ 7&includefield=00080061")


def test_no_address_that_names_a_patient_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    away = open_peer(WebPeer(url="http://127.0.0.1:9/dicom-web"), "RADLET")
    with pytest.raises(AwayError) as raised:
        away.studies_of("PATIENT-42")
    assert "PATIENT-42" not in caplog.text + str(raised.value)


def test_a_file_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tls_ca"):
        open_peer(WebPeer(url="https://127.0.0.1", tls_ca=tmp_path / "none.pem"), "RADLET")
