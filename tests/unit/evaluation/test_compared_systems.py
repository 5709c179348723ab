import json
from pathlib import Path

import pytest

from radlet.core import runs
from radlet.core.config import StageConfig
from radlet.core.errors import DataError
from radlet.core.records import Example, Finding
from radlet.core.runs import open_run
from radlet.data.manifests import EXAMPLES, write_records
from radlet.evaluation.compared_systems import align, read_system, read_systems, reads_observations, with_baselines
from radlet.evaluation.scorecard import Scorecard

REFERENCES = {"a": "There is a left pleural effusion.", "b": "The heart is enlarged.", "c": "The lungs are clear."}


def write_file(path: Path, drafts: dict[str, str], patients: dict[str, str] | None = None, **references: str) -> Path:
    rows = [
        {"id": one, "reference": (REFERENCES | references)[one], "prediction": text}
        | ({"patient_id": patients[one]} if patients else {})
        for one, text in drafts.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_card(**changes: object) -> Scorecard:
    values = {
        "task": "findings",
        "split": "test",
        "num_studies": 3,
        "num_reports": 3,
        "num_patients": 3,
        "num_resamples": 10,
        "metrics": {"bleu_1": {"value": 0.5, "low": 0.4, "high": 0.6}},
    }
    return Scorecard.model_validate(values | changes)


def write_run(folder: Path, drafts: dict[str, str], **card: object) -> Path:
    write_file(folder / "predictions.jsonl", drafts)
    write_file(folder / "baselines" / "constant.jsonl", dict.fromkeys(drafts, "Nothing."))
    make_card(**card).save(folder / "scorecard.json")
    return folder


def test_drafts_are_aligned_by_id_in_the_order_of_the_first(tmp_path: Path) -> None:
    first = write_file(tmp_path / "first.jsonl", {"b": "B1", "a": "A1", "c": "C1"})
    second = write_file(tmp_path / "second.jsonl", {"c": "C2", "b": "B2", "a": "A2"})
    lineup = align(read_systems([str(first), f"named={second}"]))
    assert lineup is not None
    assert (list(lineup.ids), list(lineup.rows)) == (["b", "a", "c"], [1, 2, 3])
    assert lineup.texts == {"first": [["B1", "A1", "C1"]], "named": [["B2", "A2", "C2"]]}
    assert list(lineup.references) == [REFERENCES[one] for one in "bac"]
    assert lineup.notes == ()


def test_only_the_reports_that_all_answered_count_and_that_is_said(tmp_path: Path) -> None:
    first = write_file(tmp_path / "first.jsonl", {"a": "", "b": "B1", "c": "C1"})
    second = write_file(tmp_path / "second.jsonl", {"c": "C2", "b": "B2"})
    lineup = align(read_systems([str(first), str(second)]))
    assert lineup is not None
    assert (list(lineup.ids), list(lineup.rows)) == (["b", "c"], [2, 3])
    assert lineup.notes == ("only the 2 reports that every system answered are compared (first has 3, second has 2)",)


def test_no_common_report_is_an_error_with_the_counts(tmp_path: Path) -> None:
    first = write_file(tmp_path / "first.jsonl", {"a": "", "b": ""})
    second = write_file(tmp_path / "second.jsonl", {"c": ""})
    with pytest.raises(DataError, match=r"No report id is common to all systems: first \(2\), second \(1\)"):
        align(read_systems([str(first), str(second)]))


def test_another_reference_for_one_id_is_refused_by_id_and_without_text(tmp_path: Path) -> None:
    first = write_file(tmp_path / "first.jsonl", {"a": "", "b": "", "c": ""})
    second = write_file(tmp_path / "second.jsonl", {"a": "", "b": "", "c": ""}, b="Another secret text.")
    with pytest.raises(DataError, match=r"disagree on the reference of 1 of 3 reports \(b\)") as caught:
        align(read_systems([str(first), str(second)]))
    assert "secret" not in str(caught.value)
    assert "heart" not in str(caught.value)


def test_spacing_alone_is_no_other_reference(tmp_path: Path) -> None:
    first = write_file(tmp_path / "first.jsonl", {"b": ""})
    second = write_file(tmp_path / "second.jsonl", {"b": ""}, b=" The heart\nis  enlarged. ")
    assert align(read_systems([str(first), str(second)])) is not None


def test_patients_come_from_the_files_that_know_them(tmp_path: Path) -> None:
    peer = write_file(tmp_path / "peer.jsonl", {"a": "", "b": ""})
    own = write_file(tmp_path / "own.jsonl", {"a": "", "b": ""}, {"a": "p", "b": "p"})
    lineup = align(read_systems([str(peer), str(own)]))
    assert lineup is not None
    assert list(lineup.patients) == ["p", "p"]


def test_systems_that_disagree_on_a_patient_are_refused(tmp_path: Path) -> None:
    first = write_file(tmp_path / "first.jsonl", {"a": "", "b": ""}, {"a": "p", "b": "p"})
    second = write_file(tmp_path / "second.jsonl", {"a": "", "b": ""}, {"a": "p", "b": "q"})
    with pytest.raises(DataError, match=r"disagree on the patient of 1 of 2 reports \(b\)"):
        align(read_systems([str(first), str(second)]))


def test_one_system_and_one_name_twice_are_refused(tmp_path: Path) -> None:
    file = write_file(tmp_path / "x" / "predictions.jsonl", {"a": ""})
    with pytest.raises(DataError, match="One system cannot be compared"):
        read_systems([str(file)])
    with pytest.raises(DataError, match=r"Two systems are called x\. Name them: NAME=PATH"):
        read_systems([str(file), f"x={file}"])
    assert [one.name for one in read_systems([str(file), f"y={file}"])] == ["x", "y"]


def test_a_scorecard_beside_its_drafts_is_read_with_them_and_without_them_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"a": "", "b": ""})
    assert len(read_system(str(run / "scorecard.json")).drafts) == 1
    (tmp_path / "alone").mkdir()
    make_card().save(tmp_path / "alone" / "scorecard.json")
    alone = read_system(str(tmp_path / "alone" / "scorecard.json"))
    assert (alone.name, alone.drafts) == ("alone", ())
    assert align([alone, alone]) is None


def test_the_folder_that_a_pipeline_leaves_stands_for_its_evaluate_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo" / "runs" / "evaluate" / "tiny-1", {"a": "Drafted."})
    (tmp_path / "demo" / "scorecard.json").write_bytes((run / "scorecard.json").read_bytes())
    system = read_system(str(tmp_path / "demo"))
    assert (system.name, system.drafts[0][0].text) == ("demo", "Drafted.")


@pytest.mark.parametrize("key", ["split", "task", "section"])
def test_runs_on_different_data_are_refused(tmp_path: Path, key: str) -> None:
    first = write_run(tmp_path / "first", {"a": ""}, section="findings")
    second = write_run(tmp_path / "second", {"a": ""}, **({"section": "findings"} | {key: "dev"}))
    with pytest.raises(DataError, match=f"different {key}s: first .*, second dev"):
        align(read_systems([str(first), str(second)]))


def test_other_versions_of_the_task_are_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", {"a": ""}, task_version=1)
    second = write_run(tmp_path / "second", {"a": ""}, task_version=2)
    lineup = align(read_systems([str(first), str(second)]))
    assert lineup is not None
    assert "versions of the task differ (first 1, second 2)" in lineup.notes[0]


def test_equal_baselines_stand_once_and_others_tell_whose_they_are(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, {"a": "", "b": ""}) for name in ("first", "second")]
    for number, run in enumerate(folders):
        write_file(run / "baselines" / "no_image.jsonl", {"a": f"{number}", "b": ""})
    systems = with_baselines(read_systems([str(run) for run in folders]))
    assert [one.name for one in systems] == [
        "first",
        "second",
        "constant",
        "no_image of first",
        "no_image of second",
    ]
    assert [one.baseline_of for one in systems] == [None, None, "first", "first", "second"]


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"a": ""})
    (run / "inputs.json").write_text("{}")
    with pytest.raises(DataError, match="is not finished"):
        read_system(str(run))


def test_the_truth_comes_from_the_examples_behind_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_environment", dict)  # listing every installed package takes its time
    config = StageConfig(name="x", runs_dir=tmp_path / "runs")
    build = open_run(config, "build")
    truth = (Finding(kind="effusion", observation="Pleural Effusion", side="left"),)
    examples = [
        Example(
            example_id=one,
            study_id=one,
            patient_id=one,
            split="test",
            image_paths=("x.png",),
            views=("PA",),
            truth=truth if one == "a" else (),
        )
        for one in "ab"
    ]
    write_records(build.path / EXAMPLES, examples)
    build.finish()
    run = open_run(config, "evaluate", {"examples": build.path})
    f1 = {"value": 0.5, "low": 0.4, "high": 0.6}
    write_run(run.path, {"b": "", "a": ""}, metrics={"truth_f1_micro": f1, "observation_f1_micro_14": f1})
    run.finish()
    other = write_file(tmp_path / "other.jsonl", {"a": "", "b": ""})
    lineup = align(read_systems([str(other), str(run.path)]))
    assert lineup is not None
    assert lineup.truth == [truth, ()]
    few = write_file(tmp_path / "few.jsonl", {"a": "", "c": ""})
    bare = align(read_systems([str(few), str(other)]))
    assert bare is not None
    assert bare.truth is None


def test_drafts_whose_run_did_not_judge_findings_are_not_judged_by_them(tmp_path: Path) -> None:
    answers = read_system(str(write_run(tmp_path / "answers", {"a": ""})))
    f1 = {"observation_f1_micro_14": {"value": 0.5, "low": 0.4, "high": 0.6}}
    reports = read_system(str(write_run(tmp_path / "reports", {"a": ""}, metrics=f1)))
    bare = read_system(str(write_file(tmp_path / "bare.jsonl", {"a": ""})))
    assert not reads_observations([answers, bare])
    assert reads_observations([reports, bare])
    assert reads_observations([bare])
