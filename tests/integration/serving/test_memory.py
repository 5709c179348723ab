"""What a request has brought is let go of with its answer, and does not wait for Python to look for rings."""

import base64
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.reading_room import Server, room_config, served

from radlet.reading.tickets import Ticket

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

LONG_TOKENS = 4000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        # Room for an answer that is long enough to leave before its end.
        running.room.queue.drafter.report_model.model.config.get_text_config().max_position_embeddings = 8192
        yield running


@pytest.fixture
def tickets(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Ticket]]]:
    """Weak references to all tickets, which hold the films as the model sees them."""
    given: list[weakref.ref[Ticket]] = []
    submit = server.room.queue.submit

    def watched(*asked: object, **options: object) -> Ticket:
        ticket = submit(*asked, **options)  # type: ignore[arg-type]
        given.append(weakref.ref(ticket))
        return ticket

    monkeypatch.setattr(server.room.queue, "submit", watched)
    gc.collect()
    gc.disable()
    yield given
    gc.enable()


def asked(film: Path, **more: object) -> dict[str, object]:
    url = f"data:image/png;base64,{base64.b64encode(film.read_bytes()).decode()}"
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
        **more,
    }


def complete(http: httpx2.Client, film: Path) -> None:
    assert http.post("/v1/chat/completions", json=asked(film)).status_code == 200


def stream(http: httpx2.Client, film: Path) -> None:
    assert "[DONE]" in http.post("/v1/chat/completions", json=asked(film, stream=True)).text


def leave_a_stream(http: httpx2.Client, film: Path) -> None:
    with http.stream("POST", "/v1/chat/completions", json=asked(film, stream=True, max_tokens=LONG_TOKENS)) as answer:
        next(answer.iter_lines())


def leave(http: httpx2.Client, film: Path) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        http.post("/v1/chat/completions", json=asked(film, max_tokens=LONG_TOKENS), timeout=0.5)


def draft(http: httpx2.Client, film: Path) -> None:
    assert http.post("/api/drafts", files={"film": film.read_bytes()}).status_code == 200


def read(http: httpx2.Client, film: Path) -> None:
    received = http.post("/api/studies", files={"films": film.read_bytes()}).json()[0]
    study = f"/api/studies/{received['study_id']}"
    assert '"draft"' in http.post(f"{study}/draft").text
    assert http.post(f"{study}/question", json={"question": "Is there an effusion?"}).status_code == 200


@pytest.mark.parametrize("ask", [complete, stream, leave_a_stream, leave, draft, read])
def test_what_was_asked_is_forgotten_when_it_is_answered(
    server: Server,
    tickets: list[weakref.ref[Ticket]],
    tiny_films: list[Path],
    ask: Callable[[httpx2.Client, Path], None],
) -> None:
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        ask(http, tiny_films[0])
    end = time.monotonic() + 60
    while any(ticket() for ticket in tickets) and time.monotonic() < end:
        time.sleep(0.05)
    assert [ticket() for ticket in tickets] == [None] * len(tickets) != []
