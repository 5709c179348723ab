import pytest
from tests.fixtures.brax_tree import write_brax
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError


def read(root, **values):
    return read_source(kind="brax", root=root, **values)


@pytest.mark.parametrize("films", ["png", "dicom"])
@pytest.mark.parametrize("table", ["master_spreadsheet.csv", "master_spreadsheet_update.csv"])
def test_films_of_either_form_are_put_together_to_studies(tmp_path, films, table):
    studies, _ = read(write_brax(tmp_path, table), films=films)
    assert {study_id: [image.view for image in study.images] for study_id, study in studies.items()} == {
        "100": ["PA", "LATERAL"], "200": ["AP"], "101": [None],
    }  # fmt: skip
    folder = {"png": "images/", "dicom": "Anonymized_DICOMs/"}[films]
    assert all(image.image_id.startswith(folder) for study in studies.values() for image in study.images)
    assert all(study.report is None and not study.sections for study in studies.values())


def test_labels_follow_the_rule(tmp_path):
    root = write_brax(tmp_path)
    studies, _ = read(root)
    assert studies["100"].labels["Pleural Effusion"] == 1
    assert studies["100"].labels["Pneumothorax"] == studies["100"].labels["Fracture"] == 0
    assert "Edema" not in studies["100"].labels
    assert studies["101"].labels == {}
    positive, _ = read(root, label_rule={"uncertain": "positive", "unmentioned": "unknown"})
    assert positive["100"].labels == {"Pleural Effusion": 1, "Edema": 1, "Pneumothorax": 0}


def test_ages_sexes_and_the_study_before(tmp_path):
    studies, _ = read(write_brax(tmp_path))
    assert (studies["100"].age_years, studies["200"].age_years) == (55, 85)
    assert (studies["100"].sex, studies["200"].sex) == ("M", None)
    assert studies["100"].scanner == "Maker 1"
    assert (studies["100"].prior_study_id, studies["101"].prior_study_id) == (None, "100")


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    _, rejected = read(write_brax(tmp_path))
    assert rejected == {
        "images/id_p3/Study_300.7/Series_5.8/image-5-0-0.png": "its view is neither PA, AP nor lateral",
        "images/id_p4/Study_400.7/Series_6.8/image-6-0-0.png": "the file is missing",
        "images/id_p1/Study_100.7/Series_1.8/image-1-0-0.png": "the same film stands in an earlier row",
        "images/id_p5/Study_200.7/Series_7.8/image-7-0-0.png": "its study has another patient in an earlier row",
        "../../out.png": "its path leads out of the root folder",
        "master_spreadsheet_update.csv:10": "the row names no film or no study",
        "images/id_p8/Study_None.7/Series_10.8/image-10-0-0.png": "the row names no film or no study",
    }


def test_the_corrected_table_goes_before_the_first(tmp_path):
    root = write_brax(tmp_path)
    (root / "master_spreadsheet.csv").write_text("no,such,columns\n1,2,3\n")
    assert set(read(root)[0]) == {"100", "101", "200"}


def test_a_folder_without_the_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no table of films"):
        read(tmp_path)


@pytest.mark.parametrize("films", ["png", "dicom"])
def test_from_the_tree_to_examples_without_any_report(tmp_path, films):
    root = write_brax(tmp_path / "brax")
    recipe = f'max_rejected_share = 0.8\n[source]\nkind = "brax"\nroot = "{root}"\nfilms = "{films}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "source"\n')
    assert ({study.study_id for study in studies}, len(rejected)) == ({"100", "101", "200"}, 7)
    by_id = {example.study_id: example for example in examples}
    assert by_id["100"].views == ("PA", "LATERAL")
    assert by_id["100"].labels["Pleural Effusion"] == 1
    assert by_id["100"].split == by_id["101"].split
