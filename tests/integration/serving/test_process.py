"""The service as a process: TLS, PostgreSQL, another model at SIGHUP, and an end at SIGTERM that loses nothing."""

import base64
import hashlib
import json
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.certificates import Certificate, make_certificate
from tests.fixtures.databases import PostgresServer
from tests.fixtures.dicom_files import PLANTED, write_film
from tests.fixtures.serve_process import OPEN_GATE, serving
from tests.fixtures.tiny import make_report_model
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import ConfigError
from radlet.models.report_model import save_report_model
from radlet.reading.certificates import check_tls
from radlet.reading.store import audit
from radlet.reading.store.accounts import Accounts
from radlet.reading.store.sessions import Sessions, SessionSettings
from radlet.reading.store.store import Store

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test


def asked(film: bytes, **more: object) -> dict[str, object]:
    url = f"data:application/dicom;base64,{base64.b64encode(film).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], **more}


def events(lines: Iterator[str]) -> Iterator[str]:
    return (line.removeprefix("data: ") for line in lines if line)


def test_a_service_over_tls_on_postgresql_swaps_its_model_and_ends_when_all_is_written(
    tmp_path: Path, postgres: PostgresServer, new_database: Callable[[], str]
) -> None:
    url, room, checkpoint = postgres.url(new_database()), tmp_path / "room", tmp_path / "checkpoint"
    model = make_report_model()
    # So that a long answer may be asked for.
    model.model.config.get_text_config().max_position_embeddings = 4096
    save_report_model(model, checkpoint, None)
    with Store(room, url) as store:
        Accounts(store).add("anna", "reader", PASSWORD, "test")
        Accounts(store).add("script", "machine", None, "test")
        _, key = Sessions(store, SessionSettings()).add_key("script", "test")
    made = make_certificate(tmp_path, "own")
    recipe = tmp_path / "serve.toml"
    recipe.write_text(f'database = "{url}"\naccounts = true\nhost = "0.0.0.0"\ndata_dir = "{room}"\n')
    film = write_film(tmp_path / "film.dcm", 1, 64).read_bytes()
    # However busy the machine is: what ends the stream must be its length.
    patient = ("room.queue.time_limit_s=600", "drain_s=300")
    options = (*OPEN_GATE, *made.settings, *patient, "--recipe", str(recipe), "--name", "tiny")
    with serving(checkpoint, tmp_path, *options) as service:
        trusted = ssl.create_default_context(cafile=made.certificate)
        base = f"https://127.0.0.1:{service.port}"
        machine = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=base, verify=trusted, timeout=120) as http:
            came = http.post("/login", data={"name": "anna", "password": PASSWORD})
            assert came.headers["strict-transport-security"] == "max-age=31536000"
            assert came.headers["set-cookie"].startswith("__Host-radlet=")
            assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(came.headers["set-cookie"].split("; "))
            assert http.get("/api/session").json()["account"] == "anna"
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{service.port}/healthz")

            long = asked(film, stream=True, max_tokens=3000)
            with http.stream("POST", "/v1/chat/completions", json=long, headers=machine) as answer:
                heard = events(answer.iter_lines())
                first = [next(heard) for _ in range(3)]
                service.send(signal.SIGHUP)
                service.until_said("The model is now")
                service.send(signal.SIGTERM)
                # New ones are turned away while this one is written, over connections of their own.
                with httpx2.Client(base_url=base, verify=trusted, timeout=120) as other:
                    while other.get("/readyz").status_code != 503:
                        pass
                    refused = other.post("/v1/chat/completions", json=asked(film), headers=machine)
                assert (refused.status_code, "is stopping" in refused.text) == (503, True)
                rest = list(heard)
        assert first
        assert rest[-1] == "[DONE]"
        assert json.loads(rest[-2])["choices"][0]["finish_reason"] in ("stop", "length")
        assert service.status() in (0, -signal.SIGTERM)
    said = service.log.read_text()
    assert not [word for word in (*PLANTED, "S3cret", PASSWORD, key) if word in said]
    with Store(room, url) as store:
        lines = list(store.audit_lines())
        assert audit.verify(lines).broken_at is None
    # The one that was turned away asked nothing of the model.
    chats = [line for line in lines if line.action == "model.chat"]
    assert [(line.actor, line.subject) for line in chats] == [("script", hashlib.sha256(film).hexdigest())]
    assert all(set(line.detail) == {"model", "checkpoint"} for line in chats)
    assert sum(line.action == "model.swap" for line in lines) == 1


def without(path: Path, words: bytes) -> Path:
    path.write_bytes(words)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read (No such file"),
        ("broken", "is no PEM file"),
        ("mismatched", "does not belong to tls_certificate"),
        ("expired", "has expired"),
        ("early", "is not valid yet"),
        ("locked", "needs a password"),
    ],
)
def test_certificates_that_cannot_be_used_are_told_before_anything_is_loaded(
    tmp_path: Path, kind: str, words: str
) -> None:
    good = make_certificate(tmp_path, "good")
    given = {
        "missing": lambda: Certificate(tmp_path / "none.pem", good.key),
        "broken": lambda: Certificate(without(tmp_path / "broken.pem", b"no certificate"), good.key),
        "mismatched": lambda: Certificate(good.certificate, make_certificate(tmp_path, "other").key),
        "expired": lambda: make_certificate(tmp_path, "old", (-30, -1)),
        "early": lambda: make_certificate(tmp_path, "early", (1, 30)),
        "locked": lambda: make_certificate(tmp_path, "locked", password=b"secret"),
    }[kind]()
    told = CliRunner().invoke(app, ["serve", str(tmp_path / "none"), *given.settings, "--port", "0"])
    assert isinstance(told.exception, ConfigError)
    assert words in str(told.exception)


def test_a_good_certificate_passes(tmp_path: Path) -> None:
    good = make_certificate(tmp_path, "good")
    check_tls(good.certificate, good.key)
