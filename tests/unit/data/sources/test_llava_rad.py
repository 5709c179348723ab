import pytest
from tests.fixtures.mimic_cxr_tree import FILMS, write_llava_rad, write_mimic_cxr
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError

ID = {film.number: film.dicom_id for film in FILMS}


@pytest.fixture
def tree(tmp_path):
    return {"root": write_mimic_cxr(tmp_path / "mimic"), "annotations_dir": write_llava_rad(tmp_path / "annotations")}


def read(tree, **values):
    return read_source(kind="llava_rad", **tree, **values)


def test_training_keeps_both_rows_of_a_film_and_judging_the_rule_based_one(tree):
    studies, _ = read(tree)
    assert {study_id: study.split for study_id, study in studies.items()} == {
        f"{ID[1]}-rule-based": "train",
        f"{ID[1]}-gpt4": "train",
        f"{ID[4]}-rule-based": "dev",
        f"{ID[6]}-rule-based": "test",
    }
    first, second = studies[f"{ID[1]}-rule-based"], studies[f"{ID[1]}-gpt4"]
    assert (first.patient_id, second.patient_id) == ("10000032", "10000032")
    assert first.sections == {
        "indication": "Cough, please evaluate.",
        "findings": "There is a small left pleural effusion.",
    }
    assert second.sections["findings"] == "A small left pleural effusion is present."
    assert first.labels == {"Pleural Effusion": 1} | {name: 0 for name in first.labels if name != "Pleural Effusion"}
    assert "Edema" not in first.labels
    assert [image.image_id for image in first.images] == [image.image_id for image in second.images] == [ID[1]]


def test_what_the_rules_leave_out_is_told_by_id(tree):
    _, rejected = read(tree)
    assert rejected == {
        f"{ID[2]}-rule-based": "left out by rule: not a frontal film",
        f"{ID[3]}-gpt4": "left out by rule: no findings",
        f"{ID[4]}-gpt4": "left out by rule: gpt4 in dev",
        f"{ID[6]}-gpt4": "left out by rule: gpt4 in test",
        ID[8]: "the file is missing",
        f"{ID[1]}-gpt4": "the same film and method stand in an earlier row",
        "train:7": "the row names no film of MIMIC-CXR",
    }


def test_one_method_alone_can_be_trained_on(tree):
    studies, rejected = read(tree, train_methods=["rule-based"])
    assert f"{ID[1]}-gpt4" not in studies
    assert rejected[f"{ID[3]}-gpt4"] == "left out by rule: gpt4 in train"


def test_a_folder_without_annotation_is_an_error(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no annotation file"):
        read(tree | {"annotations_dir": tmp_path / "empty"})


def test_a_cut_off_annotation_is_an_error_without_its_text(tree):
    [path] = tree["annotations_dir"].glob("*train*")
    path.write_text(path.read_text()[:-400])
    with pytest.raises(DataError, match=r"cannot be read as \.json") as refusal:
        read(tree)
    assert "effusion" not in str(refusal.value)


def test_from_the_annotation_to_examples(tree, tmp_path):
    recipe = "[source]\n" + "".join(f'{name} = "{value}"\n' for name, value in {"kind": "llava_rad", **tree}.items())
    studies, examples, rejected = ingest_and_build(
        tmp_path, "max_rejected_share = 0.8\n" + recipe, 'labels = "source"\n'
    )
    assert len(studies) == len(examples) == 4
    [ingested] = (tmp_path / "runs" / "ingest").iterdir()
    assert len(list((ingested / "images").iterdir())) == 3
    assert len(rejected) == 7
    assert {example.target for example in examples if example.split == "train"} == {
        "There is a small left pleural effusion.",
        "A small left pleural effusion is present.",
    }
    assert {example.indication for example in examples} == {"Cough, please evaluate."}
