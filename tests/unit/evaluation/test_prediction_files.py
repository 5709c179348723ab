import json

import pytest

from radlet.core.errors import DataError
from radlet.evaluation.prediction_files import read_predictions, score_file
from radlet.evaluation.subgroups import Grouping

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
