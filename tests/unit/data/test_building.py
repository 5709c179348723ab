from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import Example, ImageRecord, Study
from radlet.data import manifests
from radlet.data.assembly import ExampleSettings
from radlet.data.building import BuildShard, ShardCounts, build_shard, percentile, read_report
from radlet.data.manifests import STUDIES, read_records, write_records
from radlet.data.structured import TEXTS, StructuredText


def make_study(number, report="FINDINGS: Small left effusion."):
    film = ImageRecord(image_id=f"i{number}", path=f"images/i{number}.png")
    return Study(study_id=f"s{number}", patient_id=f"p{number // 2}", images=(film,), report=report)


@pytest.fixture
def shard(tmp_path):
    write_records(tmp_path / STUDIES, [make_study(0), make_study(1, report="IMPRESSION: Normal."), make_study(2)])
    (tmp_path / "journal").mkdir()
    return BuildShard(
        settings=ExampleSettings(),
        seed=0,
        ingest=tmp_path,
        selection=None,
        structure=None,
        images_dir="../ingest",
        journal=tmp_path / "journal",
        index=0,
    )


def work(shard, poisoned=None):
    return [item for item in build_shard(shard, poisoned or {}) if item]


def test_every_study_is_named_before_it_is_read_and_becomes_an_example(shard):
    assert work(shard) == ["s0", "s1", "s2"]
    examples = list(read_records(shard.examples, Example))
    assert [example.study_id for example in examples] == ["s0", "s1", "s2"]
    assert examples[0].image_paths == ("../ingest/images/i0.png",)
    report = read_report(shard)
    assert report.without_target == ({"id": "s1", "reason": "no findings in the report"},)
    assert report.rejected == ()
    assert sum(own.numbers["studies"] for own in report.counts.splits.values()) == 3


def test_the_word_of_quality_and_structure_is_found_in_whatever_row_group_it_stands(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "_BATCH_ROWS", 2)
    structure, selection = tmp_path / "structure", tmp_path / "selection.parquet"
    structure.mkdir()
    texts = [make_text(f"s{number}") for number in (-2, -1, 1, 2, 7)]
    write_records(structure / TEXTS, texts)
    pq.write_table(
        pa.table({"image_id": ["a", "i0", "i2"], "rejected": [False, True, False], "filled_view": [None, None, "PA"]}),
        selection,
        row_group_size=1,
    )
    both = replace(shard, selection=selection, structure=structure)
    assert work(both) == ["s1", "s2"]
    examples = list(read_records(both.examples, Example))
    assert [example.target for example in examples] == ["Made for s1.", "Made for s2."]
    assert [example.views for example in examples] == [(None,), ("PA",)]


def make_text(study_id):
    return StructuredText(
        study_id=study_id, sections={"findings": f"Made for {study_id}."}, jobs={}, model="m", prompts={}
    )


def test_a_finished_shard_is_passed_over(shard):
    work(shard)
    before = shard.examples.stat().st_mtime_ns
    assert work(shard) == []
    assert shard.examples.stat().st_mtime_ns == before


def test_a_poisoned_study_is_refused_by_id_and_the_others_stay(shard):
    assert work(shard, {"s1": "crashed the decoder"}) == ["s0", "s2"]
    report = read_report(shard)
    assert report.rejected == ({"id": "s1", "reason": "crashed the decoder"},)
    assert report.counts.rejected == {"crashed the decoder": 1}
    assert [example.study_id for example in read_records(shard.examples, Example)] == ["s0", "s2"]


def test_the_counts_of_nothing_have_a_summary():
    summary = ShardCounts().summary({"train": 0, "dev": 0, "test": 0})
    assert summary["targets"] == 0
    assert summary["splits"]["dev"]["target_words_mean"] is None


@given(st.lists(st.integers(0, 500), min_size=1), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_percentile_of_counts_is_that_of_numpy(values, share):
    from collections import Counter

    assert percentile(Counter(values), share) == pytest.approx(np.percentile(values, 100 * share))
