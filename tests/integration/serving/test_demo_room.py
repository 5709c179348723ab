"""`radlet serve DEMO`: what somebody meets who has just run the demo."""

import json
import re
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.demo_folder import NUM_TEST, NUM_TRAIN, make_demo
from tests.fixtures.serve_process import serving

from radlet.core.console import Progress
from radlet.reading.drift.placing import place_beside
from radlet.reading.drift.reference import Sample, make_reference
from radlet.reading.gate import GateSettings
from radlet.reading.served_model import ServedModel

ASKED_FOR = re.compile(r"""/static/([\w.]+)|(?:from|import) "\./([\w.]+)\"""")


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_demos_folder_opens_as_a_reading_room_with_its_test_films(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    demo.mkdir()
    done = make_demo(demo)
    model = ServedModel.load(demo / "checkpoint")
    card = make_reference(model, done["build"], GateSettings(), Sample(), Progress(quiet=True))
    card.write(place_beside(demo / "checkpoint"))
    with serving(demo, tmp_path) as service, httpx2.Client(timeout=120) as http:
        http.base_url = f"http://127.0.0.1:{service.port}"
        assert f"held against {NUM_TRAIN} films" in service.log.read_text()
        listed = http.get("/api/studies").json()
        assert listed["total"] == NUM_TEST
        study = http.get(f"/api/studies/{listed['studies'][-1]['id']}").json()
        assert study["indication"] == "Cough."
        assert len(study["images"]) == 1
        film = http.get(f"/api/images/{study['images'][0]['id']}/film.png")
        assert film.headers["content-type"] == "image/png"
        told = http.post(f"/api/studies/{study['id']}/draft").text.strip().rpartition("data: ")[2]
        assert json.loads(told)["draft"]["model"]["name"] == "radlet-demo"
        assert http.get(f"/api/studies/{study['id']}/similar").json()
        assert http.get("/api/drift").json()["reference"]["films"] == NUM_TRAIN
        assert len(fetched(http, "/") | fetched(http, "/dashboard")) > 10
    assert (demo / "reading_room" / "store.sqlite").is_file()
    # Filled once: what a reader did there is still there.
    with serving(demo, tmp_path) as service:
        listed = httpx2.get(f"http://127.0.0.1:{service.port}/api/studies", timeout=120).json()
        assert sorted(line["state"] for line in listed["studies"]) == ["drafted", *["new"] * (NUM_TEST - 1)]


def fetched(http: httpx2.Client, page: str) -> set[str]:
    """Fetch a page and all that it and its scripts ask for; return their paths."""
    known, left = {page}, [page]
    while left:
        answer = http.get(left.pop())
        assert answer.status_code == 200, answer.url
        if "svg" in answer.headers["content-type"]:
            continue
        for found in ASKED_FOR.findall(answer.text):
            path = f"/static/{''.join(found)}"
            if path not in known:
                known.add(path)
                left.append(path)
    return known
