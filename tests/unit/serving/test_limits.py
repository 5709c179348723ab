import json
from typing import Any

import pytest
from tests.fixtures.asgi import Answer, call, echo

from radlet.serving.headers import SafeHeaders
from radlet.serving.limits import AddressRate, BodyLimits
from radlet.serving.permissions import find_permission
from radlet.serving.rates import Attempts, Buckets
from radlet.serving.settings import UploadLimits

MIB = 1024 * 1024


def post(limits: UploadLimits, *body: bytes | float, **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(BodyLimits(echo, limits), "POST", "/x", given, body)


def test_a_body_within_the_limit_passes_whole() -> None:
    assert post(UploadLimits(max_body_mb=1), b"x" * (MIB - 1), b"x").body == str(MIB).encode()


@pytest.mark.parametrize("announced", [{}, {"content_length": str(9 * MIB)}, {"content_length": "5"}])
def test_a_body_that_is_too_large_is_refused_while_it_arrives(announced: dict[str, str]) -> None:
    answer = post(UploadLimits(max_body_mb=1), b"x" * MIB, b"x", b"never read", **announced)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert "at most 1 MiB" in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize("announced", [{}, {"content-length": str(65 * 1024)}])
def test_who_has_not_logged_in_brings_no_more_than_a_name_and_a_password(announced: dict[str, str]) -> None:
    limits = BodyLimits(echo, UploadLimits())

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        permission, _ = find_permission(scope["method"], scope["path"])
        await limits({**scope, "state": {"permission": permission}}, receive, send)

    pieces = [b"x" * 1024] * 65
    answer = call(asked, "POST", "/login", announced, pieces)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert "at most 64 KiB" in json.loads(answer.body)["error"]["message"]
    assert call(asked, "POST", "/login", None, pieces[1:]).status == 200
    assert call(asked, "POST", "/api/studies", None, pieces).status == 200


def test_an_announced_size_is_refused_before_a_byte_is_read() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("the application was asked")

    app = BodyLimits(fails, UploadLimits(max_body_mb=1))
    assert call(app, "POST", "/x", {"content-length": str(2 * MIB)}).status == 413


def test_a_body_that_does_not_come_is_given_up() -> None:
    answer = post(UploadLimits(body_timeout_s=0.05), b"a", 0.02, b"b", 0.02, b"c", 5.0, b"d")
    assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_the_time_is_for_the_body_alone() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        # Waits for the client to leave, as streams do.
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await BodyLimits(slow, UploadLimits(body_timeout_s=0.02))(scope, receive, send)

    assert call(late, "POST", "/x", None, [b""]).status == 200


def test_bodies_together_have_a_limit_and_give_their_room_back() -> None:
    limits = UploadLimits(max_body_mb=1, max_bodies_mb=1)
    inner: list[int] = []

    async def nested(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        inner.append(await_status(b"x" * (MIB // 2 + 1)))
        await echo(scope, receive, send)

    def await_status(piece: bytes) -> int:
        import threading

        found: list[int] = []
        work = threading.Thread(target=lambda: found.append(call(second, "POST", "/x", None, [piece]).status))
        work.start()
        work.join()
        return found[0]

    app = BodyLimits(nested, limits)
    second = _sharing(app, echo)
    assert call(app, "POST", "/x", None, [b"x" * (MIB // 2)]).status == 200
    assert inner == [503]
    assert call(second, "POST", "/x", None, [b"x" * MIB]).status == 200


def _sharing(first: BodyLimits, app: Any) -> Any:
    """Return the same limits around another application."""

    async def other(scope: Any, receive: Any, send: Any) -> None:
        own, first._app = first._app, app
        try:
            await first(scope, receive, send)
        finally:
            first._app = own

    return other


def test_an_address_that_asks_too_often_is_told_when_to_come_back() -> None:
    moment = [0.0]
    app = AddressRate(echo, Buckets(2, 3, lambda: moment[0]))
    statuses = [call(app, "GET", "/x").status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert call(app, "GET", "/x").headers["retry-after"] == "1"
    moment[0] += 0.5
    assert [call(app, "GET", "/x").status for _ in range(2)] == [200, 429]


def test_attempts_run_out_and_come_back() -> None:
    moment = [0.0]
    attempts = Attempts(2, 100, lambda: moment[0])
    assert [attempts.begin("a"), attempts.begin("a"), attempts.begin("a")] == [None, None, 100]
    moment[0] = 99.5
    assert attempts.begin("a") == 1
    moment[0] = 100
    assert attempts.begin("a") is None
    attempts.take_back("a")
    assert attempts.begin("a") is None
    attempts.forget("a")
    assert attempts.begin("a") is None


def test_what_is_remembered_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radlet.serving.rates._MOST_KEYS", 3)
    buckets, attempts = Buckets(1, 1), Attempts(1, 10)
    for number in range(10):
        buckets.take(str(number))
        attempts.begin(str(number))
    assert (len(buckets._left), len(attempts._tried)) == (3, 3)
    assert buckets.take("9") is not None, "the latest is still known"


def as_named(path: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["permission"] = find_permission("GET", path)[0]
        await echo(scope, receive, send)

    return app


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("[::1]:8765", 200),
        ("Reading.Hospital.example:443", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("[broken", 421),
        ("", 421),
    ],
)
def test_only_its_own_names_are_answered(host: str, status: int) -> None:
    app = SafeHeaders(echo, ("reading.hospital.example",), tls=False)
    assert call(app, "GET", "/x", {"host": host}).status == status


def test_answers_tell_browsers_to_keep_to_themselves() -> None:
    answer = call(SafeHeaders(as_named("/api/studies"), (), tls=True), "GET", "/api/studies")
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert not [part for part in policy if "unsafe" in part or "*" in part or "http" in part]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    plain = call(SafeHeaders(as_named("/login.css"), (), tls=False), "GET", "/login.css")
    assert "strict-transport-security" not in plain.headers
    assert plain.headers["cache-control"] == "no-cache", "no patient's data, so that it may be kept"
