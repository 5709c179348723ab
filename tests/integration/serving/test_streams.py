"""Streams of a real server: another model takes over without dropping one, and whoever leaves costs no more tokens."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.fixtures.reading_room import Server, make_served, room_config, served

from radlet.serving.telling import EventStream

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        # Room for an answer that is long enough to leave before its end.
        running.room.queue.drafter.report_model.model.config.get_text_config().max_position_embeddings = 8192
        yield running


def asked(words: str, model: str = "tiny", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": words}], **more}


def ask(server: Server, body: dict[str, object]) -> str:
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)
    return str(answer.json()["choices"][0]["message"]["content"])


def stream(server: Server, body: dict[str, object], begun: threading.Barrier) -> tuple[str, list[str]]:
    """Return the text of a stream, and how it ended."""
    parts, reasons, told = [], [], False
    with httpx2.stream(
        "POST", f"{server.url}/v1/chat/completions", json={**body, "stream": True}, timeout=120
    ) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            (choice,) = json.loads(line.removeprefix("data: "))["choices"]
            parts.append(choice["delta"].get("content", ""))
            if parts[-1] and not told:
                told = True
                begun.wait(60)
            reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
    return "".join(parts), reasons


def test_another_model_takes_over_and_every_stream_is_finished_by_its_own(server: Server) -> None:
    bodies = [asked(f"Is there an effusion, {number}?", max_tokens=120) for number in range(5)]
    expected = [ask(server, body) for body in bodies]
    begun = threading.Barrier(len(bodies) + 1)
    heard: dict[int, tuple[str, list[str]]] = {}
    threads = [
        threading.Thread(target=lambda number=number, body=body: heard.update({number: stream(server, body, begun)}))
        for number, body in enumerate(bodies)
    ]
    for thread in threads:
        thread.start()
    begun.wait(60)  # all are being written
    other = make_served(guidance=1.5, name="other")
    server.room.swap(other)
    assert ask(server, asked("Effusion?", "other", max_tokens=8))
    for thread in threads:
        thread.join()
    assert [heard[number][0] for number in range(5)] == expected
    assert all(reasons in (["stop"], ["length"]) for _, reasons in heard.values())
    assert [one["id"] for one in httpx2.get(f"{server.url}/v1/models").json()["data"]] == ["other"]


@pytest.mark.parametrize("is_stream", [True, False])
def test_who_leaves_costs_no_more_tokens(server: Server, is_stream: bool) -> None:
    body = asked("Effusion?", max_tokens=4000, stream=is_stream)
    path = f"{server.url}/v1/chat/completions"
    if is_stream:
        with httpx2.stream("POST", path, json=body, timeout=60) as answer:
            next(answer.iter_lines())
    else:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(path, json=body, timeout=0.3)
    for _ in range(2000):
        state = server.room.queue.state
        if state.num_done and not state.running:
            break
        threading.Event().wait(0.01)
    # Nothing else is asked: what is counted from now on would be of the one who left.
    written = server.room.queue.state.num_tokens
    assert written < 3900
    threading.Event().wait(0.3)
    assert server.room.queue.state.num_tokens == written


def test_who_leaves_a_route_that_waits_costs_no_more_tokens(
    server: Server, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drafts of this model are short; a long one is long enough to leave.
    drafter = server.room.queue.drafter
    long = drafter.own_sampling.model_copy(update={"max_new_tokens": 4000})
    monkeypatch.setattr(type(drafter), "own_sampling", property(lambda _: long))
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{server.url}/api/drafts", files={"film": tiny_films[0].read_bytes()}, timeout=0.5)
    for _ in range(2000):
        state = server.room.queue.state
        if state.num_done and not state.running:
            break
        threading.Event().wait(0.01)
    assert server.room.queue.state.num_done > 0
    assert server.room.queue.state.num_tokens < 3900


def test_a_stream_whose_client_left_before_it_began_is_given_up() -> None:
    ended: list[str] = []

    async def events() -> AsyncIterator[str]:
        yield "data: 1\n\n"

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        await asyncio.sleep(60)

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    asyncio.run(EventStream(events(), lambda: ended.append("ended"))(scope, gone, send))
    assert ended == ["ended"]


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError("secret report")


def told_by(stream: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line]
    return [json.loads(line) if line.startswith("{") else line for line in lines]


def test_what_nobody_foresaw_ends_a_draft_with_an_event(
    server: Server, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    added = httpx2.post(f"{server.url}/api/studies", files={"films": tiny_films[0].read_bytes()}, timeout=60)
    path = f"{server.url}/api/studies/{added.json()[0]['study_id']}/draft"
    with monkeypatch.context() as broken:
        broken.setattr(server.room, "keep_draft", fail)
        answer = httpx2.post(path, timeout=60)
    assert told_by(answer.text)[-1] == {"error": "Something went wrong in the service. Its log says where."}
    assert "secret" not in answer.text + caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "draft" in told_by(httpx2.post(path, timeout=60).text)[-1]


def test_what_nobody_foresaw_ends_a_completion_with_an_error_that_the_client_raises(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.room, "identity_of", fail)
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    asking = {"model": "tiny", "messages": [{"role": "user", "content": "Effusion?"}]}
    with pytest.raises(openai.APIError, match="Something went wrong in the service"):
        list(client.chat.completions.create(**asking, stream=True))
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json={**asking, "stream": True}, timeout=60)
    error, done = told_by(answer.text)[-2:]
    assert (error["error"]["type"], error["error"]["code"], done) == ("api_error", 500, "[DONE]")
    assert "secret" not in answer.text
    for _ in range(2000):
        if not server.room.queue.state.running:
            break
        threading.Event().wait(0.01)
    assert not server.room.queue.state.running
