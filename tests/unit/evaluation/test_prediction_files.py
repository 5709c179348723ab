import json

import numpy as np
import pytest

from radlet.core.errors import DataError, UnknownNameError
from radlet.core.records import OBSERVATIONS, State
from radlet.data.labellers.rules import RuleLabeller
from radlet.evaluation.prediction_files import read_predictions, score_each, score_file
from radlet.evaluation.readings import Readings
from radlet.evaluation.scorers.loading import text_metrics
from radlet.evaluation.subgroups import Grouping
from radlet.metrics import METRICS

ROWS = [
    {"id": "a", "patient_id": "p", "reference": "Small left pleural effusion.", "prediction": "Left pleural effusion."},
    {"id": "b", "patient_id": "p", "reference": "The heart is enlarged.", "prediction": "The heart is enlarged."},
    {"id": "c", "patient_id": "q", "reference": "No pneumothorax.", "prediction": "There is a pneumothorax."},
]


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "predictions.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return write


def test_scores_a_file(write):
    card = score_file(write(*ROWS), num_resamples=50)
    assert (card.num_studies, card.num_patients, card.num_resamples) == (3, 2, 50)
    # References: effusion, cardiomegaly, no finding. Drafts: the first two, and a pneumothorax that is not there.
    assert card.metrics["observation_f1_micro_14"].value == pytest.approx(4 / 6)
    assert card.metrics["bleu_1"].low <= card.metrics["bleu_1"].value <= card.metrics["bleu_1"].high
    assert card.support["Pleural Effusion"].support == 1
    assert card.support["Pneumothorax"].drafted == 1
    assert card.lineage == {"file": "predictions.jsonl"}


def test_a_row_without_patient_is_its_own_patient(write):
    rows = [{key: value for key, value in row.items() if key != "patient_id"} for row in ROWS]
    assert score_file(write(*rows), num_resamples=10).num_patients == 3


def test_reads_numbers_as_ids_blank_lines_and_unicode_line_ends(write):
    row = json.dumps({"id": 7, "reference": "a\u2028b", "prediction": ""}, ensure_ascii=False)
    rows = read_predictions(write(row, ""))
    assert [(row.example_id, row.patient_id, row.reference) for row in rows] == [("7", "7", "a\u2028b")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no predictions"),
        (["", ""], "holds no predictions"),
        ([ROWS[0], "{"], "line 2: is not JSON"),
        ([ROWS[0], "[1]"], "line 2: is not a JSON object"),
        ([{"id": "a", "prediction": "x"}], "line 1: has no 'reference'"),
        ([{"reference": "x", "prediction": "x"}], "line 1: has no 'id'"),
        ([{"id": "a", "reference": None, "prediction": "x"}], "line 1: 'reference' must be a text, not NoneType"),
        ([{"id": True, "reference": "x", "prediction": "x"}], "line 1: 'id' must be"),
        ([{"id": "a", "patient_id": None, "reference": "x", "prediction": "x"}], "line 1: 'patient_id' must be"),
        ([{"id": " ", "reference": "x", "prediction": "x"}], "line 1: 'id' is empty"),
        ([{"id": "a", "patient_id": "", "reference": "x", "prediction": "x"}], "line 1: 'patient_id' is empty"),
        ([ROWS[0], ROWS[1], ROWS[0]], "line 3: its id is also that of line 1"),
        ([ROWS[0], {"id": "z", "reference": "x", "prediction": "x"}], "line 2: 'patient_id' must stand in every row"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(write, rows, message):
    with pytest.raises(DataError, match=message):
        score_file(write(*rows), num_resamples=10)


def test_errors_quote_no_text(write):
    with pytest.raises(DataError) as caught:
        score_file(write({"id": "SECRET", "reference": "SECRET", "prediction": 3}), num_resamples=10)
    assert "SECRET" not in str(caught.value)


def test_refuses_a_missing_file_and_no_resamples(tmp_path, write):
    with pytest.raises(DataError, match="cannot be read"):
        score_file(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="at least 1 is needed"):
        score_file(write(*ROWS), num_resamples=0)


def test_each_report_is_scored_alone(write):
    rows = {row["id"]: row["metrics"] for row in score_each(write(*ROWS))}
    assert list(rows) == ["a", "b", "c"]
    assert list(rows["a"]) == [name for name in text_metrics() if METRICS[name].judges == "reports"]
    assert rows["b"]["observation_f1_micro_14"] == rows["b"]["rouge_l"] == 1.0
    assert rows["c"]["observation_f1_micro_14"] == 0.0
    assert rows["b"]["critical_misses"] is None  # nothing critical to miss
    assert rows["a"]["length_words"] == 3.0
    alone = score_file(write(ROWS[0]), num_resamples=1).metrics
    assert rows["a"]["bleu_1"] == pytest.approx(alone["bleu_1"].value)
    assert rows["a"]["rule_judge_credit"] == pytest.approx(alone["rule_judge_credit"].value)


def test_only_the_metrics_asked_for(write):
    names = ["rouge_l", "bleu_1"]
    assert list(score_file(write(*ROWS), num_resamples=2, metric_names=names).metrics) == names
    assert [list(row["metrics"]) for row in score_each(write(*ROWS), names)] == [names] * 3
    with pytest.raises(UnknownNameError, match="Did you mean 'rouge_l'"):
        score_file(write(*ROWS), num_resamples=2, metric_names=["rouge_ll"])


def test_another_labeller_reads_the_observations_alone(write):
    class Edematous(RuleLabeller):
        """Sees edema everywhere."""

        sha256: str = "abc"

        def label(self, texts):
            asked.extend(texts)
            return [dict.fromkeys(OBSERVATIONS, State.UNMENTIONED) | {"Edema": State.POSITIVE} for _ in texts]

    asked = []
    blank = {"id": "d", "patient_id": "r", "reference": "Left pneumothorax.", "prediction": " \n"}
    card = score_file(write(*ROWS, blank), num_resamples=10, readings=Readings(Edematous()))
    rules = score_file(write(*ROWS, blank), num_resamples=10)
    assert card.metrics["observation_f1_micro_14"].value == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert (card.support["Edema"].support, card.support["Edema"].drafted) == (4, 3)  # a blank draft states nothing
    assert len(asked) == len(set(asked)) == 6  # each different text once, whatever the number of metrics
    assert card.labeller_sha256 == "abc"
    assert (rules.labeller, rules.labeller_sha256) == ("rules", None)
    assert card.metrics["laterality"] == rules.metrics["laterality"]
    assert card.metrics["rule_judge_errors"] == rules.metrics["rule_judge_errors"]


ODD = {
    "empty": "",
    "blank": " \n\t ",
    "controls": "The\x00 heart\x07 is\x1b enlarged.\x7f",
    "half a character": "Left \ud800 effusion.",
    "chinese": "\u5de6\u4fa7\u80f8\u8154\u79ef\u6db2\u3002",
    "spanish": "Cardiomegalia. Derrame pleural izquierdo.",
    "marks": "<b>Heart</b> [bold] {x} \\n %s",
    "other line ends": "Heart is enlarged.\r\nNo effusion.\u2028Clear\x0b\x0c\x85lungs.",
}


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_texts_have_a_score_on_either_side(write, name):
    pairs = [(ODD[name], ROWS[0]["reference"]), (ROWS[0]["reference"], ODD[name]), (ODD[name], ODD[name])]
    file = write(*({"id": i, "reference": true, "prediction": draft} for i, (true, draft) in enumerate(pairs)))
    card = score_file(file, num_resamples=2)
    for metric, estimate in card.metrics.items():
        assert estimate.value is None or METRICS[metric].low <= estimate.value <= METRICS[metric].high + 1e-9
    for row in score_each(file, ["edit_distance_words", "rouge_l"]):
        assert all(value is not None for value in row["metrics"].values())
    json.loads(card.model_dump_json())


def test_a_mark_of_byte_order_and_other_line_ends_change_nothing(tmp_path, write):
    plain = write(*ROWS)
    other = tmp_path / "other.jsonl"
    other.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    assert score_file(other, num_resamples=20).metrics == score_file(plain, num_resamples=20).metrics


def test_the_order_of_the_rows_does_not_matter(write):
    values = [
        {name: one.value for name, one in score_file(write(*rows), num_resamples=1).metrics.items()}
        for rows in (ROWS, ROWS[::-1])
    ]
    assert values[0] == pytest.approx(values[1])


def test_a_report_of_ten_thousand_words_is_scored(write):
    said = ["Small left pleural effusion.", "The heart is enlarged.", "No pneumothorax.", "Right basilar opacity."]
    draws = np.random.default_rng(0)
    true, draft = (" ".join(draws.choice(said, 2900)) for _ in range(2))
    unbroken = " ".join(f"w{number}" for number in draws.integers(0, 5000, 10_000))
    rows = [{"id": 1, "reference": true, "prediction": draft}, {"id": 2, "reference": true, "prediction": unbroken}]
    card = score_file(write(*rows), num_resamples=2)
    assert card.metrics["length_words"].value > 9000


def grouped(n=40, **columns):
    rows = [
        {"id": i, "reference": "Left pleural effusion." if i % 2 else "The heart is enlarged.", "prediction": "Clear."}
        for i in range(n)
    ]
    return [row | {name: values[i % len(values)] for name, values in columns.items()} for i, row in enumerate(rows)]


def test_columns_of_a_file_make_groups(write):
    rows = grouped(sex=["F", "M"], age_years=[30, 70.0, 61, 35], view=["PA", None], ward=["3b", 4])
    card = score_file(write(*rows), 20, grouping=Grouping(10, by=("ward",)))
    found = {name: list(result.groups) for name, result in card.subgroups.attributes.items()}
    assert found == {
        "observation": ["Cardiomegaly", "Pleural Effusion"],
        "sex": ["F", "M"],
        "ward": ["3b", "4"],
        "age": ["18 to 39", "60 to 79"],
    }
    assert "ward" not in score_file(write(*rows), 20, grouping=Grouping(10)).subgroups.attributes


def test_a_column_that_is_no_text_is_left_alone_unless_it_is_asked_for(write):
    rows = grouped(view=[["PA"]], place=[{"name": "Jane Doe"}])
    assert "view" not in score_file(write(*rows), 20).subgroups.attributes
    with pytest.raises(DataError, match="line 1: 'place' must be a text or a number") as error:
        score_file(write(*rows), 20, grouping=Grouping(by=("place",)))
    assert "Jane" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("prediction", "makes no groups"),
        ("nothing", "no row has a value"),
        ("name", "makes no group of 20 patients"),
        ("same", "makes no group of 20 patients"),
    ],
)
def test_a_column_that_makes_no_groups_is_an_error(write, column, message):
    rows = grouped(name=[f"Jane {i}" for i in range(40)], same=["x"])
    with pytest.raises(DataError, match=message) as error:
        score_file(write(*rows), 20, grouping=Grouping(by=(column,)))
    assert "Jane" not in str(error.value)
