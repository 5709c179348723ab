"""Exports behind OpenAI's API: what is longer than the model reads is refused by each engine, and nothing is cut."""

import importlib.util
from collections.abc import Iterator

import httpx2
import pytest
from tests.fixtures.reading_room import Server, room_config, served
from tests.fixtures.tiny import make_report_model

from radlet.core.console import Progress
from radlet.inference.drafter import DraftRequest
from radlet.models.report_model import save_report_model
from radlet.reading.served_model import ServedModel
from radlet.stages import export

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

PACKAGES = {"llama-cpp": "xllamacpp", "openvino": "openvino"}
"""Engine -> what it needs here; vLLM is a server, which is asked for nothing that is refused."""
LONGEST = 256
"""Tokens that the tiny model reads."""


@pytest.fixture(scope="module", params=["llama-cpp", "openvino", "vllm"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    engine: str = request.param
    if engine in PACKAGES and not importlib.util.find_spec(PACKAGES[engine]):
        pytest.skip(f"{PACKAGES[engine]} is not installed")
    folder = tmp_path_factory.mktemp(engine)
    save_report_model(make_report_model(), folder / "checkpoint", None)
    out = export.run(folder / "checkpoint", engine, [], folder / "export", None, Progress(quiet=True))
    with served(room_config(folder / "room"), ServedModel.load(out, "tiny")) as running:
        yield running


def ask(server: Server, question: str, **more: object) -> httpx2.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": question}], **more}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)


def length_of(server: Server, question: str) -> int:
    return len(server.room.queue.drafter.prompt_ids(DraftRequest((), question=question)))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("question", "asked", "words"),
    [("lung " * 300, {}, "Ask in fewer words"), ("Effusion?", {"max_tokens": 1000}, "Ask for at most")],
    ids=["question", "answer"],
)
def test_what_is_longer_than_the_model_reads_is_refused_in_openais_form(
    server: Server, question: str, asked: dict[str, int], words: str, stream: bool
) -> None:
    answer = ask(server, question, stream=stream, **asked)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", 400, None)
    assert words in error["message"]
    assert str(LONGEST) in error["message"]
    assert "lung" not in error["message"]


def test_a_prompt_that_leaves_little_room_is_read_whole_and_answered_in_what_is_left(server: Server) -> None:
    if server.room.identity.engine == "vllm":
        pytest.skip("there is no vLLM server here")
    question = "lung"
    while length_of(server, question) < LONGEST - 3:
        question += " l"
    answer = ask(server, question)
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    assert usage["prompt_tokens"] == length_of(server, question)
    assert usage["total_tokens"] <= LONGEST
