import base64
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from tests.fixtures.reading_room import Server, room_config, served

from radlet.inference.drafter import DraftRequest
from radlet.reading.draft_queue import QueueFullError

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def film_message(path: Path, words: str = "") -> list[dict[str, object]]:
    url = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    parts: list[dict[str, object]] = [{"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": words}] if words else parts}]


def test_the_openai_client_lists_the_model_and_gets_the_draft(
    server: Server, client: openai.OpenAI, tiny_films: list[Path]
) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "radlet"
    answer = client.chat.completions.create(model="tiny", messages=film_message(tiny_films[0]))
    drafter = server.room.queue.drafter
    expected = server.room.queue.run(lambda model: model.draft([DraftRequest((tiny_films[0],))])[0])
    assert answer.choices[0].message.content == expected
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(drafter.prompt_ids(DraftRequest((tiny_films[0],))))
    assert "unverified AI draft" in answer.model_extra["notice"]


def test_no_film_is_read_for_a_line_that_is_full(
    server: Server, client: openai.OpenAI, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise QueueFullError(7)

    def read(_: bytes) -> None:
        pytest.fail("a film was read and judged before it was known that nobody may wait")

    monkeypatch.setattr(server.room.queue, "check_room", full)
    monkeypatch.setattr(server.room, "read", read)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="tiny", messages=film_message(tiny_films[0]))
    assert refused.value.response.headers["retry-after"] == "7"
    answer = httpx2.post(f"{server.url}/api/drafts", files={"film": tiny_films[0].read_bytes()}, timeout=60)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_a_stream_is_the_same_text_in_pieces(client: openai.OpenAI, tiny_films: list[Path]) -> None:
    messages = film_message(tiny_films[1], "Is there an effusion?")
    whole = client.chat.completions.create(model="tiny", messages=messages)
    pieces, usage, reason, notices = [], None, None, []
    for chunk in client.chat.completions.create(
        model="tiny", messages=messages, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        notices.append(chunk.model_extra.get("notice"))
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            reason = choice.finish_reason or reason
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 1
    assert "unverified AI draft" in notices[0]
    assert set(notices[1:]) == {None}
    assert (reason, usage) == (whole.choices[0].finish_reason, whole.usage)


def test_draws_repeat_with_their_seed_and_the_length_is_kept(client: openai.OpenAI, tiny_films: list[Path]) -> None:
    def draw(seed: int) -> str | None:
        answer = client.chat.completions.create(
            model="tiny", messages=film_message(tiny_films[0]), temperature=2.0, seed=seed, max_tokens=9
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 9
        return answer.choices[0].message.content

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"model": "gpt-4o"}, 404, "tiny"),
        ({"messages": [{"role": "user", "content": ""}]}, 422, "needs a film"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "last message"),
        ({"temperature": 9}, 422, "temperature"),
        ({"n": 2}, 422, "n"),
    ],
    ids=["model", "no film", "roles", "temperature", "n"],
)
def test_what_cannot_be_served_is_said(
    client: openai.OpenAI, tiny_films: list[Path], change: dict[str, object], status: int, words: str
) -> None:
    asked = {"model": "tiny", "messages": film_message(tiny_films[0])} | change
    with pytest.raises(openai.APIStatusError) as told:
        client.chat.completions.create(**asked)
    assert told.value.status_code == status
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.org/film.png", "nothing is fetched"),
        ("data:image/png;base64,!!!", "no base64"),
        ("data:image/png;base64,aGVsbG8=", "neither DICOM, PNG nor JPEG"),
    ],
    ids=["remote", "no base64", "no film"],
)
def test_only_films_that_come_along_are_read(client: openai.OpenAI, url: str, words: str) -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    with pytest.raises(openai.UnprocessableEntityError, match=words):
        client.chat.completions.create(model="tiny", messages=messages)


def test_a_client_that_leaves_gives_its_draft_up(
    server: Server, client: openai.OpenAI, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = server.room.queue.drafter.report_model.model.config.get_text_config()
    monkeypatch.setattr(config, "max_position_embeddings", 8192)
    before = server.room.queue.state
    with client.chat.completions.create(
        model="tiny", messages=film_message(tiny_films[2]), stream=True, max_tokens=4000
    ) as stream:
        next(iter(stream))
    for _ in range(400):
        state = server.room.queue.state
        if state.running == 0 and state.num_done > before.num_done:
            break
        httpx2.get(f"{server.url}/healthz")
    assert server.room.queue.state.running == 0
    # It was given up long before its length.
    assert server.room.queue.state.num_tokens - before.num_tokens < 3000


def test_health_readiness_and_metrics(server: Server, client: openai.OpenAI, tiny_films: list[Path]) -> None:
    client.chat.completions.create(model="tiny", messages=film_message(tiny_films[0]))
    assert httpx2.get(f"{server.url}/healthz").json() == {"status": "ok"}
    assert httpx2.get(f"{server.url}/readyz").json() == {"ready": True, "model": True, "store": True}
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert 'route="/v1/chat/completions",status="200"' in metrics
    assert "radlet_drafts_total" in metrics
    assert httpx2.get(f"{server.url}/openapi.json").json()["info"]["title"] == "radlet"


@pytest.mark.parametrize(
    "unserved",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"5": 100}},
        {"n": 2},
        {"stop": ["Impression"]},
    ],
    ids=lambda unserved: next(iter(unserved)),
)
def test_what_would_change_the_answer_and_is_not_served_is_refused_by_name(
    client: openai.OpenAI, unserved: dict[str, object]
) -> None:
    messages = [{"role": "user", "content": "Is there an effusion?"}]
    with pytest.raises(openai.UnprocessableEntityError, match=next(iter(unserved))):
        client.chat.completions.create(model="tiny", messages=messages, **unserved)


@pytest.mark.parametrize(
    ("messages", "length"),
    [("lung " * 3000, None), ([{"type": "text", "text": "lung " * 5000}], None), ("Effusion?", 4096)],
    ids=["more than the model reads", "more than any question", "a longer answer than the model writes"],
)
def test_what_is_too_long_is_refused_at_once(client: openai.OpenAI, messages: object, length: int | None) -> None:
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError)):
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": messages}], max_tokens=length
        )
