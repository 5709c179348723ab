"""A DICOMweb peer that answers as none should: each answer ends as a refusal or as a peer that is away."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fixtures.dicom_files import write_film
from tests.fixtures.dicom_node import drafted, film, open_room

from radlet.pacs.delivering import OutboxWorker, Outputs, PeerDeliveries
from radlet.pacs.peers.base import AwayError, ObjectUids, RefusedError
from radlet.pacs.peers.bounded_session import AnswerLimits
from radlet.pacs.peers.web import WebClient
from radlet.pacs.settings import Delivery, WebPeer
from radlet.reading.outbox import Outbox, OutboxSettings

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

UIDS = ObjectUids("1.2", "1.2.3", "1.2.3.4")
HTML, JSON = "text/html", "application/dicom+json"
PARTS = 'multipart/related; type="application/dicom"; boundary="b"'
Answer = Callable[[socket.socket], None]


class Server:
    """Answers every request on a connection of its own with what a test gives it, byte by byte as it wants."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: None
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(0.05)
            with suppress(TimeoutError):
                while connection.recv(2**20):
                    pass
            connection.settimeout(20)
            self.answer(connection)


def whole(status: int, kind: str, body: bytes, *more: str) -> Answer:
    head = "\r\n".join((f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more))
    return lambda connection: connection.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n" + body)


def endless(kind: str, chunk: bytes, pause_s: float = 0.0) -> Answer:
    waiting = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        while not waiting.wait(pause_s):
            connection.sendall(chunk)

    return answer


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def client(server: Server) -> WebClient:
    limits = AnswerLimits(longest_films_s=1.0, most_bytes=2**20, most_film_bytes=2**20, most_films_bytes=2**22)
    return WebClient(WebPeer(url=f"http://127.0.0.1:{server.port}/dicom-web", timeout_s=1.0), limits)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_film(tmp_path_factory.mktemp("film") / "film.dcm", 1).read_bytes()


ODD: dict[str, Answer] = {
    "a page": whole(200, HTML, b"<html>Log in</html>"),
    "garbage": whole(200, JSON, b"\xff\x00 garbage"),
    "numbers": whole(200, JSON, b"[1, 2, 3]"),
    "texts": whole(200, JSON, b'["PATIENT-42", null, []]'),
    "no types": whole(200, JSON, b'[{"0020000D": "1.2", "00080018": 7}]'),
    "deep": whole(200, JSON, b"[" * 500_000),
    "no parts": whole(200, PARTS, b"no part at all"),
    "parts of nothing": whole(200, PARTS, b"--b\r\n\r\n\r\n--b\r\n\r\nPATIENT-42\r\n--b--"),
    "a loop": whole(302, HTML, b"", "Location: /dicom-web/studies"),
    "elsewhere": whole(307, HTML, b"", "Location: http://192.0.2.1/"),
    "a wrong length": whole(200, JSON, b"[]", "Transfer-Encoding: chunked"),
    "no end": endless(JSON, b" " * 2**16),
    "no end of parts": endless(PARTS, b"x" * 2**16),
    "no end of small parts": endless(PARTS, (b"\r\n--b\r\n\r\n" + b"x" * 100) * 500),
    "drops": endless(JSON, b" ", 0.05),
    "drops of a part": endless(PARTS, b"x", 0.05),
    "no HTTP": lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"),
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_is_a_refusal_or_a_peer_that_is_away(
    server: Server, client: WebClient, content: bytes, odd: str
) -> None:
    server.answer = ODD[odd]
    kept: list[bytes] = []
    for ask in (
        lambda: client.send(content),
        lambda: client.studies_of("PATIENT-42"),
        lambda: client.retrieve("1.2.3", "get", kept.append),
    ):
        with pytest.raises((RefusedError, AwayError)) as raised:
            ask()
        assert "PATIENT-42" not in str(raised.value)
    with suppress(AwayError):
        assert client.holds(UIDS) is None
    assert kept == []


def test_a_huge_answer_is_not_read_into_memory(server: Server, client: WebClient) -> None:
    server.answer = endless(PARTS, b"x" * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        with pytest.raises(RefusedError):
            client.retrieve("1.2.3", "get", lambda _: None)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10  # KiB


def test_a_delivery_is_kept_whatever_the_peer_answers(server: Server, client: WebClient, tmp_path: Path) -> None:
    room = open_room(tmp_path / "room")
    room.deliveries = PeerDeliveries([Delivery(to="pacs", kinds=("text_sr",))])
    drafted(room, film(tmp_path, 1), "Clear.")
    outbox = Outbox(room.store, OutboxSettings(first_retry_s=0.001, longest_retry_s=0.001))
    worker = OutboxWorker(outbox, {"pacs": client}, Outputs(room.store))
    answers = iter(ODD.values())

    def next_answer(connection: socket.socket) -> None:
        next(answers, whole(200, JSON, b"{}"))(connection)

    server.answer = next_answer
    try:
        while worker.work(lambda: outbox.rows("sent") != []) == 0:
            assert [row.state for row in outbox.rows()] == ["waiting"]
        assert next(answers, None) is None
    finally:
        room.close(5)
        room.store.close()
