import pytest
from tests.fixtures.published_runs import ingest_and_build, read_source
from tests.fixtures.roco_tree import CHEST, figure, write_first_roco, write_roco

from radlet.core.errors import DataError


def read(root, **values):
    return read_source(kind="roco", root=root, **values)


@pytest.fixture
def tree(tmp_path):
    return write_roco(tmp_path / "roco")


def test_figures_have_captions_splits_views_and_articles(tree):
    studies, _ = read(tree)
    told = {name: (study.split, study.images[0].view) for name, study in studies.items()}
    assert told == {
        figure("train", 1): ("train", "PA"),
        figure("train", 2): ("train", None),
        figure("train", 3): ("train", "LATERAL"),
        figure("train", 6): ("train", None),
        figure("valid", 7): ("dev", "AP"),
        figure("test", 8): ("test", None),
    }
    assert studies[figure("train", 2)].caption == "CT of the abdomen."
    assert studies[figure("train", 2)].patient_id == "PMC1"


def test_concepts_set_by_hand_are_labels_by_name(tree):
    studies, _ = read(tree)
    assert studies[figure("train", 2)].labels == {
        "Plain x-ray": 0, "X-Ray CT": 1, CHEST: 0, "C0205129": 0, "C1996865": 0, "C1999039": 0,
    }  # fmt: skip
    assert studies[figure("train", 6)].labels == {}


def test_an_article_is_in_one_split_and_judging_comes_first(tree):
    _, rejected = read(tree)
    assert rejected == {
        figure("train", 4): "left out by rule: other figures of its article are in test",
        figure("train", 5): "the file is missing",
    }


def test_chest_radiographs_are_told_by_their_concepts(tree):
    studies, rejected = read(tree, chest_xrays_only=True)
    assert set(studies) == {figure("train", 1), figure("train", 3), figure("valid", 7), figure("test", 8)}
    reason = "left out by rule: not a chest radiograph by its concepts"
    assert rejected[figure("train", 2)] == rejected[figure("train", 6)] == reason


def test_the_first_release_has_its_captions_in_text_files(tmp_path):
    root = write_first_roco(tmp_path)
    studies, rejected = read(root)
    assert {name: (study.caption, study.split, study.patient_id) for name, study in studies.items()} == {
        "ROCO_00001": ("First caption, which goes on.", "train", "PMC77"),
        "ROCO_00003": ("Third caption.", "dev", "ROCO_00003"),
    }
    assert rejected == {"ROCO_00002": "the file is missing"}
    with pytest.raises(DataError, match="which chest_xrays_only needs"):
        read(root, chest_xrays_only=True)


def test_a_folder_without_captions_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no captions"):
        read(tmp_path)


def test_from_the_tree_to_examples(tree, tmp_path):
    recipe = f'max_rejected_share = 0.7\n[source]\nkind = "roco"\nroot = "{tree}"\nchest_xrays_only = true\n'
    studies, examples, _ = ingest_and_build(tmp_path, recipe, 'section = "caption"\nprior_references = "remove"\n')
    assert len(studies) == len(examples) == 4
    first = next(example for example in examples if example.study_id == figure("train", 1))
    assert first.target == first.report == "Chest X-ray with a left pleural effusion."
    assert first.observations["Pleural Effusion"] == "POSITIVE"
    assert first.labels["Pleural Effusion"] == 1
