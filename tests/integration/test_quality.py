"""Quality from the outside: an ingest run in, verdicts out; and what build makes of them."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, DataError, UnknownNameError
from radlet.data.manifests import read_examples, read_records
from radlet.data.quality import measuring
from radlet.data.quality.judging import FilmQuality
from radlet.data.quality.selection import write_selection
from radlet.data.sources.synthetic import SyntheticSource
from radlet.data.splits import assign_split
from radlet.stages import build, ingest, quality

NAME = "QUEZALDA"


@pytest.fixture(scope="module")
def films():
    source = SyntheticSource(num_patients=10, size_px=128, lateral_share=1.0, ap_share=0.0, max_studies_per_patient=1)
    return [study.pixels[f"{study.study.study_id}-{view}"] for study in source.studies(4) for view in ("pa", "lateral")]


def run_ingest(root, films, runs_dir, **columns):
    """Ten studies of two films each, a frontal and a lateral of unknown view, then what is in `columns`."""
    (root / "images").mkdir(parents=True)
    rows = []
    for number, film in enumerate(films):
        Image.fromarray(film).save(root / "images" / f"{number}.png")
        study = number // 2
        rows.append(
            {"image": f"images/{number}.png", "study_id": f"s{study}", "patient_id": f"p{study}",
             "view": None if number % 2 else "PA", "findings": f"{NAME} has finding {study} of {study + 1} in all.",
             "split": "test" if study == 9 else "train"} | {name: values[number] for name, values in columns.items()}
        )  # fmt: skip
    (root / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ("image", "study_id", "patient_id", "view", "findings", "split")
    source = {"kind": "folder", "root": str(root), "tables": [{"path": "table.jsonl"}],
              "columns": {name: name for name in names}}  # fmt: skip
    config = load_config(ingest.IngestConfig, None, source=source, num_workers=1, runs_dir=runs_dir)
    return ingest.run(config, Console(file=io.StringIO()))


def run_quality(ingested, runs_dir, **values):
    console = Console(file=io.StringIO(), width=200)
    given = {"num_workers": 1, "ingest": ingested, "runs_dir": runs_dir, **values}
    config = load_config(quality.QualityConfig, None, **given)
    return quality.run(config, console), console.file.getvalue()


def rows_of(run_dir):
    return {row.image_id: row for row in read_records(run_dir / "films.parquet", FilmQuality)}


def listed(run_dir, name="flagged.jsonl"):
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def contents(run_dir):
    skipped = {"config.json", "environment.json", "inputs.json", "outputs.json", "DONE"}
    return {path.name: path.read_bytes() for path in run_dir.rglob("*") if path.is_file() and path.name not in skipped}


@pytest.fixture
def spoilt(films):
    """The films with a blank one (2), a negative (4), and a film of train that also stands in test (0 and 18)."""
    changed = list(films)
    changed[2] = np.full_like(films[0], 40)
    changed[4] = 255 - films[4]
    changed[18] = np.asarray(Image.fromarray(films[0]).resize((180, 180), Image.Resampling.BICUBIC))
    return changed


def image_ids(ingested):
    studies = pq.read_table(ingested / "studies.parquet", columns=["images"])["images"].to_pylist()
    paths = [Path(image["path"]).name for images in studies for image in json.loads(images)]
    return [image["image_id"] for images in studies for image in json.loads(images)], paths


def test_what_is_wrong_is_found_listed_and_shown(spoilt, tmp_path):
    ingested = run_ingest(tmp_path / "raw", spoilt, tmp_path / "runs")
    run_dir, shown = run_quality(ingested, tmp_path / "runs", fill_view=True)
    rows, (ids, _) = rows_of(run_dir), image_ids(ingested)
    assert list(rows) == ids
    assert len(rows) == 20
    by_failure = {name: [key for key, row in rows.items() if name in row.failed] for name in ("blank", "inverted")}
    assert by_failure == {"blank": [ids[2]], "inverted": [ids[4]]}
    assert rows[ids[2]].verdict == "reject"
    assert rows[ids[4]].verdict == "flag"
    [group] = [group for group in listed(run_dir, "duplicates.jsonl") if group["of"] == "films"]
    assert (group["kept"], group["scope"], set(group["similarity"])) == (ids[18], "several splits", {ids[0], ids[18]})
    assert rows[ids[0]].verdict == "reject"
    assert rows[ids[0]].numbers["duplicate_images"] > 0.9
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["films_by_verdict"]["reject"] == 2
    assert summary["rejected_by_check"] == {"blank": 1, "duplicate_images": 1}
    assert sum(summary["films_by_verdict"].values()) == summary["films"] == 20
    filled = [row for row in rows.values() if row.filled_view]
    assert len(filled) == summary["views_filled"] >= 8
    assert {(row.view, row.filled_view, row.view_from_pixels) for row in filled} == {(None, "LATERAL", "LATERAL")}
    assert {(row["id"], row["check"], row["action"]) for row in listed(run_dir)} >= {
        (ids[2], "blank", "reject"), (ids[4], "inverted", "flag"), (ids[0], "duplicate_images", "reject"),
    }  # fmt: skip
    assert "2 rejected" in shown
    assert not (run_dir / "journal").exists()
    page = (run_dir / "quality.html").read_text()
    pictures = [dict(attributes)["src"] for tag, attributes in tags(page) if tag == "img"]
    assert len(pictures) >= 4
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    assert all(image_id in page for image_id in (ids[0], ids[2], ids[4], ids[18]))


def tags(page):
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, attributes))

    Parser().feed(page)
    return found


def test_nothing_outside_the_ingest_run_holds_a_text(spoilt, tmp_path):
    ingested = run_ingest(tmp_path / "raw", spoilt, tmp_path / "runs")
    run_dir, shown = run_quality(ingested, tmp_path / "runs")
    assert NAME not in shown
    for path in run_dir.rglob("*"):
        assert NAME.encode() not in path.read_bytes(), path.name


def test_build_leaves_out_what_was_rejected_and_fills_views(spoilt, tmp_path):
    spoilt[3] = np.full_like(spoilt[0], 200)
    ingested = run_ingest(tmp_path / "raw", spoilt, tmp_path / "runs")
    judged, _ = run_quality(ingested, tmp_path / "runs", fill_view=True)
    console = Console(file=io.StringIO(), width=200)
    config = load_config(build.BuildConfig, None, ingest=ingested, quality=judged, runs_dir=tmp_path / "runs")
    run_dir = build.run(config, console)
    examples = {example.study_id: example for example in read_examples(run_dir)}
    assert set(examples) == {f"s{number}" for number in range(10) if number != 1}
    assert [len(examples[name].image_paths) for name in ("s0", "s2", "s9")] == [1, 2, 2]
    assert sum(example.views[-1] == "LATERAL" for example in examples.values()) >= 7
    counts = json.loads((run_dir / "summary.json").read_text())["quality"]
    assert (counts["films_rejected"], counts["studies_dropped"]) == (3, 1)
    assert counts["rejected_by_check"] == {"blank": 2, "duplicate_images": 1}
    assert "left out by quality: 3 films" in console.file.getvalue()
    card = json.loads((run_dir / "card.json").read_text())
    assert card["quality"] == counts
    assert set(card["hashes"]) == {"ingest", "quality", "build", "examples.parquet"}
    page = (run_dir / "card.html").read_text()
    assert "rejected by quality" in page
    assert "films unfit" in page
    plain = build.run(load_config(build.BuildConfig, None, ingest=ingested, runs_dir=tmp_path / "runs"), console)
    assert len(read_examples(plain)) == 10
    assert json.loads((plain / "summary.json").read_text())["quality"] is None


def test_a_run_of_another_stage_is_refused(films, tmp_path):
    ingested = run_ingest(tmp_path / "a", films[:4], tmp_path / "runs")
    judged, _ = run_quality(ingested, tmp_path / "runs")
    with pytest.raises(DataError, match="is no run of ingest"):
        run_quality(judged, tmp_path / "runs")


def test_build_refuses_the_quality_of_another_ingest(films, tmp_path):
    first = run_ingest(tmp_path / "a", films[:4], tmp_path / "runs")
    second = run_ingest(tmp_path / "b", films[4:8], tmp_path / "runs")
    judged, _ = run_quality(first, tmp_path / "runs")
    config = load_config(build.BuildConfig, None, ingest=second, quality=judged, runs_dir=tmp_path / "runs")
    with pytest.raises(DataError, match="another ingest run"):
        build.run(config, Console(file=io.StringIO()))


def test_actions_and_limits_follow_the_recipe(spoilt, tmp_path):
    ingested = run_ingest(tmp_path / "raw", spoilt, tmp_path / "runs")
    ids, _ = image_ids(ingested)
    checks = {
        "blank": {"action": "ignore"}, "inverted": {"action": "reject"}, "contrast": {"action": "ignore"},
        "duplicate_images": {"limit": 1.0}, "small": {"limit": 150, "action": "ignore"},
    }  # fmt: skip
    run_dir, _ = run_quality(ingested, tmp_path / "runs", checks=checks)
    rows = rows_of(run_dir)
    assert rows[ids[4]].verdict == "reject"
    assert rows[ids[0]].verdict == "keep"
    assert rows[ids[0]].failed["small"] == "ignore"
    assert not [row for row in listed(run_dir) if row["check"] in ("blank", "small")]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["checks"]["small"]["failed"] == 19
    assert json.loads((run_dir / "config.json").read_text())["checks"]["small"]["limit"] == 150


def test_a_misspelt_check_or_key_is_answered_with_the_right_one(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'blank'"):
        load_config(quality.QualityConfig, None, ingest=tmp_path, checks={"blanc": {}})
    with pytest.raises(ConfigError, match="Did you mean 'limit'"):
        load_config(quality.QualityConfig, None, ingest=tmp_path, checks={"blank": {"limits": 1}})


def test_too_many_rejected_films_are_an_error_that_counts(films, tmp_path):
    ingested = run_ingest(tmp_path / "raw", films[:4], tmp_path / "runs")
    with pytest.raises(
        DataError, match=r"4 of 4 films were rejected, more than max_rejected_share=0\.5 allows: 4 x small"
    ):
        run_quality(ingested, tmp_path / "runs", checks={"small": {"limit": 500, "action": "reject"}})


def test_a_finished_run_is_left_as_it_is(films, tmp_path):
    ingested = run_ingest(tmp_path / "raw", films[:4], tmp_path / "runs")
    first, _ = run_quality(ingested, tmp_path / "runs")
    again, shown = run_quality(ingested, tmp_path / "runs", num_workers=2)
    assert again == first
    assert "nothing to do" in shown


def test_the_result_depends_neither_on_the_workers_nor_on_a_kill(spoilt, tmp_path):
    ingested = run_ingest(tmp_path / "raw", spoilt, tmp_path / "runs")
    calm, _ = run_quality(ingested, tmp_path / "calm", num_workers=2)
    command = [
        sys.executable, "-m", "radlet.cli", "quality", str(write_recipe(tmp_path)),
        f"ingest={ingested}", f"runs_dir={tmp_path / 'killed'}", "num_workers=1",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    journals = tmp_path / "killed" / "quality"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not list(journals.glob("*/journal/0003.jsonl")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    resumed, _ = run_quality(ingested, tmp_path / "killed")
    assert contents(resumed) == contents(calm)


def write_recipe(folder):
    recipe = folder / "quality.toml"
    recipe.write_text('name = "run"\n')
    return recipe


def test_a_journal_cut_anywhere_goes_on_and_a_poisoned_film_is_refused(films, tmp_path):
    ingested = run_ingest(tmp_path / "raw", films[:4], tmp_path / "runs")
    (tmp_path / "journal").mkdir()
    checks = {name: check.model_dump_json() for name, check in load_config(
        quality.QualityConfig, None, ingest=ingested).checks.items()}  # fmt: skip
    shard = measuring.QualityShard(ingested, tmp_path, 0, 1, checks, 0.95)
    ids, _ = image_ids(ingested)
    assert [name for name in measuring.measure_shard(shard, {ids[1]: "crashed the decoder"}) if name] == [
        ids[0], ids[2], ids[3],
    ]  # fmt: skip
    whole = shard.journal.read_bytes()
    assert json.loads(whole.split(b"\n")[1])["refused"] == "crashed the decoder"
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        shard.journal.write_bytes(whole[:length])
        list(measuring.measure_shard(shard, {ids[1]: "crashed the decoder"}))
        assert shard.journal.read_bytes() == whole


def test_a_film_that_cannot_be_read_is_rejected_and_counted(films, tmp_path):
    ingested = run_ingest(tmp_path / "raw", films[:8], tmp_path / "runs")
    ids, paths = image_ids(ingested)
    film = ingested / "images" / paths[3]
    film.write_bytes(film.read_bytes()[:60] + bytes(film.stat().st_size - 60))
    run_dir, _ = run_quality(ingested, tmp_path / "runs")
    row = rows_of(run_dir)[ids[3]]
    assert (row.verdict, row.failed, row.numbers) == ("reject", {"unreadable": "reject"}, {})
    [entry] = [entry for entry in listed(run_dir) if entry["check"] == "unreadable"]
    assert entry["id"] == ids[3]
    assert "truncated or damaged" in entry["reason"]
    assert json.loads((run_dir / "summary.json").read_text())["checks"]["unreadable"]["failed"] == 1
    assert "not readable" in (run_dir / "quality.html").read_text()


HALVES = {"train": 0.5, "dev": 0.0, "test": 0.5}
NO_SPLITS = [None] * 20


def run_build(ingested, judged, runs_dir, **values):
    console = Console(file=io.StringIO(), width=200)
    given = {"ingest": ingested, "quality": judged, "runs_dir": runs_dir, **values}
    run_dir = build.run(load_config(build.BuildConfig, None, **given), console)
    return run_dir, json.loads((run_dir / "summary.json").read_text())["quality"], console.file.getvalue()


def with_copy_over_splits(films):
    """The films, the one of a patient of test a copy of one of a train patient who stands before; both studies."""
    splits = [assign_split(f"p{number}", HALVES, 0) for number in range(10)]
    learnt = splits.index("train")
    judged = splits.index("test", learnt)
    changed = list(films)
    buffer = io.BytesIO()
    Image.fromarray(films[2 * learnt]).resize((180, 180), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=60)
    changed[2 * judged] = np.asarray(Image.open(buffer))
    return changed, learnt, judged


def films_of(run_dir):
    return {example.study_id: [Path(path).name for path in example.image_paths] for example in read_examples(run_dir)}


def test_of_copies_over_splits_that_build_makes_the_one_in_train_goes(films, tmp_path):
    changed, learnt, judged = with_copy_over_splits(films)
    ingested = run_ingest(tmp_path / "raw", changed, tmp_path / "runs", split=NO_SPLITS)
    found, _ = run_quality(ingested, tmp_path / "runs")
    [group] = [group for group in listed(found, "duplicates.jsonl") if group["of"] == "films"]
    _, paths = image_ids(ingested)
    run_dir, counts, shown = run_build(ingested, found, tmp_path / "runs", shares=HALVES)
    kept = films_of(run_dir)
    assert (len(kept[f"s{learnt}"]), len(kept[f"s{judged}"])) == (1, 2)
    assert paths[2 * learnt] not in kept[f"s{learnt}"]
    assert counts["films_rejected"] == 1
    assert counts["duplicates"]["duplicate_images"]["several splits"] == {"groups": 1, "surplus": 1}
    assert counts["in_several_splits"]["duplicate_images"] == {"groups": 0, "pairs": 0}
    assert "leakage" not in shown
    assert {member["patient_id"] for member in group["members"]} == {f"p{learnt}", f"p{judged}"}
    card = (run_dir / "card.html").read_text()
    assert "No pair of duplicate images stands in two splits" in card


def test_copies_that_are_only_flagged_stay_and_count_as_leakage(films, tmp_path):
    changed, _, _ = with_copy_over_splits(films)
    ingested = run_ingest(tmp_path / "raw", changed, tmp_path / "runs", split=NO_SPLITS)
    found, _ = run_quality(ingested, tmp_path / "runs", checks={"duplicate_images": {"action": "flag"}})
    run_dir, counts, shown = run_build(ingested, found, tmp_path / "runs", shares=HALVES)
    assert all(len(paths) == 2 for paths in films_of(run_dir).values())
    assert counts["in_several_splits"]["duplicate_images"] == {"groups": 1, "pairs": 1}
    assert "leakage: pairs of duplicate_images that stand in two splits: 1;" in shown
    card = json.loads((run_dir / "card.json").read_text())
    assert card["leakage"]["copies"]["duplicate_images"] == {"groups": 1, "pairs": 1}
    assert "Pairs of duplicate images that stand in two splits: 1, groups: 1" in (run_dir / "card.html").read_text()
    one_split, _, _ = run_build(ingested, found, tmp_path / "runs", shares={"train": 1.0})
    standing = json.loads((one_split / "summary.json").read_text())["quality"]["in_several_splits"]
    assert standing["duplicate_images"]["pairs"] == 0


@pytest.mark.parametrize("action", ["flag", "reject"])
def test_copies_over_published_splits(films, tmp_path, action):
    changed = list(films)
    changed[18] = films[0]
    ingested = run_ingest(tmp_path / "raw", changed, tmp_path / "runs")
    found, _ = run_quality(ingested, tmp_path / "runs", checks={"duplicate_images": {"action": action}})
    run_dir, counts, _ = run_build(ingested, found, tmp_path / "runs")
    pairs = {"flag": 1, "reject": 0}[action]
    assert counts["in_several_splits"]["duplicate_images"]["pairs"] == pairs
    kept = films_of(run_dir)
    assert (len(kept["s0"]), len(kept["s9"])) == (1 + pairs, 2)


@pytest.mark.parametrize("action", ["flag", "reject"])
def test_reports_that_repeat_over_splits_are_counted_and_go_only_when_rejected(films, tmp_path, action):
    splits = [assign_split(f"p{number}", HALVES, 0) for number in range(10)]
    texts = [f"A report of its own: {'abcdefghij'[number // 2] * 40} and {number // 2}." for number in range(20)]
    for number in (0, 1, 2, 3, 8, 9, 10, 11):
        texts[number] = "The lungs are clear. The heart is of normal size. No effusion is seen."
    ingested = run_ingest(tmp_path / "raw", films, tmp_path / "runs", split=NO_SPLITS, findings=texts)
    found, _ = run_quality(ingested, tmp_path / "runs", checks={"duplicate_texts": {"action": action}})
    run_dir, counts, _ = run_build(ingested, found, tmp_path / "runs", shares=HALVES)
    of_group = [splits[number] for number in (0, 1, 4, 5)]
    assert set(of_group) == {"train", "test"}
    pairs = of_group.count("train") * of_group.count("test")
    assert counts["in_several_splits"]["duplicate_texts"]["pairs"] == (pairs if action == "flag" else 0)
    left = {f"s{number}" for number in (0, 1, 4, 5)} & set(films_of(run_dir))
    stays = f"s{(0, 1, 4, 5)[of_group.index('test')]}"
    assert left == ({"s0", "s1", "s4", "s5"} if action == "flag" else {stays})
    assert counts["studies_dropped"] == (0 if action == "flag" else 3)


def test_a_film_that_goes_for_itself_is_not_the_copy_that_stays(films, tmp_path):
    changed = list(films)
    changed[18] = np.asarray(Image.fromarray(films[0]).resize((100, 100), Image.Resampling.BICUBIC))
    ingested = run_ingest(tmp_path / "raw", changed, tmp_path / "runs")
    found, _ = run_quality(ingested, tmp_path / "runs", checks={"small": {"limit": 110, "action": "reject"}})
    run_dir, counts, _ = run_build(ingested, found, tmp_path / "runs")
    assert counts["rejected_by_check"] == {"small": 1}
    assert (len(films_of(run_dir)["s0"]), len(films_of(run_dir)["s9"])) == (2, 1)


def test_groups_of_another_version_are_an_error_that_says_what_to_do(spoilt, tmp_path):
    ingested = run_ingest(tmp_path / "raw", spoilt, tmp_path / "runs")
    found, _ = run_quality(ingested, tmp_path / "runs")
    (found / "duplicates.jsonl").write_text(json.dumps({"check": "duplicate_images"}) + "\n")
    with pytest.raises(DataError, match="Run quality again"):
        write_selection(found, lambda member: "train", tmp_path / "selection.parquet")
