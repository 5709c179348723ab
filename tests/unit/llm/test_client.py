"""The real client against a server that misbehaves in every way: each way has a defined outcome."""

import asyncio
import json

import pytest
from tests.fixtures.scripted_server import Reply, completion, is_probe, serve, willing

from radlet.core.errors import ConfigError, PrivacyError, RunError
from radlet.llm.answers import AnswerCache
from radlet.llm.client import Client, NoAnswerError, StoppedError
from radlet.llm.endpoint import BudgetConfig, ModelConfig, ServerConfig, check_host
from radlet.llm.jobs.base import TextReply

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

QUESTION = [{"role": "system", "content": "s"}, {"role": "user", "content": "text"}]
GOOD = {"text": "ok"}


def with_client(tmp_path, server, work, *, budget=None, output="json_schema", **values):
    settings = {"max_retries": 0, "timeout_s": 5.0, "num_concurrent": 2, "url": server.url, **values}

    async def go():
        model = ModelConfig(name="m", output=output)
        with AnswerCache(tmp_path / "cache" / "answers.sqlite") as cache:
            async with Client(ServerConfig(**settings), model, budget or BudgetConfig(), cache) as client:
                return await work(client)

    return asyncio.run(go())


async def ask(client):
    return await client.ask(QUESTION, TextReply)


def reason_of(tmp_path, server, **values):
    with pytest.raises(NoAnswerError) as caught:
        with_client(tmp_path, server, ask, **values)
    return caught.value.reason


HALF = completion(GOOD).body[:40]
BAD = {
    "half of the envelope": (Reply(HALF), "malformed"),
    "no json at all": (Reply(b"<html>busy</html>", headers={"content-type": "text/html"}), "malformed"),
    "no choices": (completion(GOOD, choices=[]), "malformed"),
    "choices of another kind": (completion(GOOD, choices="none"), "malformed"),
    "a list": (Reply(b"[1, 2]"), "malformed"),
    "null": (Reply(b"null"), "malformed"),
    "nothing": (Reply(b""), "malformed"),
    "no utf-8": (Reply(b'{"choices": "\xff\xfe"}'), "malformed"),
    "deep nesting": (Reply(b"[" * 90_000), "malformed"),
    "server error": (Reply(b"{}", status=500), "server_error"),
    "bad gateway in html": (Reply(b"<html>", status=502, headers={"content-type": "text/html"}), "server_error"),
    "rate limit": (Reply(b"{}", status=429), "rate_limited"),
    "refused": (Reply(b"{}", status=400), "request_refused"),
    "no such model": (Reply(b"{}", status=404), "request_refused"),
    "ten megabytes": (Reply(b" " * 10_000_000), "too_large"),
    "cut connection": (Reply(HALF, promised_bytes=5000), "unreachable"),
    "slow": (Reply(b"{}", delay_s=3.0), "timeout"),
    "drop by drop": (Reply(b"{" + b" " * 200, drip_s=0.05), "timeout"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_is_a_reason_and_is_not_kept(tmp_path, case):
    reply, reason = BAD[case]
    with serve(lambda question, before: reply if before == 0 else completion(GOOD)) as server:
        assert reason_of(tmp_path, server, timeout_s=0.8) == reason
        assert json.loads(with_client(tmp_path, server, ask).text) == GOOD
        assert len(server.questions) == 2


@pytest.mark.parametrize("case", ["server error", "rate limit", "cut connection", "slow", "drop by drop"])
def test_what_may_pass_is_tried_again(tmp_path, case):
    reply, _ = BAD[case]
    with serve(lambda question, before: reply if before == 0 else completion(GOOD)) as server:
        answer = with_client(tmp_path, server, ask, timeout_s=0.8, max_retries=1)
        assert json.loads(answer.text) == GOOD
        assert len(server.questions) == 2


def test_the_wait_that_a_busy_server_asks_for_is_kept(tmp_path):
    import time

    times = []

    def script(question, before):
        times.append(time.monotonic())
        return completion(GOOD) if before else Reply(b"{}", status=429, headers={"retry-after": "2"})

    with serve(script) as server:
        with_client(tmp_path, server, ask, max_retries=2)
    assert times[1] - times[0] > 1.9  # without the header the client would wait for half a second


def test_a_redirection_is_not_followed(tmp_path):
    with serve(lambda *_: completion(GOOD)) as elsewhere:
        away = Reply(b"", status=307, headers={"location": f"{elsewhere.url}/chat/completions"})
        with serve(lambda *_: away) as server:
            assert reason_of(tmp_path, server, max_retries=2) == "redirect"
            assert len(server.questions) == 1
        assert elsewhere.questions == []


def test_environment_neither_redirects_nor_adds(tmp_path, monkeypatch):
    with serve(lambda *_: completion(GOOD)) as proxy, serve(lambda *_: completion(GOOD)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("OPENAI_BASE_URL", proxy.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
        with_client(tmp_path, server, ask)
        assert proxy.questions == []
        told = json.dumps(server.headers)
    assert "somebody" not in told
    assert "stainless" not in told.lower()
    assert "python" not in told.lower()


def test_an_answer_is_asked_for_once(tmp_path):
    async def twice(client):
        return [await ask(client), await ask(client)]

    with serve(lambda *_: completion(GOOD)) as server:
        first, second = with_client(tmp_path, server, twice)
        third = with_client(tmp_path, server, ask)
        assert first == second == third
        assert len(server.questions) == 1
        with_client(tmp_path, server, ask, output="text")
        assert len(server.questions) == 2
    cached = tmp_path / "cache"
    assert [path.stat().st_mode & 0o077 for path in [cached, *cached.iterdir()]] == [0] * (
        1 + len(list(cached.iterdir()))
    )


def test_refusals_and_cut_answers_are_answers(tmp_path):
    replies = [
        (completion("", message={"refusal": "I cannot."}), "refusal"),
        (completion("", finish_reason="content_filter"), "refusal"),
        (completion('{"text": "half', finish_reason="length"), "cut"),
    ]
    for number, (reply, name) in enumerate(replies):
        with serve(lambda *_, reply=reply: reply) as server:
            answer = with_client(tmp_path / str(number), server, ask)
        assert getattr(answer, name)


@pytest.mark.parametrize(("limit", "sent"), [({"max_requests": 3}, 3), ({"max_tokens": 40}, 3)])
def test_the_budget_is_kept(tmp_path, limit, sent):
    async def many(client):
        for number in range(10):
            await client.ask([*QUESTION, {"role": "user", "content": str(number)}], TextReply)

    with serve(lambda *_: completion(GOOD)) as server:
        with pytest.raises(StoppedError, match="budget"):
            with_client(tmp_path, server, many, budget=BudgetConfig(**limit))
        assert len(server.questions) == sent


def test_requests_sent_again_count(tmp_path):
    with serve(lambda *_: Reply(b"{}", status=500)) as server:
        with pytest.raises(StoppedError, match="budget"):
            with_client(tmp_path, server, ask, max_retries=5, budget=BudgetConfig(max_requests=2))
        assert len(server.questions) == 2


def test_a_broken_server_is_given_up(tmp_path):
    async def many(client):
        for number in range(100):
            try:
                await client.ask([*QUESTION, {"role": "user", "content": str(number)}], TextReply)
            except NoAnswerError:
                continue

    with serve(lambda *_: Reply(b"{}", status=500)) as server:
        with pytest.raises(StoppedError, match="20 of 20"):
            with_client(tmp_path, server, many)
        assert len(server.questions) == 20


def refuses(*kinds):
    """Return a script of a server that takes no such response format."""

    def script(question, before):
        if question.get("response_format", {}).get("type") in kinds:
            return Reply(b'{"error": "unknown"}', status=400)
        return completion({"ready": True}) if is_probe(question) else completion(GOOD)

    return script


def ignores_schema(question, before):
    return (
        completion("Yes, I am.")
        if question["response_format"]["type"] == "json_schema"
        else completion({"ready": True})
    )


@pytest.mark.parametrize(
    ("script", "mode"),
    [
        (refuses(), "json_schema"),
        (refuses("json_schema"), "json_object"),
        (refuses("json_schema", "json_object"), "text"),
        (ignores_schema, "json_object"),
        (lambda *_: completion("Yes, I am."), "text"),
    ],
    ids=["all", "no schema", "no json", "schema ignored", "words alone"],
)
def test_the_form_is_asked_for_as_the_server_can(tmp_path, script, mode):
    async def find(client):
        return await client.find_mode()

    with serve(script) as server:
        assert with_client(tmp_path, server, find, output="auto") == mode


def test_what_was_found_before_is_not_asked_again(tmp_path):
    async def known(client):
        return await client.find_mode("text")

    with serve(lambda *_: completion(GOOD)) as server:
        assert with_client(tmp_path, server, known, output="auto") == "text"
        assert server.questions == []


def test_without_schema_the_form_is_told_in_words(tmp_path):
    with serve(lambda *_: completion(GOOD)) as server:
        with_client(tmp_path, server, ask, output="text")
        (question,) = server.questions
    assert "response_format" not in question
    assert '"additionalProperties": false' in question["messages"][0]["content"]


@pytest.mark.parametrize("status", [401, 503])
def test_a_server_without_use_is_an_error(tmp_path, status):
    async def find(client):
        return await client.find_mode()

    with serve(lambda *_: Reply(b"{}", status=status)) as server, pytest.raises(RunError, match="no usable answer"):
        with_client(tmp_path, server, find, output="auto")


def test_no_server_is_an_error(tmp_path):
    async def find(client):
        return await client.find_mode()

    with serve(willing(lambda *_: completion(GOOD))) as server:
        pass
    with pytest.raises(RunError, match="unreachable"):
        with_client(tmp_path, server, find, output="auto")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v1", "http://[::1]:1/v1", "http://localhost/v1", "http://127.9.9.9/v1"]
)
def test_this_machine_is_allowed(url):
    check_host(ServerConfig(url=url))


@pytest.mark.parametrize(
    "url",
    ["http://gpu-box:8000/v1", "https://api.example.org/v1", "http://10.0.0.5/v1", "http://0.0.0.0/v1",
     "http://127.0.0.1.example.org/v1", "http://localhost.example.org/v1"],
)  # fmt: skip
def test_another_machine_is_not(url):
    with pytest.raises(PrivacyError, match="allow_host"):
        check_host(ServerConfig(url=url))
    with pytest.raises(PrivacyError):
        check_host(ServerConfig(url=url, allow_host="other"))
    server = ServerConfig(url=url)
    check_host(ServerConfig(url=url, allow_host=server.host))


def test_no_client_is_made_for_a_host_that_is_not_allowed(tmp_path):
    with serve(lambda *_: completion(GOOD)) as server, pytest.raises(PrivacyError):
        with_client(tmp_path, server, ask, url="http://192.0.2.7/v1")


def test_the_key_comes_from_the_environment_alone(tmp_path, monkeypatch):
    with serve(lambda *_: completion(GOOD)) as server:
        with pytest.raises(ConfigError, match="SITE_KEY"):
            with_client(tmp_path, server, ask, api_key_env="SITE_KEY")
        monkeypatch.setenv("SITE_KEY", "s3cret")
        with_client(tmp_path, server, ask, api_key_env="SITE_KEY")
        assert [headers["authorization"] for headers in server.headers] == ["Bearer s3cret"]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "127.0.0.1:80", "http://user:word@127.0.0.1/v1", "http:///v1"])
def test_an_address_is_checked(url):
    with pytest.raises(ValueError, match="url must"):
        ServerConfig(url=url)
