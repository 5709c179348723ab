"""Searching a small collection over HTTP: by words, and by a study's film."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.reading_room import room_config, served
from tests.fixtures.tiny import make_card, make_pair

from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.core.runs import open_run
from radlet.data.manifests import write_records
from radlet.models.report_model import CARD
from radlet.retrieval.lookup import StudyFinder

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]


@pytest.fixture
def finder(tmp_path: Path, tiny_examples: list[Example]) -> StudyFinder:
    """Six studies of a build run, embedded by an encoder of random weights."""
    build = open_run(StageConfig(runs_dir=tmp_path / "runs"), "build")
    write_records(build.path / "examples.parquet", tiny_examples)
    build.finish()
    encoder = open_run(StageConfig(runs_dir=tmp_path / "runs"), "pretrain")
    model, tokenizer = make_pair()
    model.save(encoder.path / "checkpoint", tokenizer)
    (encoder.path / "checkpoint" / CARD).write_text(make_card("image_text").model_dump_json())
    encoder.finish()
    return StudyFinder(encoder.path, build.path, "train", Progress(quiet=True))


@pytest.fixture
def http(finder: StudyFinder, tmp_path: Path) -> Iterator[httpx2.Client]:
    with (
        served(room_config(tmp_path / "room"), finder=finder) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


def test_words_find_the_studies_that_the_encoder_puts_nearest(
    http: httpx2.Client, finder: StudyFinder, tiny_examples: list[Example]
) -> None:
    reports = {example.study_id: example.report for example in tiny_examples if example.split == "train"}
    for text in ("left pleural effusion", "pneumothorax"):
        hits = http.post("/api/retrieve", json={"text": text, "k": 4}).json()
        expected = finder.nearest(text, 4)
        assert [hit["study_id"] for hit in hits] == [one["study_id"] for one in expected]
        assert [hit["similarity"] for hit in hits] == [round(one["similarity"], 4) for one in expected]
        assert all(hit["report"] == reports[hit["study_id"]] for hit in hits)
        # Where films lie on the machine is nobody's business.
        assert set(hits[0]) == {"study_id", "similarity", "report"}
    assert len(http.post("/api/retrieve", json={"text": "effusion", "k": 50}).json()) == len(reports)


@pytest.mark.parametrize("asked", [{"text": ""}, {"text": "effusion", "k": 0}, {"text": "x" * 2001}, {}])
def test_what_is_no_search_is_refused(http: httpx2.Client, asked: dict[str, object]) -> None:
    assert http.post("/api/retrieve", json=asked).status_code == 422


def test_a_film_of_the_collection_finds_itself_first(http: httpx2.Client, tiny_films: list[Path]) -> None:
    added = http.post("/api/studies", files={"films": tiny_films[3].read_bytes()}).json()[0]
    nearest = http.get(f"/api/studies/{added['study_id']}/similar", params={"k": 2}).json()
    assert (nearest[0]["study_id"], round(nearest[0]["similarity"], 3), len(nearest)) == ("s3", 1.0, 2)
    # The draft of a film that is not kept comes with the same neighbours.
    told = http.post("/api/drafts", files={"film": tiny_films[3].read_bytes()}).json()
    assert [one["study_id"] for one in told["similar"][:2]] == [one["study_id"] for one in nearest]


def test_without_a_collection_nothing_is_found(tmp_path: Path) -> None:
    with served(room_config(tmp_path / "room")) as server:
        assert httpx2.post(f"{server.url}/api/retrieve", json={"text": "effusion"}).json() == []
