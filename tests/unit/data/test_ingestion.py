import numpy as np
import pytest

from radlet.core.errors import DataError
from radlet.core.records import ImageRecord, Question, Study
from radlet.data import ingestion
from radlet.data.ingestion import Shard, ingest_shard
from radlet.data.journals import read_journal
from radlet.data.sources.base import RawStudy, Source

FILM = np.zeros((8, 8), np.uint8)


class Reports(Source):
    kind: str = "reports"
    reports: tuple[str, ...]

    def studies(self, seed, shard=0, num_shards=1):
        for number, report in enumerate(self.reports):
            image = ImageRecord(image_id=f"i{number}", path="")
            study = Study(study_id=f"s{number}", patient_id="p", images=(image,), report=report)
            yield RawStudy(study, {image.image_id: FILM})


@pytest.fixture
def shard(tmp_path, monkeypatch):
    for folder in ("journal", "images", "masks"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(ingestion, "read_source", Reports.model_validate_json)
    source = Reports(reports=("Clear.\u2028No\u2029effusion\x85.", "Erguß rechts.", "Größe normal.")).model_dump_json()
    return Shard(source, 0, 0, 1, tmp_path, key_file=None, finder=None, raw_ids=False)


def ingest(shard) -> list[str]:
    """Work through the shard and return the films it decoded."""
    return [image_id for image_id in ingest_shard(shard, {}) if image_id]


def test_every_place_of_a_kill_leaves_a_journal_that_goes_on(shard):
    assert ingest(shard) == ["i0", "i1", "i2"]
    whole = shard.journal.read_bytes()
    for length in range(len(whole)):  # also within the characters of several bytes
        shard.journal.write_bytes(whole[:length])
        assert len(ingest(shard)) == 3 - whole[:length].count(b"\n")
        assert shard.journal.read_bytes() == whole


def test_a_journal_is_read_line_by_line_whatever_its_reports_hold(shard):
    ingest(shard)
    reports = [line["study"]["report"] for line in read_journal(shard.journal)]
    assert reports == list(Reports.model_validate_json(shard.source).reports)


def test_other_raw_data_than_the_journal_holds_are_refused(shard):
    ingest(shard)
    shard.journal.write_bytes(shard.journal.read_bytes().split(b"\n", 1)[1])
    with pytest.raises(DataError, match="raw data changed"):
        ingest(shard)


class Asked(Source):
    kind: str = "asked"

    def studies(self, seed, shard=0, num_shards=1):
        images = tuple(ImageRecord(image_id=name, path="" if name == "a" else "/no/film") for name in ("a", "b"))
        questions = tuple(
            Question(question=f"{number}?", answer="Yes", kind="closed", image_ids=films)
            for number, films in enumerate([("a",), ("a", "b"), ()])
        )
        yield RawStudy(Study(study_id="s", patient_id="p", images=images, questions=questions), {"a": FILM})


def test_a_question_about_a_film_that_was_refused_is_refused_with_it(shard, monkeypatch):
    monkeypatch.setattr(ingestion, "read_source", lambda source: Asked())
    ingest(shard)
    [line] = read_journal(shard.journal)
    assert [question["question"] for question in line["study"]["questions"]] == ["0?", "2?"]
    assert [entry["id"] for entry in line["rejected"]] == ["b", "s:q2"]
    assert line["rejected"][1]["reason"] == "a film that the question is about was refused"
