import pytest
from tests.fixtures.chexpert_tree import write_chexpert
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError
from radlet.data.sources.chexpert import read_place, read_view


def read(root, **values):
    return read_source(kind="chexpert", root=root, **values)


@pytest.mark.parametrize("top", ["CheXpert-v1.0-small", "CheXpert-v1.0", "CheXpert-v1.0 batch 2 (train 1)"])
def test_studies_with_views_and_published_splits(tmp_path, top):
    studies, _ = read(write_chexpert(tmp_path, top))
    assert {study_id: (study.split, [image.view for image in study.images]) for study_id, study in studies.items()} == {
        "train/patient00001/study1": ("train", ["AP"]),
        "train/patient00002/study2": ("train", ["PA", "LATERAL"]),
        "train/patient00002/study1": ("train", ["LATERAL"]),
        "train/patient00003/study1": ("train", ["AP"]),
        "valid/patient64541/study1": ("dev", ["AP"]),
        "test/patient64741/study1": ("test", [None]),
    }
    assert {study.patient_id for study in studies.values() if "patient00002" in study.study_id} == {"patient00002"}
    assert (studies["train/patient00001/study1"].sex, studies["train/patient00001/study1"].age_years) == ("F", 68)
    assert studies["train/patient00003/study1"].sex is None


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    _, rejected = read(write_chexpert(tmp_path))
    assert rejected == {
        "train/patient00004/study1/view1_frontal.jpg": "the file is missing",
        "train/patient00001/study1/view1_frontal.jpg": "the same film stands in an earlier row",
        "train.csv:8": "the path of the film is not that of a patient and study",
        "train.csv:9": "the path of the film is not that of a patient and study",
    }


@pytest.mark.parametrize(
    ("rule", "edema", "fracture"),
    [
        ({}, None, 0),
        ({"uncertain": "positive"}, 1, 0),
        ({"uncertain": "negative"}, 0, 0),
        ({"unmentioned": "unknown"}, None, None),
    ],
)
def test_uncertain_and_blank_cells_follow_the_recipe(tmp_path, rule, edema, fracture):
    studies, _ = read(write_chexpert(tmp_path), label_rule=rule)
    labels = studies["train/patient00002/study2"].labels
    assert (labels["Cardiomegaly"], labels.get("Edema"), labels.get("Fracture")) == (1, edema, fracture)
    assert studies["train/patient00003/study1"].labels == {}
    assert sum(studies["valid/patient64541/study1"].labels.values()) == 1


@pytest.mark.parametrize(
    "path", ["train/patient1/view.jpg", "a/../train/x/study1/v.jpg", "train/patient1/study1/a/../../x.jpg", ""]
)
def test_a_path_of_another_form_is_none(path):
    assert read_place(path) is None


def test_the_view_falls_back_on_the_name_of_the_film():
    assert read_view("", "", "view2_lateral.jpg") == "LATERAL"
    assert read_view("", "", "view1_frontal.jpg") is None
    assert read_view("Frontal", "RL", "view1_frontal.jpg") == "LATERAL"


def test_a_folder_without_tables_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"neither train\.csv nor valid\.csv"):
        read(tmp_path)


def test_from_the_tree_to_examples_without_any_report(tmp_path):
    root = write_chexpert(tmp_path / "chexpert")
    recipe = f'[source]\nkind = "chexpert"\nroot = "{root}"\nlabel_rule.uncertain = "positive"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "source"\n')
    assert (len(studies), len(examples), len(rejected)) == (6, 6, 4)
    assert all(example.target is None for example in examples)
    by_id = {example.study_id: example for example in examples}
    assert by_id["train/patient00002/study2"].labels["Edema"] == 1
    assert by_id["train/patient00002/study2"].views == ("PA", "LATERAL")
    assert {example.split for example in examples} == {"train", "dev", "test"}
