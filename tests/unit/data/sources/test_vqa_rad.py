import json

import pytest
from tests.fixtures.published_runs import ingest_and_build, read_source
from tests.fixtures.vqa_rad_tree import FILE, write_vqa_rad

from radlet.core.errors import DataError


def read(root, **values):
    return read_source(kind="vqa_rad", root=root, **values)


@pytest.fixture
def tree(tmp_path):
    return write_vqa_rad(tmp_path / "vqa")


def test_the_rows_of_a_film_are_its_questions(tree):
    studies, _ = read(tree)
    assert set(studies) == {"a.jpg", "b.jpg", "c.jpg", "d.jpg", "f.jpg"}
    asked = [(one.question, one.answer, one.kind, one.topic) for one in studies["a.jpg"].questions]
    assert asked == [
        ("Is there an effusion?", "Yes", "closed", "PRES"),
        ("How many masses are there?", "2", "open", "COUNT, PRES"),
        ("On which side is the effusion?", "Left", "closed", "PRES"),
    ]
    assert studies["b.jpg"].questions[1].topic == "POS"


def test_films_that_share_a_case_and_cases_that_share_a_film_are_one_patient(tree):
    studies, _ = read(tree)
    patients = {name: study.patient_id for name, study in studies.items()}
    assert patients == {"a.jpg": "c1", "b.jpg": "c1", "c.jpg": "c1", "d.jpg": "c3", "f.jpg": "f.jpg"}
    assert {study.split for study in studies.values()} == {None}


def test_what_cannot_be_used_is_refused_by_id(tree):
    _, rejected = read(tree)
    assert rejected == {
        f"{FILE}:4": "the same question and answer stand in an earlier row",
        f"{FILE}:9": "the row has a question without an answer, or the reverse",
        "e.jpg": "the file is missing",
        "../out.jpg": "its path leads out of the root folder",
        f"{FILE}:13": "the row names no film",
    }


def test_the_published_test_questions_share_no_patient_with_training(tree):
    studies, rejected = read(tree, split="published")
    assert {name: (study.split, len(study.questions)) for name, study in studies.items()} == {
        "a.jpg": ("test", 1), "c.jpg": ("test", 1), "d.jpg": ("train", 1), "f.jpg": ("train", 1),
    }  # fmt: skip
    assert studies["a.jpg"].questions[0].answer == "Left"
    assert rejected["b.jpg"] == "left out by rule: none of its questions is in the test split of its patient"
    assert rejected["a.jpg:questions"] == "left out by rule: 3 other questions on a test patient"


def test_films_of_other_regions_can_be_left_out(tree):
    studies, rejected = read(tree, chest_xrays_only=True)
    assert "d.jpg" not in studies
    assert rejected["d.jpg"] == "left out by rule: not a film of the chest"


def test_a_folder_without_questions_is_an_error_and_a_cut_off_file_does_not_tell_its_text(tree, tmp_path):
    with pytest.raises(DataError, match="holds no file of questions"):
        read(tmp_path)
    path = tree / FILE
    path.write_text(json.dumps(json.loads(path.read_text()))[:-90])
    with pytest.raises(DataError, match=r"cannot be read as \.json") as refusal:
        read(tree)
    assert "effusion" not in str(refusal.value)


def test_from_the_tree_to_examples(tree, tmp_path):
    recipe = f'max_rejected_share = 0.7\n[source]\nkind = "vqa_rad"\nroot = "{tree}"\nsplit = "published"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'section = "answer"\n')
    assert len(studies) == len(examples) == 4
    assert len(rejected) == 7
    example = next(example for example in examples if example.study_id == "a.jpg")
    assert (example.example_id, example.split) == ("a.jpg.q1", "test")
    assert (example.question, example.target, example.answer_kind) == (
        "On which side is the effusion?", "Left", "closed",
    )  # fmt: skip
    assert example.observations == {}
    [card] = (tmp_path / "runs" / "build").glob("*/card.json")
    assert json.loads(card.read_text())["questions"] == {"ORGAN": {"open": 1}, "PRES": {"closed": 3}}
