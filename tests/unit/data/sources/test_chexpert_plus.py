import pytest
from tests.fixtures.chexpert_tree import write_chexpert_plus
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError


def read(root, **values):
    return read_source(kind="chexpert_plus", root=root, **values)


def test_films_are_found_as_png_and_reports_by_section(tmp_path):
    studies, rejected = read(write_chexpert_plus(tmp_path))
    assert rejected == {"train/patient00014/study1/view1_frontal.jpg": "the file is missing"}
    study = studies["train/patient00011/study3"]
    assert [image.view for image in study.images] == ["LATERAL", "PA"]
    assert all(image.path.endswith(".png") for image in study.images)
    assert (study.split, study.sex, study.age_years) == ("train", "M", 51)
    assert studies["valid/patient64541/study1"].split == "dev"


def test_of_the_copies_of_a_report_the_first_counts(tmp_path):
    study = read(write_chexpert_plus(tmp_path))[0]["train/patient00011/study3"]
    assert study.sections == {
        "indication": "Cough.",
        "findings": "There is a small left pleural effusion, as on 2/6/2021.",
        "impression": "1. Small effusion.",
    }


def test_the_whole_report_is_used_only_where_it_was_not_cut(tmp_path):
    studies, _ = read(write_chexpert_plus(tmp_path))
    assert studies["train/patient00011/study3"].report is None
    assert studies["train/patient00012/study1"].report is None
    assert studies["train/patient00013/study1"].report == "FINDINGS: The lungs are clear."


def test_labels_are_read_from_lines_in_a_json_file(tmp_path):
    studies, _ = read(write_chexpert_plus(tmp_path), labels_file="impression_fixed.json")
    assert studies["train/patient00011/study3"].labels["Pleural Effusion"] == 1
    assert studies["valid/patient64541/study1"].labels["No Finding"] == 1
    assert studies["train/patient00012/study1"].labels == {}


def test_a_folder_without_the_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no table of CheXpert Plus"):
        read(tmp_path)


def test_from_the_tree_to_examples(tmp_path):
    root = write_chexpert_plus(tmp_path / "plus")
    recipe = f'[source]\nkind = "chexpert_plus"\nroot = "{root}"\nlabels_file = "impression_fixed.json"\n'
    studies, examples, _ = ingest_and_build(tmp_path, recipe, 'labels = "both"\n')
    assert len(studies) == len(examples) == 4
    by_id = {example.study_id: example for example in examples}
    example = by_id["train/patient00011/study3"]
    assert example.views == ("PA", "LATERAL")
    assert "small left pleural effusion" in (example.target or "")
    assert "2021" not in (example.target or "")
    assert example.labels["source Pleural Effusion"] == example.labels["Pleural Effusion"] == 1
    assert by_id["train/patient00012/study1"].target is None
    labels = by_id["valid/patient64541/study1"].labels
    assert (labels["source No Finding"], labels["source Edema"], len(labels)) == (1, 0, 14)
