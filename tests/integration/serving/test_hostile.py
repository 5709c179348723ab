"""What somebody who means harm sends to a real server, and what each role gets from each route."""

import base64
import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import Server, room_config, served
from tests.fixtures.small_disk import SmallDisk
from tests.unit.serving.test_access import EXPECTED

from radlet.reading.store.accounts import Accounts
from radlet.reading.store.films import PASSING
from radlet.reading.store.sessions import Sessions, SessionSettings
from radlet.serving.permissions import PERMISSIONS

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

PLANT = "ZYXWORDS"
PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("guarded"), accounts=True)) as running:
        accounts = Accounts(running.room.store)
        for name in ("reader", "admin"):
            accounts.add(name, name, PASSWORD, "test")
        accounts.add("machine", "machine", None, "test")
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def study(server: Server, http: httpx2.Client, tmp_path: Path) -> str:
    film = write_film(tmp_path / "film.dcm", 1, 32).read_bytes()
    return str(http.post("/api/studies", files=[("films", film)]).json()[0]["study_id"])


@pytest.mark.parametrize("who", ["nobody", "reader", "admin", "machine"])
def test_each_role_gets_through_to_its_routes_of_the_server_and_no_others(guarded: Server, who: str) -> None:
    sessions = Sessions(guarded.room.store, SessionSettings())
    heads: dict[str, str] = {}
    if who == "machine":
        heads = {"Authorization": f"Bearer {sessions.add_key('machine', 'test')[1]}"}
    elif who != "nobody":
        token = sessions.open(who)
        inside = sessions.find(token)
        assert inside is not None
        heads = {"Cookie": f"radlet={token}", "X-CSRF-Token": inside.csrf or ""}
    # What would end the session comes last.
    for one in sorted(PERMISSIONS, key=lambda one: one.path == "/logout"):
        through = EXPECTED.get((one.method, one.path), "reader machine").split()
        path = one.path.replace("{", "").replace("}", "")
        status = httpx2.request(one.method, f"{guarded.url}{path}", headers=heads, timeout=60).status_code
        refused = (303 if path in ("/", "/dashboard") else 401) if who == "nobody" else 403
        assert (status == refused) == (who not in through), (one.method, path, status)
        assert status < 500


def test_a_page_of_another_site_cannot_log_anybody_in(guarded: Server) -> None:
    form = {"name": "reader", "password": PASSWORD}
    for heads in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = httpx2.post(f"{guarded.url}/login", data=form, headers=heads)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_token_from_before_the_login_opens_nothing_after_it(guarded: Server) -> None:
    with httpx2.Client(base_url=guarded.url) as client:
        client.cookies.set("radlet", "chosen-by-somebody-else", domain="127.0.0.1")
        client.post("/login", data={"name": "reader", "password": PASSWORD})
        first = client.cookies.get("radlet", domain="127.0.0.1")
        assert first != "chosen-by-somebody-else"
        client.post("/login", data={"name": "reader", "password": PASSWORD})
        assert client.get("/api/session").status_code == 200
    for token in (first, "chosen-by-somebody-else"):
        answer = httpx2.get(f"{guarded.url}/api/session", headers={"Cookie": f"radlet={token}"})
        assert answer.status_code == 401


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_login_leads_to_the_page_and_nowhere_else(guarded: Server, target: str) -> None:
    form = {"name": "reader", "password": PASSWORD, "next": target, "redirect": target}
    answer = httpx2.post(f"{guarded.url}/login", params={"next": target}, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static/..%5csettings.py",
        "/static/%00",
        "/static/main.js%00.css",
        "/api/images/..%2f..%2fstore.sqlite/film.png",
        "/api/images/%2fetc%2fpasswd/film.png",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out_of_what_is_served(server: Server, path: str) -> None:
    answer = httpx2.get(httpx2.URL(server.url, raw_path=path.encode()))
    assert answer.status_code == 404
    assert "passwd" not in answer.text


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/film.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "DATA:image/png;base64,AAAA",
        "data:image/png,plain",
        "data:text/html;base64,PGI+",
        " http://[::1]/",
    ],
)
def test_nothing_is_fetched_for_anybody(http: httpx2.Client, url: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    answer = http.post(
        "/v1/chat/completions", json={"model": "tiny", "messages": [{"role": "user", "content": content}]}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        '{"text": "\\ud800"}',
        '{"text": "x", "reading_s": NaN}',
        '{"text": "x", "reading_s": Infinity}',
        '{"text": "x", "reading_s": 1e999}',
        '{"text": ' + "[" * 100_000,
        '{"text": "' + PLANT + '", "' + PLANT + '": 1}',
        "\xff\xfe",
        "",
    ],
    ids=["surrogate", "nan", "infinity", "overflow", "deep", "unknown", "bytes", "empty"],
)
def test_malformed_texts_are_refused_without_an_echo(http: httpx2.Client, study: str, body: str) -> None:
    heads = {"Content-Type": "application/json"}
    answer = http.put(f"/api/studies/{study}/report", content=body.encode("latin-1"), headers=heads)
    assert answer.status_code in (400, 422)
    assert PLANT not in answer.text
    assert http.get(f"/api/studies/{study}").status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": [{"type": PLANT}]}]},
        {"messages": [{"role": PLANT, "content": "x"}]},
        {"temperature": float("nan")},
        {"top_p": float("inf")},
        {"seed": 10**40},
        {"max_tokens": PLANT},
        {"messages": {PLANT: PLANT}},
    ],
)
def test_malformed_chats_are_refused_without_an_echo(http: httpx2.Client, change: dict[str, object]) -> None:
    chat = {"model": "tiny", "messages": [{"role": "user", "content": "Effusion?"}], **change}
    heads = {"Content-Type": "application/json"}
    answer = http.post("/v1/chat/completions", content=json.dumps(chat), headers=heads)
    assert answer.status_code == 422, answer.text
    assert PLANT not in answer.text


def test_forms_in_odd_letters_are_kept_or_refused(server: Server, http: httpx2.Client, tmp_path: Path) -> None:
    film = base64.b64decode(base64.b64encode(write_film(tmp_path / "f.dcm", 2, 32).read_bytes()))
    head = b'--x\r\nContent-Disposition: form-data; name="indication"\r\n\r\n\xff\xfe\x00\xed\xa0\x80\r\n--x\r\n'
    part = b'Content-Disposition: form-data; name="films"; filename="\xff\x00../../a"\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = http.post("/api/studies", content=head + part + film + b"\r\n--x--\r\n", headers=form)
    assert answer.status_code in (201, 400, 422), answer.text
    names = [path.name for path in server.room.store.data_dir.rglob("*")]
    assert "a" not in names


def test_malformed_films_get_an_answer_from_the_server(http: httpx2.Client, tmp_path: Path) -> None:
    whole, generator = write_film(tmp_path / "film.dcm", 3, 32).read_bytes(), random.Random(0)
    for _ in range(80):
        content = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            place = generator.randrange(len(content) // 2)
            content[place : place + generator.randint(0, 8)] = generator.randbytes(generator.randint(0, 8))
        answer = http.post("/api/studies", files=[("films", bytes(content))])
        assert answer.status_code in (201, 422), answer.text
    assert http.get("/readyz").status_code == 200


def test_no_room_for_what_arrives_is_told_as_such(
    server: Server, http: httpx2.Client, small_disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_film(tmp_path / "film.dcm", 4, 1024).read_bytes()
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk.path))
    passing = server.room.store.data_dir / PASSING
    shutil.rmtree(passing, ignore_errors=True)
    passing.symlink_to(small_disk.path)
    small_disk.fill()
    for path, name in (("/api/studies", "films"), ("/api/drafts", "film")):
        answer = http.post(path, files=[(name, film)])
        assert (answer.status_code, "is full" in answer.text) == (507, True), answer.text
    url = f"data:application/dicom;base64,{base64.b64encode(film).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    chat = {"model": "tiny", "messages": [{"role": "user", "content": content}]}
    assert http.post("/v1/chat/completions", json=chat).status_code == 507
    small_disk.clear()
    assert http.post("/v1/chat/completions", json=chat).status_code == 200
    passing.unlink()


def test_what_needs_an_account_is_kept_by_no_browser(server: Server, http: httpx2.Client, study: str) -> None:
    image = http.get(f"/api/studies/{study}").json()["images"][0]["id"]
    for path in ("/", "/api/studies", f"/api/studies/{study}", f"/api/images/{image}/film.png", "/api/none"):
        assert http.get(path).headers["cache-control"] == "no-store", path
