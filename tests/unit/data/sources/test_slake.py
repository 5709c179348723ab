import pytest
from tests.fixtures.published_runs import ingest_and_build, read_source
from tests.fixtures.slake_tree import write_slake

from radlet.core.errors import DataError


def read(root, **values):
    return read_source(kind="slake", root=root, **values)


@pytest.fixture
def tree(tmp_path):
    return write_slake(tmp_path / "slake")


def test_the_rows_of_a_film_are_its_questions_in_the_languages_asked_for(tree):
    studies, _ = read(tree)
    assert set(studies) == {"xmlab0", "xmlab1", "xmlab2", "xmlab3", "xmlab6"}
    [asked] = studies["xmlab1"].questions
    assert (asked.question, asked.answer, asked.kind, asked.topic) == (
        "Is there an effusion?", "Yes", "closed", "ABNORMALITY",
    )  # fmt: skip
    assert studies["xmlab3"].questions == ()
    both, _ = read(tree, languages=["en", "zh"])
    assert [len(both[name].questions) for name in ("xmlab1", "xmlab3")] == [2, 1]


@pytest.mark.parametrize("dev_name", ["validate.json", "validation.json"])
def test_the_published_split_is_kept_under_either_name(tmp_path, dev_name):
    studies, _ = read(write_slake(tmp_path, dev_name))
    assert (studies["xmlab1"].split, studies["xmlab3"].split) == ("train", "dev")


def test_boxes_of_diseases_on_chest_radiographs_are_findings(tree):
    studies, _ = read(tree)
    [finding] = studies["xmlab1"].truth
    assert (finding.kind, finding.observation) == ("pleural effusion", "Pleural Effusion")
    box = finding.boxes["xmlab1"]
    # 18 of 36 pixels across; 30 of 40 down, with a height that leads past the edge.
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == (0.5, 0.75, 1.0, 1.0)
    # Boxes of organs call nobody normal, and the labels of other regions are no observations of a chest.
    assert studies["xmlab2"].truth is None
    assert studies["xmlab0"].truth is None


def test_what_cannot_be_used_is_refused_by_id(tree):
    studies, rejected = read(tree)
    assert rejected == {
        "xmlab4": "its questions are in several splits",
        "xmlab5": "the file is missing",
        "xmlab6:boxes": "its boxes cannot be read; the film is kept without them",
        "train:8": "the row has a question without an answer, or the reverse",
    }
    assert studies["xmlab6"].truth is None


def test_other_films_than_chest_radiographs_can_be_left_out(tree):
    studies, rejected = read(tree, chest_xrays_only=True)
    assert "xmlab0" not in studies
    assert rejected["xmlab0"] == "left out by rule: not a chest radiograph"


def test_a_folder_without_questions_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no file of questions"):
        read(tmp_path)


def test_from_the_tree_to_examples(tree, tmp_path):
    recipe = f'[source]\nkind = "slake"\nroot = "{tree}"\nlanguages = ["en", "zh"]\n'
    studies, examples, _ = ingest_and_build(tmp_path, recipe, 'section = "answer"\nlabels = "truth"\n')
    assert len(studies) == 5
    assert [example.example_id for example in examples if example.study_id == "xmlab1"] == ["xmlab1.q1", "xmlab1.q2"]
    by_id = {example.example_id: example for example in examples}
    assert by_id["xmlab1.q2"].target == "有"
    assert by_id["xmlab1.q1"].labels["Pleural Effusion"] == 1
    assert by_id["xmlab3.q1"].split == "dev"
