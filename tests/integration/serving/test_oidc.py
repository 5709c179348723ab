"""Logging in by an issuer of the institution: a small one on loopback, which checks what it is sent."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from tests.fixtures.reading_room import room_config, served

from radlet.reading.store.accounts import Accounts
from radlet.serving.oidc import Issuer, OidcSettings, Vouched

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

CLIENT = "radlet"


class FakeIssuer:
    """An issuer that vouches for what the test says."""

    def __init__(self) -> None:
        self.key, self.strange_key = (ECKey.generate_key("P-256", {"kid": "one"}) for _ in range(2))
        self.signing = self.key
        self.claims: dict[str, Any] = {"preferred_username": "anna", "roles": ["staff", "radiology"]}
        self.challenge = self.nonce = ""
        handler = type("Handler", (_Handler,), {"issuer": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self, url: str) -> str:
        """Be led here by a URL; return the state that goes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert "openid" in asked["scope"].split()
        self.challenge, self.nonce = asked["code_challenge"], asked["nonce"]
        return asked["state"]

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        """Exchange a code; whoever does not know the verifier gets nothing."""
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != self.challenge or form.get("code") != "code":
            return {"error": "invalid_grant"}
        moment = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "1",
            "iat": moment,
            "exp": moment + 60,
            "nonce": self.nonce,
            **self.claims,
        }
        signed = jwt.encode({"alg": "ES256", "kid": "one"}, claims, self.signing)
        return {"access_token": "none", "token_type": "Bearer", "id_token": signed}


class _Handler(BaseHTTPRequestHandler):
    issuer: FakeIssuer

    def do_GET(self) -> None:
        own = self.issuer
        if self.path == "/.well-known/openid-configuration":
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            self._tell({"issuer": own.url, **{name: f"{own.url}/{name}" for name in names}})
        else:
            self._tell({"keys": [own.key.as_dict(private=False)]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        told = self.issuer.token({name: values[0] for name, values in parse_qs(body).items()})
        self._tell(told, 400 if "error" in told else 200)

    def _tell(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def fake() -> Iterator[FakeIssuer]:
    issuer = FakeIssuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def settings(fake: FakeIssuer, redirect: str = "http://127.0.0.1:1/oidc/callback") -> OidcSettings:
    return OidcSettings(
        issuer=fake.url, client_id=CLIENT, redirect_url=redirect, roles={"it": "admin", "radiology": "reader"}
    )


def test_the_issuer_vouches_for_a_name_and_a_role(fake: FakeIssuer) -> None:
    issuer = Issuer(settings(fake))
    url, state = issuer.begin()
    assert fake.ask(url) == state
    assert issuer.finish(state, state, "code") == Vouched("anna@127.0.0.1", "reader")
    assert issuer.finish(state, state, "code") is None, "a state is good for one answer"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"nonce": "another"}, "code"),
        ({"aud": "another"}, "code"),
        ({"iss": "http://another.example"}, "code"),
        ({"exp": 1}, "code"),
        ({"roles": ["cleaning"]}, "code"),
        ({"roles": None}, "code"),
        ({"preferred_username": None}, "code"),
        ({"preferred_username": "an\nna"}, "code"),
        ({"preferred_username": "a" * 60}, "code"),
        ({}, "another"),
        ({}, ""),
    ],
)
def test_any_other_answer_opens_nothing(fake: FakeIssuer, claims: dict[str, Any], code: str) -> None:
    issuer = Issuer(settings(fake))
    url, state = issuer.begin()
    fake.ask(url)
    fake.claims |= claims
    assert issuer.finish(state, state, code) is None


def test_a_foreign_key_and_a_foreign_browser_open_nothing(fake: FakeIssuer) -> None:
    issuer = Issuer(settings(fake))
    fake.signing = fake.strange_key
    url, state = issuer.begin()
    fake.ask(url)
    assert issuer.finish(state, state, "code") is None
    fake.signing = fake.key
    url, state = issuer.begin()
    fake.ask(url)
    assert issuer.finish("", state, "code") is None, "the browser was never led to the issuer"


def test_a_browser_comes_in_by_the_issuer(fake: FakeIssuer, tmp_path: Path) -> None:
    config = room_config(tmp_path, accounts=True, oidc=settings(fake))
    with served(config) as server, httpx2.Client(base_url=server.url) as client:
        assert "/oidc/login" in client.get("/login").text
        led = client.get("/oidc/login")
        assert led.status_code == 303
        state = fake.ask(led.headers["location"])
        with httpx2.Client(base_url=server.url) as other:
            assert other.get("/oidc/callback", params={"state": state, "code": "code"}).status_code == 401
        led = client.get("/oidc/login")
        state = fake.ask(led.headers["location"])
        assert client.get("/oidc/callback", params={"state": state, "code": "code"}).status_code == 200
        told = client.get("/api/session").json()
        assert (told["account"], told["roles"]) == ("anna@127.0.0.1", ["reader"])
        Accounts(server.room.store).disable("anna@127.0.0.1", "test")
        assert client.get("/api/session").status_code == 401
