import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.published_runs import ingest_and_build, read_source
from tests.fixtures.vindr_cxr_tree import write_vindr_cxr

from radlet.core.errors import DataError
from radlet.core.records import Box
from radlet.data.sources.vindr_cxr import merge_boxes


def read(root, **values):
    return read_source(kind="vindr_cxr", root=root, **values)


def present(study):
    return {name for name, value in study.labels.items() if value}


@pytest.mark.parametrize("folder", ["annotations", ""])
def test_films_are_pa_studies_with_the_published_split_and_all_labels(tmp_path, folder):
    studies, _ = read(write_vindr_cxr(tmp_path, folder))
    assert {study_id: study.split for study_id, study in studies.items()} == {
        **dict.fromkeys(("aa01", "aa02", "aa03", "aa04", "aa07", "aa08", "aa09"), "train"), "bb01": "test",
    }  # fmt: skip
    assert all(len(study.labels) == 28 and study.images[0].view == "PA" for study in studies.values())
    assert (studies["bb01"].sex, studies["bb01"].age_years, studies["aa01"].age_years) == ("F", 61, None)


def test_the_majority_of_the_readers_decides(tmp_path):
    studies, _ = read(write_vindr_cxr(tmp_path))
    assert present(studies["aa01"]) == {"Pleural effusion"}
    assert present(studies["aa02"]) == {"No finding"}
    assert present(studies["aa04"]) == set()  # nobody calls it normal
    assert present(studies["bb01"]) == {"Cardiomegaly", "Other disease"}


def test_one_reader_can_be_enough_or_all_be_needed(tmp_path):
    root = write_vindr_cxr(tmp_path)
    anyone, _ = read(root, agreement="any")
    assert present(anyone["aa01"]) == {"Pleural effusion", "Nodule/Mass"}
    assert present(anyone["aa02"]) == {"Rib fracture"}
    everyone, _ = read(root, agreement="all")
    assert present(everyone["aa01"]) == set()


def test_boxes_become_findings_in_shares_of_the_film(tmp_path):
    studies, _ = read(write_vindr_cxr(tmp_path))
    [effusion] = studies["aa01"].truth
    assert (effusion.observation, effusion.boxes["aa01"]) == (
        "Pleural Effusion", Box(x_min=0.25, y_min=0.5, x_max=0.5, y_max=0.78125),
    )  # fmt: skip
    assert [found.boxes["bb01"] for found in studies["bb01"].truth] == [
        Box(x_min=0.25, y_min=0.5, x_max=0.75, y_max=1), Box(x_min=0, y_min=0, x_max=0.125, y_max=0.125),
    ]  # fmt: skip


def test_a_truth_is_empty_only_where_nothing_is_there(tmp_path):
    studies, _ = read(write_vindr_cxr(tmp_path))
    assert studies["aa02"].truth == ()
    assert studies["aa03"].truth is None


def test_boxes_are_left_out_where_they_cannot_be_placed(tmp_path):
    studies, _ = read(write_vindr_cxr(tmp_path))
    for image_id in ("aa08", "aa09"):
        assert [(found.kind, found.boxes) for found in studies[image_id].truth] == [("Cardiomegaly", {})]


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    _, rejected = read(write_vindr_cxr(tmp_path))
    assert rejected == {
        "aa05": "the file is missing",
        "aa06": "in the tables of both splits",
        "aa08:boxes": "a box cannot be read; the film is kept without its boxes",
        "../../aa10": "its path leads out of the root folder",
    }


def test_a_missing_table_and_a_missing_column_are_errors(tmp_path):
    write_vindr_cxr(tmp_path)
    table = tmp_path / "annotations" / "image_labels_test.csv"
    table.write_text(table.read_text().replace("COPD", "Copd"))
    with pytest.raises(DataError, match="the test table of labels has no column 'COPD'"):
        read(tmp_path)
    (tmp_path / "annotations" / "annotations_test.csv").unlink()
    table.write_text(table.read_text().replace("Copd", "COPD"))
    with pytest.raises(DataError, match="holds no table"):
        read(tmp_path)


SHARES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
BOXES = st.builds(lambda x, y: Box(x_min=x[0], x_max=x[1], y_min=y[0], y_max=y[1]), SHARES, SHARES)


@given(st.lists(BOXES))
def test_merged_boxes_stay_within_those_they_come_from(boxes):
    merged = merge_boxes(boxes)
    assert len(merged) <= len(boxes)
    assert bool(merged) == bool(boxes)
    slack = 1e-9
    assert all(box.x_min >= min(each.x_min for each in boxes) - slack for box in merged)
    assert all(box.y_max <= max(each.y_max for each in boxes) + slack for box in merged)


def test_from_the_tree_to_examples_without_any_report(tmp_path):
    root = write_vindr_cxr(tmp_path / "vindr")
    recipe = f'max_rejected_share = 0.6\n[source]\nkind = "vindr_cxr"\nroot = "{root}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "source"\n')
    assert {study.study_id for study in studies} == {"aa01", "aa02", "aa03", "aa04", "aa08", "aa09", "bb01"}
    assert "aa07" in rejected
    by_id = {example.study_id: example for example in examples}
    assert by_id["bb01"].split == "test"
    assert by_id["aa01"].labels["Pleural effusion"] == 1
    assert len(by_id["bb01"].truth) == 2
