"""A service as a process of its own, when too many come: who waits, who is told to come back, and who is cut off."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import httpx2
import openai
import pytest
from tests.fixtures.serve_process import ServeProcess, serving
from tests.fixtures.tiny import make_report_model

from radlet.models.report_model import save_report_model

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

LINE = 3
BURST = 100
SETTINGS = (
    "room.queue.max_running=1",
    f"room.queue.max_waiting={LINE}",
    "room.queue.time_limit_s=600",
    "uploads.body_timeout_s=2",
    f"traffic.burst={BURST}",
    # So slow that no machine asks slower.
    "traffic.requests_per_s=0.5",
    "drain_s=1",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    folder = tmp_path_factory.mktemp("service")
    model = make_report_model()
    # So that a long answer may be asked for.
    model.model.config.get_text_config().max_position_embeddings = 8192
    save_report_model(model, folder / "checkpoint", None)
    settings = (*SETTINGS, "--data-dir", str(folder / "room"), "--name", "tiny")
    with serving(folder / "checkpoint", folder, *settings) as running:
        yield running


def asked(**more: object) -> dict[str, object]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "Effusion?"}], **more}


def client_at(service: ServeProcess, address: str) -> httpx2.Client:
    """Return a client that calls from an address of its own."""
    transport = httpx2.HTTPTransport(local_address=address)
    return httpx2.Client(base_url=f"http://127.0.0.1:{service.port}", transport=transport, timeout=120)


def num_refused(http: httpx2.Client) -> int:
    lines = http.get("/metrics").text.splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("radlet_drafts_refused_total"))))


def test_who_finds_the_line_full_is_told_when_to_come_back_and_gets_through(service: ServeProcess) -> None:
    answers: list[str | None] = []
    # As people use it: it waits as Retry-After says.
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{service.port}/v1", api_key="none", max_retries=20)

    def ask_again() -> None:
        told = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Effusion?"}], max_tokens=8
        )
        answers.append(told.choices[0].finish_reason)

    asking = threading.Thread(target=ask_again)
    with client_at(service, "127.0.0.2") as http:
        with ExitStack() as line:
            for _ in range(1 + LINE):
                long = line.enter_context(
                    http.stream("POST", "/v1/chat/completions", json=asked(stream=True, max_tokens=4096))
                )
                assert long.status_code == 200
            refused = http.post("/v1/chat/completions", json=asked())
            assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_error")
            assert int(refused.headers["retry-after"]) >= 1
            asking.start()
            end = time.monotonic() + 60
            while num_refused(http) < 2 and time.monotonic() < end:
                time.sleep(1)
            assert num_refused(http) >= 2
            assert answers == []
        asking.join(180)
    assert answers in (["stop"], ["length"])


def test_a_body_that_dribbles_in_is_closed_and_others_are_served_meanwhile(service: ServeProcess) -> None:
    with (
        client_at(service, "127.0.0.3") as http,
        socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow,
    ):
        slow.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100000\r\n\r\n{"
        )
        served = 0
        for _ in range(200):  # each a byte, so that it never stands still
            if select.select([slow], [], [], 0.25)[0]:
                break
            slow.sendall(b" ")
            if served < BURST // 2:
                assert http.get("/api/studies").status_code == 200
                served += 1
        told = b""
        while piece := slow.recv(65536):
            told += piece
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"took too long to arrive" in told
    assert served > 0


def test_a_flood_from_one_address_is_turned_away_and_others_are_served(service: ServeProcess) -> None:
    with client_at(service, "127.0.0.4") as flood, client_at(service, "127.0.0.5") as other:
        for number in count():
            answer = flood.get("/api/studies")
            if answer.status_code != 200 or number > 10 * BURST:
                break
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
        assert number >= BURST
        assert other.get("/api/studies").status_code == 200
        # Who waits as long as was said is served again.
        time.sleep(int(answer.headers["retry-after"]))
        assert flood.get("/api/studies").status_code == 200
