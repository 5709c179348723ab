"""Build from the outside: an ingest run in, examples out."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from radlet.core.config import load_config
from radlet.core.errors import DataError
from radlet.core.runs import run_digest
from radlet.data import manifests
from radlet.data.manifests import STUDIES, count_row_groups, read_examples, read_studies
from radlet.stages import build, ingest

NAME = "QUEZALDA"


def run_ingest(root, rows, runs_dir):
    (root / "images").mkdir(parents=True)
    for number, row in enumerate(rows):
        row["image"] = f"images/{number}.png"
        Image.new("L", (48, 40), color=number % 256).save(root / row["image"])
    (root / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ("study_id", "patient_id", "view", "findings", "impression", "split", "labels")
    further = [name for name in ("indication", "site") if name in rows[0]]
    columns = {name: name for name in ("image", *names, *further)}
    source = {"kind": "folder", "root": str(root), "tables": [{"path": "table.jsonl"}], "columns": columns}
    config = load_config(ingest.IngestConfig, None, source=source, num_workers=1, runs_dir=runs_dir)
    return ingest.run(config, Console(file=io.StringIO()))


def run_build(ingest_dir, runs_dir, **values):
    console = Console(file=io.StringIO(), width=300)
    config = load_config(build.BuildConfig, None, ingest=ingest_dir, runs_dir=runs_dir, **values)
    return build.run(config, console), console.file.getvalue()


def make_rows(count=30, **values):
    text = f"Small left effusion, as {NAME} was told."
    given = {"view": "PA", "findings": text, "impression": None, "split": None, "labels": {"Mass": 1}}
    return [{**given, "study_id": f"s{n}", "patient_id": f"p{n // 2}", **values} for n in range(count)]


def test_examples_summary_and_table_agree(tmp_path):
    rows = make_rows()
    rows[0]["findings"] = None
    rows += [{**rows[3], "view": "LATERAL"}]
    ingested = run_ingest(tmp_path / "raw", rows, tmp_path / "runs")
    run_dir, shown = run_build(ingested, tmp_path / "runs", labels="both", shares={"train": 0.6, "test": 0.4})
    examples = {example.study_id: example for example in read_examples(run_dir)}
    assert len(examples) == 30
    assert [Path(path).is_file() for path in examples["s3"].image_paths] == [True, True]
    assert examples["s3"].views == ("PA", "LATERAL")
    assert examples["s0"].target is None
    summary = json.loads((run_dir / "summary.json").read_text())
    counts = Counter(example.split for example in examples.values())
    assert {split: numbers["studies"] for split, numbers in summary["splits"].items()} == {
        "train": counts["train"], "dev": 0, "test": counts["test"],
    }  # fmt: skip
    assert summary["labels"]["source Mass"]["train"] == {"known": counts["train"], "prevalence": 1.0}
    assert summary["section"] == "findings"
    assert summary["without_target_by_reason"] == {"no report": 1}
    assert json.loads((run_dir / "without_target.jsonl").read_text()) == {"id": "s0", "reason": "no report"}
    assert "Pleural Effusion" in shown
    by_patient = {(example.patient_id, example.split) for example in examples.values()}
    assert len(by_patient) == 15


def test_report_text_stands_in_the_examples_alone(tmp_path):
    ingested = run_ingest(tmp_path / "raw", make_rows(), tmp_path / "runs")
    run_dir, shown = run_build(ingested, tmp_path / "runs")
    assert NAME in (read_examples(run_dir)[0].target or "")
    readable = [path for path in [*run_dir.rglob("*"), *ingested.rglob("*")] if path.suffix in (".json", ".jsonl")]
    assert len(readable) >= 8
    assert not [path for path in readable if NAME in path.read_text()]
    assert NAME not in shown


def test_a_finished_build_is_left_as_it_is_and_the_folder_may_move(tmp_path):
    ingested = run_ingest(tmp_path / "raw", make_rows(4), tmp_path / "runs")
    first, _ = run_build(ingested, tmp_path / "runs")
    again, shown = run_build(ingested, tmp_path / "runs")
    assert again == first
    assert "nothing to do" in shown
    moved = (tmp_path / "runs").rename(tmp_path / "moved")
    examples = read_examples(moved / first.relative_to(tmp_path / "runs"))
    assert all(Path(path).is_file() for example in examples for path in example.image_paths)


def test_a_patient_in_two_published_splits_is_an_error(tmp_path):
    rows = make_rows(4, split="train")
    rows[1]["split"] = "test"
    ingested = run_ingest(tmp_path / "raw", rows, tmp_path / "runs")
    with pytest.raises(DataError, match="Splits leak: 1 of kind patient"):
        run_build(ingested, tmp_path / "runs")


def test_studies_without_the_section_are_an_error(tmp_path):
    ingested = run_ingest(tmp_path / "raw", make_rows(4), tmp_path / "runs")
    with pytest.raises(DataError, match="no study has a section 'impression'"):
        run_build(ingested, tmp_path / "runs", section="impression")


def test_a_set_of_labels_without_any_report_is_built_for_the_encoder(tmp_path):
    rows = make_rows(4, findings=None)
    ingested = run_ingest(tmp_path / "raw", rows, tmp_path / "runs")
    run_dir, _ = run_build(ingested, tmp_path / "runs", labels="source")
    assert [example.labels for example in read_examples(run_dir)] == [{"Mass": 1}] * 4
    with pytest.raises(DataError, match="set labels = 'source'"):
        run_build(ingested, tmp_path / "runs", labels="observations")


def test_questions_are_counted_as_examples_and_their_studies_once(tmp_path):
    rows = make_rows(6)
    (tmp_path / "raw" / "images").mkdir(parents=True)
    for number in range(6):
        Image.new("L", (48, 40), color=number).save(tmp_path / "raw" / "images" / f"{number}.png")
    asked = [
        {"image": f"images/{number}.png", "patient_id": row["patient_id"], "question": question, "answer": "yes"}
        for number, row in enumerate(rows)
        for question in ("Is there an effusion?", f"Was it {NAME}?")
    ]
    (tmp_path / "raw" / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    columns = {name: name for name in ("image", "patient_id", "question", "answer")}
    source = {"kind": "folder", "root": str(tmp_path / "raw"), "tables": [{"path": "table.jsonl"}], "columns": columns}
    config = load_config(ingest.IngestConfig, None, source=source, num_workers=1, runs_dir=tmp_path / "runs")
    ingested = ingest.run(config, Console(file=io.StringIO()))
    assert json.loads((ingested / "summary.json").read_text())["questions"] == 12
    run_dir, shown = run_build(ingested, tmp_path / "runs", section="answer", labels="source")
    summary = json.loads((run_dir / "summary.json").read_text())
    totals = {name: sum(row[name] for row in summary["splits"].values()) for name in ("studies", "films", "targets")}
    assert totals == {"studies": 6, "films": 6, "targets": 12}
    assert len(read_examples(run_dir)) == 12
    readable = [path for path in run_dir.rglob("*") if path.suffix in (".json", ".jsonl", ".html")]
    assert readable
    assert not [path for path in readable if NAME in path.read_text()]
    assert NAME not in shown
    with pytest.raises(DataError, match="no study has a section 'findings'"):
        run_build(ingested, tmp_path / "runs", section="findings")


@pytest.mark.data
def test_the_real_recipe_reads_every_film(shared_data, repository, tmp_path):
    given = [
        f"source.root={shared_data / 'iu_xray'}",
        f"runs_dir={tmp_path}",
        "source.tables=[{path='dev.jsonl', split='train'}]",
    ]
    config = load_config(ingest.IngestConfig, repository / "recipes/iu_xray/ingest.toml", given)
    ingested = ingest.run(config, Console(file=io.StringIO()))
    config = load_config(
        build.BuildConfig, repository / "recipes/iu_xray/build.toml", [f"runs_dir={tmp_path}"], ingest=ingested
    )
    examples = read_examples(build.run(config, Console(file=io.StringIO())))
    assert (len(examples), sum(len(example.image_paths) for example in examples)) == (349, 685)
    assert {example.split for example in examples} == {"train", "dev"}
    assert all(example.views[0] != "LATERAL" for example in examples if len(example.views) > 2)
    assert sum(example.labels["source Cardiomegaly"] for example in examples) > 20


def test_the_data_card_counts_and_names_nobody(tmp_path):
    rows = make_rows(indication=f"{NAME} coughs", patient_id="WEXFORD-1", site="STANMORE")
    rows[0]["findings"] = None
    ingested = run_ingest(tmp_path / "BRUMAIRE" / "raw", rows, tmp_path / "BRUMAIRE" / "runs")
    run_dir, _ = run_build(ingested, tmp_path / "BRUMAIRE" / "runs", labels="both")
    card = json.loads((run_dir / "card.json").read_text())
    page = (run_dir / "card.html").read_text()
    assert card["leakage"] == {"patients": 1, "studies": 30, "films": 30, "in_several_splits": 0, "copies": None}
    assert sum(sum(one.values()) for one in card["flow"]["without_target"].values()) == 1
    assert sum(row["targets"] for row in card["splits"].values()) == 29
    assert sum(sum(views.values()) for views in card["views"].values()) == 30
    assert card["source"] == {"kind": "folder", "terms": None, "pseudonymised": False}
    for name in (NAME, "WEXFORD", "STANMORE", "BRUMAIRE", "Small left", "s17", str(tmp_path)):
        assert name not in page, name
        assert name not in json.dumps(card), name


def test_the_card_tells_the_digests_and_changes_none(tmp_path):
    ingested = run_ingest(tmp_path / "raw", make_rows(), tmp_path / "runs")
    run_dir, _ = run_build(ingested, tmp_path / "runs")
    hashes = json.loads((run_dir / "card.json").read_text())["hashes"]
    assert hashes["build"] == run_digest(run_dir)
    assert hashes["ingest"] == run_digest(ingested)
    listed = json.loads((run_dir / "outputs.json").read_text())
    assert hashes["examples.parquet"] == listed["examples.parquet"]["sha256"]
    assert not [name for name in listed if name.startswith("card")]
    first = (run_dir / "card.html").read_bytes()
    again, shown = run_build(ingested, tmp_path / "runs")
    assert "already done" in shown
    (run_dir / "DONE").unlink()
    anew, _ = run_build(ingested, tmp_path / "runs")
    assert again == anew == run_dir
    assert (run_dir / "card.html").read_bytes() == first


def test_references_to_earlier_exams_are_removed_by_recipe(tmp_path):
    rows = make_rows(findings="Unchanged small left effusion. No interval change.")
    rows[0]["findings"] = "No interval change."
    ingested = run_ingest(tmp_path / "raw", rows, tmp_path / "runs")
    run_dir, shown = run_build(ingested, tmp_path / "runs", prior_references="remove")
    targets = Counter(example.target for example in read_examples(run_dir))
    assert targets == {"Small left effusion.": 29, None: 1}
    counted = json.loads((run_dir / "summary.json").read_text())["prior_references"]
    assert (counted["rate_before"], counted["rate_after"]) == (1.0, 0.0)
    assert (counted["rewritten"], counted["dropped"], counted["kept"], counted["emptied"]) == (29, 30, 0, 1)
    assert "100.0% before, 0.0% after" in shown
    assert json.loads((run_dir / "config.json").read_text())["prior_references"] == "remove"
    kept, _ = run_build(ingested, tmp_path / "runs")
    counted = json.loads((kept / "summary.json").read_text())["prior_references"]
    assert (counted["rate_after"], counted["kept"]) == (1.0, 59)


@pytest.mark.data
def test_real_questions_become_examples(shared_data, tmp_path):
    columns = {"image": "image", "patient_id": "patient_id", "question": "question", "answer": "answer",
               "answer_kind": "answer_type", "topic": "question_type"}  # fmt: skip
    tables = [{"path": "train.jsonl", "split": "train"}, {"path": "dev.jsonl", "split": "dev"}]
    source = {"kind": "folder", "root": str(shared_data / "vqa" / "vqa_rad"), "tables": tables, "columns": columns}
    config = load_config(ingest.IngestConfig, None, source=source, num_workers=1, runs_dir=tmp_path)
    ingested = ingest.run(config, Console(file=io.StringIO()))
    run_dir, _ = run_build(ingested, tmp_path, section="answer")
    splits = json.loads((run_dir / "summary.json").read_text())["splits"]
    assert (splits["train"]["studies"], splits["train"]["targets"]) == (228, 1602)
    assert (splits["dev"]["studies"], splits["dev"]["targets"]) == (36, 266)


def contents(run_dir):
    listed = json.loads((run_dir / "outputs.json").read_text())
    return {name: entry for name, entry in listed.items() if name not in ("config.json", "inputs.json")}


def test_the_result_does_not_depend_on_the_number_of_workers_or_on_a_kill(tmp_path, monkeypatch):
    rows = make_rows(indication="Cough")
    rows[20]["findings"] = None
    rows[3]["labels"] = {"Nodule": 1}
    monkeypatch.setattr(manifests, "_BATCH_ROWS", 8)  # a shard is a row group of the studies
    ingested = run_ingest(tmp_path / "raw", rows, tmp_path / "runs")
    assert count_row_groups(ingested / STUDIES) == 4
    settings = {"labels": "both", "prior_references": "remove"}
    one, _ = run_build(ingested, tmp_path / "one", num_workers=1, **settings)
    three, _ = run_build(ingested, tmp_path / "two", num_workers=3, **settings)
    assert contents(one) == contents(three)
    assert [example.study_id for example in read_examples(one)] == [s.study_id for s in read_studies(ingested)]
    assert not (one / "journal").exists()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "join_records", stop)
    with pytest.raises(KeyboardInterrupt):
        run_build(ingested, tmp_path / "six", num_workers=1, **settings)
    monkeypatch.undo()
    monkeypatch.setattr(manifests, "_BATCH_ROWS", 8)
    [unfinished] = (tmp_path / "six" / "build").iterdir()
    (unfinished / "journal" / "000001.json").unlink()  # as if the kill had come within the second shard
    before = (unfinished / "journal" / "000000.parquet").stat().st_mtime_ns
    seen = []
    real = build.join_records
    monkeypatch.setattr(
        build,
        "join_records",
        lambda path, parts: (
            seen.append((path.parent / "journal" / "000000.parquet").stat().st_mtime_ns),
            real(path, parts),
        ),
    )
    resumed, _ = run_build(ingested, tmp_path / "six", num_workers=2, **settings)
    assert seen == [before]
    assert resumed == unfinished
    assert contents(resumed) == contents(one)


@pytest.mark.parametrize("field", ["ingest", "quality", "structure"])
def test_a_run_of_another_stage_is_refused_before_any_work(tmp_path, field):
    ingested = run_ingest(tmp_path / "raw", make_rows(4), tmp_path / "runs")
    built, _ = run_build(ingested, tmp_path / "runs")
    for wrong in {ingested, built} - ({ingested} if field == "ingest" else set()):
        given = {"ingest": ingested, "runs_dir": tmp_path / "runs", field: wrong}
        config = load_config(build.BuildConfig, None, **given)
        with pytest.raises(DataError, match=f"is no run of {field}"):
            build.run(config, Console(file=io.StringIO()))
    assert list((tmp_path / "runs" / "build").iterdir()) == [built]
