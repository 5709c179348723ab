from pathlib import Path

import pytest
from tests.fixtures.tiny import REPORTS, make_card, make_pair

from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.core.runs import open_run
from radlet.data.manifests import write_records
from radlet.models.report_model import CARD
from radlet.retrieval.embedding import Embedder
from radlet.retrieval.lookup import film_of, nearest_studies

QUIET = Progress(quiet=True)


@pytest.fixture
def build(tmp_path: Path, tiny_examples: list[Example]) -> Path:
    run = open_run(StageConfig(runs_dir=tmp_path / "runs"), "build")
    write_records(run.path / "examples.parquet", tiny_examples)
    run.finish()
    return run.path


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A finished run with an image-text checkpoint of random weights."""
    run = open_run(StageConfig(runs_dir=tmp_path / "runs"), "pretrain")
    model, tokenizer = make_pair()
    model.save(run.path / "checkpoint", tokenizer)
    (run.path / "checkpoint" / CARD).write_text(make_card("image_text").model_dump_json())
    run.finish()
    return run.path


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many films each call embedded."""
    calls: list[int] = []
    embed = Embedder.embed_images

    def counted(self, paths, *args, **kwargs):
        calls.append(len(paths))
        return embed(self, paths, *args, **kwargs)

    monkeypatch.setattr(Embedder, "embed_images", counted)
    return calls


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def ask(encoder: Path, build: Path, query: object) -> list[str]:
    return [str(hit["study_id"]) for hit in nearest_studies(encoder, build, "train", str(query), 3, QUIET)]


@pytest.mark.parametrize(
    "words",
    [
        "effusion",
        "effusion/atelectasis",
        "effusion and/or atelectasis.",
        "/ no effusion",
        "nodule of 1.5 cm",
        "nodule 3/1.5",
        "a film as .png shows",
        "~3 cm",
        "wide " * 1000,
    ],
)
def test_words_are_words(words: str) -> None:
    assert film_of(words) is None


@pytest.mark.parametrize(
    "query",
    [
        "film.png",
        "films/FILM.DCM",
        "a film.jpeg",
        "films/1.2.840.113.7",
        "1.2.840.113.7",
        "/films/IM0001",
        "./IM0001",
        "../films/IM0001",
        "~/film",
    ],
)
def test_a_film_that_is_not_there_is_not_taken_for_words(query: str) -> None:
    with pytest.raises(DataError, match="there is no such film"):
        film_of(query)


@pytest.mark.parametrize("query", ["", " ", "\n"])
def test_an_empty_query_is_refused(query: str) -> None:
    with pytest.raises(DataError, match="empty"):
        film_of(query)


def test_a_folder_is_no_query(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: is a folder"):
        film_of(str(tmp_path))


def test_a_film_is_nearest_to_itself_and_words_find_films(build: Path, encoder: Path, tiny_films: list[Path]) -> None:
    assert ask(encoder, build, tiny_films[2])[0] == "s2"
    assert len(ask(encoder, build, REPORTS[1])) == 3


def test_the_split_is_embedded_once_and_no_run_is_touched(
    tmp_path: Path, build: Path, encoder: Path, embedded: list[int]
) -> None:
    before = files(tmp_path / "runs")
    first = ask(encoder, build, "effusion")
    assert ask(encoder / "checkpoint", build, "effusion") == first
    assert embedded == [6]
    made = files(tmp_path / "runs") - before
    assert {path.relative_to(tmp_path).parts[:2] for path in made} == {("runs", ".index")}


def test_other_weights_of_any_part_are_another_index(build: Path, encoder: Path, embedded: list[int]) -> None:
    ask(encoder, build, "effusion")
    config = encoder / "checkpoint" / "encoder" / "config.json"
    config.write_text(config.read_text() + "\n")
    ask(encoder, build, "effusion")
    assert embedded == [6, 6]


def test_a_damaged_index_is_made_anew(tmp_path: Path, build: Path, encoder: Path, embedded: list[int]) -> None:
    first = ask(encoder, build, "effusion")
    [index] = (tmp_path / "runs" / ".index").glob("*/index.safetensors")
    index.write_bytes(index.read_bytes()[:-5])
    for _ in range(2):
        assert ask(encoder, build, "effusion") == first
    assert embedded == [6, 6]


def test_a_place_that_cannot_be_written_does_not_fail_the_query(
    tmp_path: Path, build: Path, encoder: Path, embedded: list[int]
) -> None:
    (tmp_path / "runs" / ".index").write_text("in the way")
    assert ask(encoder, build, "effusion") == ask(encoder, build, "effusion")
    assert embedded == [6, 6]


def test_a_film_that_cannot_be_read_is_named_before_the_split_is_embedded(
    tmp_path: Path, build: Path, encoder: Path, embedded: list[int]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no film")
    with pytest.raises(DataError, match=r"broken\.png: "):
        ask(encoder, build, broken)
    assert embedded == [1]
