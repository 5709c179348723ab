import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.mimic_cxr_tree import FILMS, FIRST_READ, KEPT, REVISED, write_mimic_cxr
from tests.fixtures.noise_films import write_csv
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError
from radlet.data.sources.mimic_cxr import read_last_report

DICOM_ID = {film.number: film.dicom_id for film in FILMS}


def read(root, **values):
    return read_source(kind="mimic_cxr", root=root, **values)


@pytest.mark.parametrize("packed", [True, False])
def test_films_views_splits_and_priors(tmp_path, packed):
    studies, _ = read(write_mimic_cxr(tmp_path, packed))
    assert {study_id: len(study.images) for study_id, study in studies.items()} == KEPT
    views = {image.image_id: image.view for study in studies.values() for image in study.images}
    expected = {1: "PA", 2: "LATERAL", 3: "AP", 4: "AP", 5: "LATERAL", 6: "PA", 7: None}
    assert {number: views[DICOM_ID[number]] for number in expected} == expected
    assert {study_id: studies[study_id].split for study_id in ("50414267", "57375967", "50771383")} == {
        "50414267": "train", "57375967": "dev", "50771383": "test",
    }  # fmt: skip
    assert studies["50414267"].patient_id == "10000032"
    assert studies["50414267"].prior_study_id == "53189527"  # 9:32 is before 21:30
    assert studies["53189527"].prior_study_id is None


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    studies, rejected = read(write_mimic_cxr(tmp_path))
    assert rejected == {
        DICOM_ID[1]: "the same film stands in an earlier row",
        DICOM_ID[8]: "the file is missing",
        DICOM_ID[9]: "its view is neither PA, AP nor lateral",
        DICOM_ID[10]: "not in the published split, or not in that of its study",
        DICOM_ID[14]: "not in the published split, or not in that of its study",
        DICOM_ID[15]: "its study has another patient in an earlier row",
        "p10/p10000980/s50985099.txt": "its study has several reports in files that differ; it is kept without them",
        "p10/p10000980/s54577367.txt": "the report cannot be read as UTF-8; its study is kept without it",
    }
    assert all(studies[study_id].report is None for study_id in ("50985099", "54577367", "59988438", "50771383"))
    assert studies["59988438"].labels["Cardiomegaly"] == 1


def test_of_two_reports_in_one_text_the_last_counts(tmp_path):
    studies, _ = read(write_mimic_cxr(tmp_path))
    assert REVISED in studies["54205396"].report
    assert FIRST_READ not in studies["54205396"].report
    assert "WET READ" in studies["57375967"].report


@given(st.lists(st.sampled_from(["FINAL REPORT", "FINDINGS: Clear.", "IMPRESSION:", "ADDENDUM: One rib.", ""])))
def test_the_last_report_is_a_part_of_the_text_and_all_of_it_without_a_second_head(lines):
    text = "\n".join(lines)
    last = read_last_report(text)
    assert last in text
    if lines.count("FINAL REPORT") < 2:
        assert last == text
    elif "FINDINGS: Clear." in lines[lines.index("FINAL REPORT") :]:
        assert "FINDINGS: Clear." in last


def test_a_head_line_without_findings_under_it_is_passed_over():
    report = "FINAL REPORT\nFINDINGS: The lungs are clear.\n"
    for rest in ("FINAL REPORT\n", "FINAL REPORT\nADDENDUM: The line ends in the atrium.\n"):
        assert read_last_report(report + rest) == report


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"Pleural Effusion": 1, "Pneumothorax": 0, "No Finding": 0}),
        ({"label_table": "negbio"}, {"Pleural Effusion": 0, "Pneumothorax": 0, "No Finding": 0}),
        ({"label_rule": {"uncertain": "positive", "unmentioned": "unknown"}},
         {"Pleural Effusion": 1, "Pneumothorax": 0, "Edema": 1}),
        ({"label_table": "none"}, {}),
    ],
)  # fmt: skip
def test_labels_follow_the_recipe(tmp_path, values, expected):
    studies, _ = read(write_mimic_cxr(tmp_path), **values)
    labels = studies["50414267"].labels
    assert {name: labels.get(name) for name in expected} == expected
    assert ("Edema" in labels) == ("Edema" in expected)
    assert studies["57375967"].labels == {}  # a row of blanks tells nothing


def test_the_dicom_release_takes_views_from_the_films(tmp_path):
    studies, rejected = read(write_mimic_cxr(tmp_path, dicom=True), label_table="none")
    assert set(KEPT) <= set(studies)
    assert all(image.path.endswith(".dcm") for study in studies.values() for image in study.images)
    assert all(image.view is None for study in studies.values() for image in study.images)
    assert DICOM_ID[8] in rejected


def test_a_missing_or_foreign_split_table_is_an_error(tmp_path):
    write_mimic_cxr(tmp_path)
    path = tmp_path / "mimic-cxr-2.0.0-split.csv.gz"
    write_csv(path, [{"dicom_id": DICOM_ID[1], "study_id": "50414267", "subject_id": "1", "split": "fold-3"}])
    with pytest.raises(DataError, match="a split is none of train, validate, test"):
        read(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="holds no table of the published split"):
        read(tmp_path)


def test_ids_that_are_no_numbers_lead_nowhere(tmp_path):
    write_mimic_cxr(tmp_path / "mimic")
    (tmp_path / "s1.txt").write_text("FINDINGS: Secret.")
    rows = [
        {"dicom_id": "a", "study_id": "1", "subject_id": "/../../.."},
        {"dicom_id": "b", "study_id": "../1", "subject_id": "10000032"},
        {"dicom_id": "c" * 300, "study_id": "50414267", "subject_id": "10000032"},
    ]
    write_csv(tmp_path / "mimic" / "mimic-cxr-2.0.0-metadata.csv.gz", rows)
    splits = [{**row, "split": "train"} for row in rows]
    write_csv(tmp_path / "mimic" / "mimic-cxr-2.0.0-split.csv.gz", splits)
    studies, rejected = read(tmp_path / "mimic")
    assert not studies
    assert rejected == {
        "a": "its study or patient has no number for an id",
        "b": "its study or patient has no number for an id",
        "c" * 300: "the file is missing",
    }


def test_a_table_without_a_column_is_an_error(tmp_path):
    write_mimic_cxr(tmp_path)
    write_csv(tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz", [{"dicom": 1, "study_id": 1, "subject_id": 1}])
    with pytest.raises(DataError, match=r"has no column 'dicom_id'\. Did you mean 'dicom'\?"):
        read(tmp_path)


def test_from_the_tree_to_examples(tmp_path):
    root = write_mimic_cxr(tmp_path / "mimic")
    recipe = f'[source]\nkind = "mimic_cxr"\nroot = "{root}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "both"\n')
    assert {study.study_id: len(study.images) for study in studies} == KEPT
    assert len(rejected) == 8
    by_id = {example.study_id: example for example in examples}
    assert by_id["54205396"].target == REVISED
    assert by_id["50414267"].target == "There is a small left pleural effusion."
    assert by_id["50414267"].views == ("PA", "LATERAL")
    assert by_id["59988438"].target is None
    assert by_id["59988438"].labels["source Cardiomegaly"] == 1
    assert {split: sum(e.split == split for e in examples) for split in ("train", "dev", "test")} == {
        "train": 5, "dev": 1, "test": 2,
    }  # fmt: skip


def test_from_the_dicom_release_to_examples(tmp_path):
    root = write_mimic_cxr(tmp_path / "mimic", dicom=True)
    recipe = f'[source]\nkind = "mimic_cxr"\nroot = "{root}"\nlabel_table = "none"\n'
    studies, examples, _ = ingest_and_build(tmp_path, recipe)
    views = {image.image_id: image.view for study in studies for image in study.images}
    assert {number: views[DICOM_ID[number]] for number in (1, 2, 5)} == {1: "PA", 2: "LATERAL", 5: "LATERAL"}
    assert {example.study_id: example.target for example in examples}["54205396"] == REVISED
