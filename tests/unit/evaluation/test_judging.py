"""Judging a file: what is printed and written, and what is refused."""

import importlib.util
import json

import pytest
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import DataError
from radlet.evaluation.judging import judge_file, judge_texts, patient_context
from radlet.metrics.rule_judge import ERROR_KINDS

ROWS = [
    {"id": "a", "reference": "Small left pleural effusion.", "prediction": "Large right pleural effusion."},
    {"id": "b", "reference": "No acute cardiopulmonary abnormality.", "prediction": "The lungs are clear."},
    {"id": "c", "reference": "Tension pneumothorax.", "prediction": "Unchanged hiatal hernia."},
    {"id": "d", "reference": "Cardiomegaly.", "prediction": " "},
]


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "drafts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def test_counts_of_a_file(write):
    reports = judge_file(write(*ROWS))
    found = {report.id: {(kind, significant) for kind, _, significant in report.errors} for report in reports}
    assert found == {
        "a": {("wrong_place", True), ("wrong_degree", True)},
        "b": set(),
        "c": {("missing_finding", True), ("false_finding", False)},
        "d": {("missing_finding", True)},
    }
    scores = {report.id: report.score for report in reports}
    assert scores["b"] == 1.0
    assert scores["d"] is None
    assert 0 < scores["c"] < scores["a"] < 1


def test_without_a_word_to_judge_by_there_is_no_score(write):
    (report,) = judge_file(write({"id": 1, "reference": "Left effusion.", "prediction": " "}))
    assert report.score is None
    assert report.counts["missing_finding"].significant == 1


def test_without_a_reference_the_judgement_is_missing(write):
    (report,) = judge_file(write({"id": 1, "reference": " ", "prediction": "Left effusion."}))
    assert (report.score, report.counts, report.missing) == (None, None, "no_reference")


def test_drafts_come_from_standard_input_too(write, tmp_path):
    out = tmp_path / "judged.jsonl"
    result = CliRunner().invoke(app, ["judge", "-", "--out", str(out)], input=write(*ROWS).read_bytes())
    assert result.exit_code == 0, result.output
    assert len(out.read_text().splitlines()) == len(ROWS)


def test_the_command_prints_totals_and_writes_every_report(write, tmp_path):
    out = tmp_path / "new" / "judged.jsonl"
    result = CliRunner().invoke(app, ["judge", str(write(*ROWS)), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "missing_finding                 2              0" in result.stdout
    assert "(3 reports)" in result.stdout
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert set(rows[0]["counts"]) == set(ERROR_KINDS)
    assert "hiatal" not in out.read_text()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"age": "forty"}, "'age' must be a number of years"),
        ({"age": -1}, "'age' must be a number of years"),
        ({"age": True}, "'age' must be a number of years"),
        ({"indication": 3}, "'indication' must be a text"),
    ],
)
def test_wrong_context_is_refused_with_its_line(write, fields, message):
    with pytest.raises(DataError, match=f"line 2: {message}"):
        judge_file(write(ROWS[0], {**ROWS[1], **fields}))


def test_a_file_that_score_refuses_is_refused(write):
    with pytest.raises(DataError, match="line 2"):
        judge_file(write(ROWS[0], ROWS[0]))


@pytest.mark.parametrize(
    ("indication", "after_surgery"),
    [
        ("Status post CABG", True),
        ("Post-op day 2", True),
        ("After right upper lobectomy", True),
        ("Cough and fever", False),
        ("Preoperative, before surgery", False),
        (None, False),
    ],
)
def test_surgery_is_read_off_the_indication(indication, after_surgery):
    assert patient_context(None, indication).after_surgery is after_surgery


def test_age_makes_changes_of_age_matter_less():
    young, old = (patient_context(age, None) for age in (30, 80))
    assert (young.elderly, old.elderly) == (False, True)
    text = "Compression fracture."
    assert judge_texts(text, "Clear lungs.", old).score > judge_texts(text, "Clear lungs.", young).score


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Markedly enlarged cardiac silhouette.", "Severe cardiomegaly."),
        ("There is a 2 cm nodule in the left upper lobe.", "Left upper lobe nodule measuring 20 mm."),
        ("Bilateral pleural effusions.", "Left and right pleural effusions."),
        ("The endotracheal tube is well positioned.", "ETT tip 4 cm above the carina."),
        ("Lungs are clear. No effusion.", "Normal chest radiograph."),
        ("Hilar adenopathy on the right.", "Enlarged right hilar lymph nodes."),
    ],
)
def test_paraphrases_score_as_equals(one, other):
    assert judge_texts(one, other).score == judge_texts(other, one).score == 1.0


@pytest.fixture
def bench(repository):
    spec = importlib.util.spec_from_file_location("rule_judge_bench", repository / "bench/rule_judge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_planted_errors_are_counted_exactly(bench):
    assert bench.count_planted(200, 1, 0, ("findings", "impression")) >= 0.95


@pytest.mark.data
def test_published_cases_are_ranked(bench, shared_data):
    assert bench.rank_cases(shared_data / "text/radjudge.json", "none") >= 24
