import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import Server, room_config, served

from radlet.data.images import read_film
from radlet.inference.draft_stream import DraftStream
from radlet.reading.gate import GateSettings
from radlet.reading.room import RoomSettings
from radlet.reading.store import audit

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"))) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


def add(http: httpx2.Client, *films: Path, **form: str) -> list[dict[str, object]]:
    answer = http.post("/api/studies", files=[("films", (film.name, film.read_bytes())) for film in films], data=form)
    assert answer.status_code == 201, answer.text
    return answer.json()


def drafted(http: httpx2.Client, study_id: object) -> tuple[str, dict[str, object]]:
    answer = http.post(f"/api/studies/{study_id}/draft")
    assert answer.status_code == 200, answer.text
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    return "".join(event.get("text", "") for event in events), events[-1]


def test_a_study_from_upload_to_signature(server: Server, http: httpx2.Client, tiny_films: list[Path]) -> None:
    received = add(http, tiny_films[0], indication="Cough.")[0]
    study_id = received["study_id"]
    assert (received["gate"]["passed"], received["gate"]["reasons"]) == (True, [])
    assert http.get("/api/studies", params={"state": "new"}).json()["studies"][0]["indication"] == "Cough."
    text, last = drafted(http, study_id)
    draft = last["draft"]
    assert text == draft["text"]
    assert next(text[start:end] for start, end in draft["sentences"]) in text
    study = http.get(f"/api/studies/{study_id}").json()
    assert (study["state"], study["drafts"]) == ("drafted", [draft])
    assert "unverified AI draft" in draft["model"]["notice"]
    assert draft["model"]["checkpoint_digest"] == server.room.identity.checkpoint_digest
    assert "Cough." in draft["prompt"]
    edit = http.put(f"/api/studies/{study_id}/report", json={"text": "Clear.\x00", "reading_s": 3.5}).json()
    assert (edit["text"], edit["author"]) == ("Clear.", "local")
    signed = http.post(f"/api/studies/{study_id}/signature", json={"text": "Clear.", "based_on": edit["id"]})
    assert signed.status_code == 201
    again = {"text": "x", "based_on": signed.json()["id"]}
    refused = http.put(f"/api/studies/{study_id}/report", json=again)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, 409)
    assert http.post(f"/api/studies/{study_id}/reopen").status_code == 204
    assert http.get(f"/api/studies/{study_id}").json()["state"] == "edited"
    assert http.post(f"/api/drafts/{draft['id']}/feedback", json={"kind": "wrong"}).status_code == 204
    assert http.get("/api/studies").json()["by_state"]["edited"] >= 1
    assert audit.verify(server.room.store.audit_lines()).broken_at is None


def test_a_text_that_was_overtaken_is_refused_with_a_code(http: httpx2.Client, tiny_films: list[Path]) -> None:
    study = f"/api/studies/{add(http, tiny_films[5])[0]['study_id']}"
    assert http.get(study).json()["last_text"] is None
    last = http.put(f"{study}/report", json={"text": "First."}).json()["id"]
    for method, path in (("PUT", "report"), ("POST", "signature")):
        refused = http.request(method, f"{study}/{path}", json={"text": "Second."})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "overtaken")
    whole = http.get(study).json()
    assert ([one["text"] for one in whole["edits"]], whole["last_text"]) == (["First."], last)
    expected = {"state": "edited", "last_text": last, "last_draft": None, "films": 1, "colleagues": []}
    assert http.get(f"{study}/meanwhile").json() == expected


def test_evidence_lies_over_the_film_and_sums_to_one(http: httpx2.Client, tiny_films: list[Path]) -> None:
    study_id = add(http, tiny_films[1])[0]["study_id"]
    _, last = drafted(http, study_id)
    path = f"/api/studies/{study_id}/drafts/{last['draft']['id']}/sentences"
    shown = http.get(f"{path}/0").json()
    assert np.sum(shown["weights"]) == pytest.approx(1, abs=1e-3)
    assert shown["part"] == [0, 0, 1, 1]
    assert shown["insertion"][-1] == pytest.approx(shown["deletion"][0])
    assert shown["faithfulness"] == pytest.approx(
        np.trapezoid(shown["insertion"]) / 8 - np.trapezoid(shown["deletion"]) / 8, abs=1e-3
    )
    assert http.get(f"{path}/999").status_code == 404


def test_the_film_is_what_the_model_reads(http: httpx2.Client, tiny_films: list[Path], tmp_path: Path) -> None:
    image_id = add(http, tiny_films[2])[0]["image_id"]
    answer = http.get(f"/api/images/{image_id}/film.png")
    (tmp_path / "film.png").write_bytes(answer.content)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "film.png")), read_film(tiny_films[2]).pixels)
    assert answer.headers["cache-control"] == "no-store"


def test_a_viewer_gets_every_grey_of_a_film_also_beyond_its_window(http: httpx2.Client, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.dcm", 77, size_px=48, WindowCenter="2000", WindowWidth="400")
    answer = http.get(f"/api/images/{add(http, path)[0]['image_id']}/values")
    told = json.loads(answer.headers["film"])
    values = np.frombuffer(answer.content, f"<u{told['bits'] // 8}").reshape(told["rows"], told["columns"])
    greys = told["low"] + values / 65535 * (told["high"] - told["low"])
    assert np.abs(np.clip(greys, 0, 1) * 255 - read_film(path).pixels).max() <= 0.5 + 1e-2 * 255
    assert len(np.unique(values)) == len(np.unique(dcmread(path).pixel_array))
    assert told["ends"] == [1800, 2199]
    assert answer.headers["cache-control"] == "no-store"


def test_films_that_nobody_takes_are_not_gathered_in_memory(
    server: Server, http: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("radlet.serving.film_answer._WAIT_S", 0.2)
    monkeypatch.setattr("radlet.serving.film_answer._PATIENCE_S", 3.0)
    # More than the sockets' buffers hold, so that the answers cannot be out of the process.
    path = write_film(tmp_path / "film.dcm", 78, size_px=3000)
    target = f"/api/images/{add(http, path)[0]['image_id']}/values"
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as idle:
        for _ in range(6):
            one = idle.enter_context(socket.create_connection((host, int(port)), timeout=60))
            one.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert one.recv(12) == b"HTTP/1.1 200"
        refused = http.get(target)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        # Who takes nothing is left, and others get their turn.
        until = time.monotonic() + 60
        while (answer := http.get(target)).status_code == 503 and time.monotonic() < until:
            time.sleep(0.2)
    assert len(answer.content) == 2 * 3000 * 3000


def test_one_request_tells_everything_of_a_film_and_keeps_nothing(
    server: Server, http: httpx2.Client, tiny_films: list[Path]
) -> None:
    before = http.get("/api/studies").json()["total"]
    whole = http.post("/api/drafts", files={"film": tiny_films[3].read_bytes()}).json()
    assert whole["draft"]["text"]
    assert len(whole["evidence"]) == len(whole["draft"]["sentences"])
    assert whole["draft"]["id"] is None
    assert http.get("/api/studies").json()["total"] == before


def test_a_question_is_answered_in_the_same_words_each_time(http: httpx2.Client, tiny_films: list[Path]) -> None:
    study_id = add(http, tiny_films[4])[0]["study_id"]
    answers = [http.post(f"/api/studies/{study_id}/question", json={"question": "Effusion?"}).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert "unverified AI draft" in answers[0]["notice"]


def test_one_bad_film_keeps_all_of_them_out(http: httpx2.Client, tiny_films: list[Path]) -> None:
    before = http.get("/api/studies").json()["total"]
    bad = http.post("/api/studies", files=[("films", tiny_films[0].read_bytes()), ("films", b"no film at all")])
    assert bad.status_code == 422
    assert "Film 2 of 2" in bad.text
    assert http.get("/api/studies").json()["total"] == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"%PDF-1.7 and more", "a PDF document"),
        (b"GIF89a" + bytes(200), "a GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "a HEIC photograph"),
        (b"The heart is not enlarged.", "text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "truncated or damaged"),
    ],
)
def test_what_is_no_film_is_refused_by_its_name_and_not_drafted(http: httpx2.Client, content: bytes, said: str) -> None:
    for path, field in (("/api/studies", "films"), ("/api/drafts", "film")):
        answer = http.post(path, files={field: content})
        assert (answer.status_code, said in answer.json()["error"]["message"]) == (422, True)


def test_a_refused_film_is_not_drafted_and_says_why(tmp_path: Path, tiny_films: list[Path]) -> None:
    settings = RoomSettings(gate=GateSettings(checks={}))
    with served(room_config(tmp_path / "room", room=settings)) as server, httpx2.Client(base_url=server.url) as http:
        received = add(http, tiny_films[0])[0]
        assert received["gate"]["passed"] is False
        assert {reason["code"] for reason in received["gate"]["reasons"]} == {"not_chest"}
        answer = http.post(f"/api/studies/{received['study_id']}/draft")
        assert (answer.status_code, "refused" in answer.text) == (422, True)
        assert http.get(f"/api/studies/{received['study_id']}").json()["state"] == "refused"
        whole = http.post("/api/drafts", files={"film": tiny_films[0].read_bytes()}).json()
        assert (whole["draft"], whole["gate"]["passed"]) == (None, False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/studies/none", 404),
        ("POST", "/api/studies/none/draft", 404),
        ("PUT", "/api/studies/none/report", 404),
        ("POST", "/api/studies/none/signature", 404),
        ("GET", "/api/images/none/film.png", 404),
        ("GET", "/api/images/none/values", 404),
        ("POST", "/api/drafts/none/feedback", 404),
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/studies", 405),
    ],
)
def test_what_is_not_there_is_said(http: httpx2.Client, method: str, path: str, status: int) -> None:
    body = {"kind": "wrong"} if path.endswith("feedback") else {"text": "x"}
    answer = http.request(method, path, json=body if method in ("PUT", "POST") else None)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_many_who_wait_for_the_model_keep_nobody_else_waiting(
    server: Server, http: httpx2.Client, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = add(http, tiny_films[6])[0]["study_id"]
    opened, step = threading.Event(), DraftStream.step

    def held(stream: DraftStream) -> object:
        assert opened.wait(30)
        return step(stream)

    monkeypatch.setattr(DraftStream, "step", held)
    codes: list[int] = []

    def ask() -> None:
        with httpx2.Client(base_url=server.url, timeout=60) as own:
            codes.append(own.post(f"/api/studies/{study_id}/question", json={"question": "Effusion?"}).status_code)

    asking = [threading.Thread(target=ask) for _ in range(45)]
    for one in asking:
        one.start()
    try:
        deadline = time.monotonic() + 20
        while (state := server.room.queue.state).waiting + state.running < 45:
            assert time.monotonic() < deadline, state
            time.sleep(0.01)
        assert http.get("/healthz", timeout=10).status_code == 200
        assert http.get(f"/api/studies/{study_id}", timeout=10).status_code == 200
    finally:
        opened.set()
        for one in asking:
            one.join()
    assert codes == [200] * 45
