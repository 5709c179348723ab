"""The commands of accounts, keys and the audit log, and what `radlet serve` refuses to begin with."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from radlet.cli import app
from radlet.core.errors import ConfigError
from radlet.reading.store.accounts import Accounts
from radlet.reading.store.sessions import Sessions, SessionSettings
from radlet.reading.store.store import Store

PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test


def radlet(*arguments: object, stdin: str = "") -> Result:
    told = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told


def test_an_account_is_made_listed_changed_and_disabled(tmp_path: Path) -> None:
    made = radlet("account", "add", "anna", "--role", "reader", "--data-dir", tmp_path, stdin=f"{PASSWORD}\n")
    assert made.exit_code == 0
    assert PASSWORD not in made.output
    radlet("account", "password", "anna", "--data-dir", tmp_path, stdin="another long password\n")
    with Store(tmp_path) as store:
        assert Accounts(store).check("anna", "another long password")
    radlet("account", "disable", "anna", "--data-dir", tmp_path)
    assert radlet("account", "list", "--data-dir", tmp_path).stdout == "anna\treader\tdisabled\n"


def test_a_key_is_shown_once_and_opens_nothing_when_revoked(tmp_path: Path) -> None:
    radlet("account", "add", "script", "--role", "machine", "--data-dir", tmp_path)
    shown = radlet("key", "add", "script", "--data-dir", tmp_path).stdout
    key = shown.split()[-1]
    assert key.startswith("radlet_")
    listed = radlet("key", "list", "--data-dir", tmp_path).stdout
    assert key not in listed
    key_id = listed.split("\t")[0]
    with Store(tmp_path) as store:
        assert Sessions(store, SessionSettings()).find_key(key)
    radlet("key", "revoke", key_id, "--data-dir", tmp_path)
    with Store(tmp_path) as store:
        assert Sessions(store, SessionSettings()).find_key(key) is None


def noted(folder: Path) -> str:
    """Write three lines of a log, and return the hash of the last."""
    with Store(folder) as store:
        for subject in ("a", "b", "c"):
            store.note("anna", "study.view", subject)
        return list(store.audit_lines())[-1].sha256


def test_a_whole_log_is_verified_and_shown(tmp_path: Path) -> None:
    last = noted(tmp_path)
    verified = radlet("audit", "verify", "--data-dir", tmp_path, "--expect", last[:12])
    assert (verified.exit_code, verified.stdout.split()[-1]) == (0, last)
    shown = [
        json.loads(line) for line in radlet("audit", "show", "--data-dir", tmp_path, "--last", "2").stdout.splitlines()
    ]
    assert [(line["actor"], line["subject"]) for line in shown] == [("anna", "b"), ("anna", "c")]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET actor = 'otto' WHERE subject = 'b'",
        "UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE subject = 'a'",
        "DELETE FROM audit WHERE subject = 'b'",
        "UPDATE audit SET number = number + 10 WHERE subject = 'c'",
    ],
)
def test_a_tampered_log_is_found(tmp_path: Path, tampering: str) -> None:
    noted(tmp_path)
    with Store(tmp_path) as store, store.writing() as session:
        session.execute(text(tampering))
    verified = radlet("audit", "verify", "--data-dir", tmp_path)
    assert verified.exit_code == 1
    assert "tampered" in verified.output


def test_a_log_that_was_cut_off_is_found_by_the_hash_kept_elsewhere(tmp_path: Path) -> None:
    last = noted(tmp_path)
    with Store(tmp_path) as store, store.writing() as session:
        session.execute(text("DELETE FROM audit WHERE subject = 'c'"))
    assert radlet("audit", "verify", "--data-dir", tmp_path).exit_code == 0
    assert radlet("audit", "verify", "--data-dir", tmp_path, "--expect", last).exit_code == 1
    with pytest.raises(ConfigError, match="at least the first 12"):
        radlet("audit", "verify", "--data-dir", tmp_path, "--expect", "1")


def test_a_folder_without_a_store_is_not_made_into_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        radlet("audit", "verify", "--data-dir", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    for command in (("audit", "verify"), ("feedback", "export", "--out", tmp_path / "out")):
        with pytest.raises(ConfigError, match="holds no store"):
            radlet(*command, "--data-dir", tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["host=0.0.0.0"], "needs tls_certificate, tls_key and accounts = true"),
        (["host=0.0.0.0", "accounts=true"], "needs tls_certificate, tls_key and accounts = true"),
        (["host=reading.example", "tls_certificate=a", "tls_key=b"], "accounts = true"),
        (["tls_certificate=a"], "go together"),
        (["accounts=true"], "radlet account add NAME --role reader --data-dir"),
    ],
)
def test_serve_does_not_open_to_others_unguarded(tmp_path: Path, settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        radlet("serve", tmp_path / "checkpoint", *settings, "--port", 0, "--data-dir", tmp_path / "room")


EGRESS = """
import json, sys
reached = []
def hear(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        reached.append(str(arguments[1][0]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        reached.append(str(arguments[0]))
sys.addaudithook(hear)

from pathlib import Path
import socket, urllib.request
import httpx2, numpy as np
from PIL import Image
from io import BytesIO
from radlet.core.errors import PrivacyError
from radlet.reading.offline import stay_offline
from tests.fixtures.reading_room import room_config, served

stay_offline(())
buffer = BytesIO()
Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 36), dtype=np.uint8)).save(buffer, "PNG")
with served(room_config(Path(sys.argv[1]))) as server, httpx2.Client(base_url=server.url, timeout=60) as http:
    done = [http.post("/api/studies", files=[("films", buffer.getvalue())])]
    study = f"/api/studies/{done[0].json()[0]['study_id']}"
    done += [http.post(f"{study}/draft"), http.get(study)]
    draft = done[-1].json()["drafts"][0]["id"]
    done += [
        http.get(f"{study}/drafts/{draft}/sentences/0"),
        http.post(f"{study}/question", json={"question": "Effusion?"}),
        http.put(f"{study}/report", json={"text": "Clear."}),
        http.post(f"{study}/signature", json={"text": "Clear.", "based_on": http.get(study).json()["last_text"]}),
        http.get("/metrics"),
    ]
refused = 0
own = len(reached)
for attempt in (
    lambda: urllib.request.urlopen("http://192.0.2.1/"),
    lambda: socket.create_connection(("192.0.2.1", 80)),
    lambda: socket.getaddrinfo("hub.example", 443),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    lambda: httpx2.get("https://hub.example/"),
):
    try:
        attempt()
    except PrivacyError:
        refused += 1
    except Exception as error:
        refused += isinstance(error.__context__ or error.__cause__, PrivacyError)
print(json.dumps({"status": [one.status_code for one in done], "reached": reached[:own], "refused": refused}))
"""


def test_a_whole_reading_reaches_nothing_beyond_loopback(tmp_path: Path, repository: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", EGRESS, str(tmp_path)], capture_output=True, text=True, cwd=repository, check=False
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["status"] == [201, 200, 200, 200, 200, 200, 201, 200]
    assert found["reached"], "the client of the test itself was heard"
    assert set(found["reached"]) <= {"127.0.0.1", "::1", "localhost", "None"}
    assert found["refused"] == 5
