from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from tests.fixtures.asgi import call, echo

from radlet.reading.store.accounts import Accounts
from radlet.reading.store.sessions import Sessions, SessionSettings
from radlet.reading.store.store import Store
from radlet.reading.store.tables import now
from radlet.serving.access import Access
from radlet.serving.permissions import PERMISSIONS, Permission
from radlet.serving.rates import Buckets

PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test

EXPECTED = {
    ("GET", "/healthz"): "nobody reader admin machine",
    ("GET", "/readyz"): "nobody reader admin machine",
    ("GET", "/login"): "nobody reader admin machine",
    ("POST", "/login"): "nobody reader admin machine",
    ("GET", "/login.css"): "nobody reader admin machine",
    ("GET", "/oidc/login"): "nobody reader admin machine",
    ("GET", "/oidc/callback"): "nobody reader admin machine",
    ("GET", "/metrics"): "admin machine",
    ("GET", "/openapi.json"): "reader admin machine",
    ("GET", "/api/statistics"): "reader admin machine",
    ("GET", "/api/drift"): "reader admin machine",
    ("GET", "/"): "reader admin",
    ("GET", "/dashboard"): "reader admin",
    ("GET", "/static/{name}"): "nobody reader admin machine",
    ("GET", "/api/session"): "reader admin machine",
    ("GET", "/api/model"): "reader admin machine",
    ("POST", "/logout"): "reader admin",
    ("GET", "/api/studies/{study_id}/meanwhile"): "reader",
    ("PUT", "/api/studies/{study_id}/report"): "reader",
    ("POST", "/api/studies/{study_id}/signature"): "reader",
    ("POST", "/api/studies/{study_id}/reopen"): "reader",
    ("POST", "/api/drafts/{draft_id}/feedback"): "reader",
}
"""Who gets through; every other route is for readers and machines."""


class Setting:
    """A store with one account of each role, and the application behind the door."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.moment = now()
        self.sessions = Sessions(self.store, SessionSettings(), lambda: self.moment)
        self.accounts = Accounts(self.store, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        for name in ("reader", "admin"):
            self.accounts.add(name, name, PASSWORD, "test")
        self.accounts.add("machine", "machine", None, "test")
        self.key_id, self.key = self.sessions.add_key("machine", "test")
        self.app = Access(echo, self.sessions, Buckets(1e6, 10**6), tls=False)
        self.heads: dict[str, dict[str, str]] = {"nobody": {}, "machine": {"authorization": f"Bearer {self.key}"}}
        for name in ("reader", "admin"):
            token = self.sessions.open(name)
            inside = self.sessions.find(token)
            assert inside is not None
            self.heads[name] = {"cookie": f"radlet={token}", "x-csrf-token": inside.csrf or ""}

    def status(self, who: str, method: str = "GET", path: str = "/api/model", **headers: str) -> int:
        given = {**self.heads[who], **{name.replace("_", "-"): value for name, value in headers.items()}}
        return call(self.app, method, path, given).status

    def later(self, **time: float) -> datetime:
        self.moment += timedelta(**time)
        return self.moment


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    setting = Setting(tmp_path_factory.mktemp("access"))
    yield setting
    setting.store.close()


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("permission", PERMISSIONS, ids=lambda one: f"{one.method} {one.path}")
def test_each_route_lets_its_roles_through_and_nobody_else(shared: Setting, permission: Permission) -> None:
    through = EXPECTED.get((permission.method, permission.path), "reader machine").split()
    path = permission.path.replace("{", "").replace("}", "")
    for who in ("nobody", "reader", "admin", "machine"):
        refused = (303 if path in ("/", "/dashboard") else 401) if who == "nobody" else 403
        expected = 200 if who in through else refused
        assert shared.status(who, permission.method, path) == expected, who


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/secret", 404), ("DELETE", "/api/studies", 405)])
def test_what_the_table_does_not_name_is_not_there(shared: Setting, method: str, path: str, status: int) -> None:
    assert shared.status("reader", method, path) == status


def test_without_accounts_everybody_is_the_local_reader_and_admin(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope["state"])
        await echo(scope, receive, send)

    access = Access(app, None, Buckets(1e6, 10**6), tls=False)
    assert call(access, "POST", "/api/studies/x/signature", {"authorization": "Bearer none"}).status == 200
    assert (seen["caller"].name, seen["caller"].roles) == ("local", {"reader", "admin"})
    # A page of another site cannot act for them either.
    assert call(access, "POST", "/api/studies/x/signature", {"origin": "http://evil.example"}).status == 403


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"x_csrf_token": ""}, 403),
        ({"x_csrf_token": "x" * 43}, 403),
        ({"x_csrf_token": "\xe9"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 200),
        ({"origin": "http://127.0.0.1:2"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[broken"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, 200),
        ({"sec_fetch_site": "none", "origin": "null"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_a_change_by_a_browser_must_be_meant(shared: Setting, changed: dict[str, str], status: int) -> None:
    assert shared.status("reader", "PUT", "/api/studies/x/report", **changed) == status


def test_the_token_of_another_session_is_no_token_of_this_one(shared: Setting) -> None:
    other = shared.heads["admin"]["x-csrf-token"]
    assert shared.status("reader", "PUT", "/api/studies/x/report", x_csrf_token=other) == 403
    assert shared.status("reader", "GET", "/api/model", x_csrf_token="") == 200


@pytest.mark.parametrize("key", ["Bearer wrong", "Bearer", "Basic cmVhZGVyOng=", "Bearer \xe9"])
def test_a_wrong_key_opens_nothing_even_with_a_cookie(shared: Setting, key: str) -> None:
    assert shared.status("reader", authorization=key) == 401


def test_a_session_ends_when_idle_and_after_its_longest_time(setting: Setting) -> None:
    for _ in range(26):
        setting.later(minutes=27)
        assert setting.status("reader") == 200
    setting.later(minutes=27)
    assert setting.status("reader") == 401, "12 hours have passed"
    assert setting.status("admin") == 401, "30 minutes without a request have passed"


def test_what_ends_sessions_ends_them_at_once(setting: Setting) -> None:
    token = setting.heads["reader"]["cookie"].removeprefix("radlet=")
    fresh = setting.sessions.open("reader", token)
    assert setting.status("reader") == 401, "a login replaces the session that the browser had"
    assert setting.status("reader", cookie=f"radlet={fresh}") == 200
    setting.sessions.end(fresh)
    assert setting.status("reader", cookie=f"radlet={fresh}") == 401
    third = setting.sessions.open("reader")
    setting.accounts.set_password("reader", "another long password", "test")
    assert setting.status("reader", cookie=f"radlet={third}") == 401
    setting.accounts.disable("admin", "test")
    assert setting.status("admin") == 401


def test_a_key_ends_when_revoked_and_with_its_account(setting: Setting) -> None:
    second = setting.sessions.add_key("machine", "test")[1]
    setting.sessions.revoke_key(setting.key_id, "test")
    assert setting.status("machine") == 401
    assert setting.status("machine", authorization=f"Bearer {second}") == 200
    setting.accounts.disable("machine", "test")
    assert setting.status("machine", authorization=f"Bearer {second}") == 401


def test_an_account_that_asks_too_often_is_told_when_to_come_back(setting: Setting) -> None:
    app = Access(echo, setting.sessions, Buckets(0.1, 3), tls=False)
    answers = [call(app, "GET", "/api/model", setting.heads["reader"]) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["retry-after"] == "10"
    assert call(app, "GET", "/api/model", setting.heads["machine"]).status == 200


def test_nothing_kept_opens_anything(setting: Setting) -> None:
    token = setting.heads["reader"]["cookie"].removeprefix("radlet=")
    kept = b"".join(path.read_bytes() for path in setting.store.data_dir.glob("store.sqlite*"))
    for secret in (token, setting.key, PASSWORD):
        assert secret.encode() not in kept
    assert b"$argon2id$" in kept
