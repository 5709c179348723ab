import numpy as np
import pytest
from PIL import Image
from tests.fixtures.padchest_tree import TABLE, write_padchest
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS
from radlet.data.sources.padchest_findings import OBSERVATION_OF, read_places, read_side, read_zone


def read(root, **values):
    return read_source(kind="padchest", root=root, **values)


@pytest.mark.parametrize("with_folders", [True, False])
def test_films_are_put_together_to_studies_with_their_views(tmp_path, with_folders):
    studies, _ = read(write_padchest(tmp_path, with_folders))
    assert {study_id: [image.view for image in study.images] for study_id, study in studies.items()} == {
        "101": ["LATERAL", "PA"], "102": ["AP"], "103": ["PA"], "104": ["PA"], "105": ["PA"], "111": ["PA"],
    }  # fmt: skip
    assert studies["101"].sections == {"findings": "derrame pleural izquierdo . cardiomegalia ."}
    assert studies["105"].sections == {}


def test_labels_are_spelt_alike_and_have_zeros_only_where_they_are_sure(tmp_path):
    studies, _ = read(write_padchest(tmp_path))
    assert studies["101"].labels == {"cardiomegaly": 1, "normal": 0, "pleural effusion": 1}
    assert studies["102"].labels == {"pleural effusion": 1}  # the rest is as it was before
    assert studies["103"].labels == {"cardiomegaly": 0, "normal": 1, "pleural effusion": 0}
    assert studies["104"].labels == studies["105"].labels == {}


def test_labels_of_physicians_alone(tmp_path):
    studies, _ = read(write_padchest(tmp_path), label_methods=["Physician"])
    assert studies["103"].labels == {}
    assert studies["101"].labels["pleural effusion"] == 1


def test_reports_can_be_left_out(tmp_path):
    studies, _ = read(write_padchest(tmp_path), keep_reports=False)
    assert all(not study.sections and not study.report for study in studies.values())


def test_ages_sexes_and_the_study_before(tmp_path):
    studies, _ = read(write_padchest(tmp_path))
    ages = {study_id: study.age_years for study_id, study in studies.items()}
    assert (ages["101"], ages["102"], ages["103"], ages["105"]) == (84, 85, None, None)
    assert (studies["101"].sex, studies["103"].sex) == ("F", None)
    assert studies["102"].prior_study_id == "101"
    assert studies["101"].prior_study_id is None


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    _, rejected = read(write_padchest(tmp_path))
    projection = "its projection is neither PA, AP nor lateral"
    assert rejected == {
        "f1.png": projection,
        "f2.png": projection,
        "f3.png": projection,
        "g1.png": "the file is missing",
        "a1.png": "the same film stands in an earlier row",
        "h1.png": "its study has another patient in an earlier row",
        "../../out.png": "its path leads out of the root folder",
        f"{TABLE}:14": "the row names no film or no study",
        "i1.png": "the row names no film or no study",
    }


def test_a_folder_without_the_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no table of films and reports"):
        read(tmp_path)


def test_from_the_tree_to_examples(tmp_path):
    root = write_padchest(tmp_path / "padchest")
    recipe = f'max_rejected_share = 0.9\n[source]\nkind = "padchest"\nroot = "{root}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "source"\n')
    assert {study.study_id for study in studies} == {"101", "102", "103", "104", "105"}
    assert "damaged" in rejected["j1.png"]
    by_id = {example.study_id: example for example in examples}
    assert by_id["101"].views == ("PA", "LATERAL")
    assert by_id["101"].target.startswith("derrame pleural izquierdo")
    assert by_id["101"].labels == {"cardiomegaly": 1, "normal": 0, "pleural effusion": 1}
    assert by_id["101"].split == by_id["102"].split
    [ingested] = (tmp_path / "runs" / "ingest").iterdir()
    [stored] = [image.path for study in studies for image in study.images if image.image_id == "a1.png"]
    raw, kept = (np.asarray(Image.open(path)) for path in (root / "0" / "a1.png", ingested / stored))
    assert kept.dtype == np.uint8
    assert kept[0, 0] == 255
    assert np.abs(raw / 257 - kept).max() < 1


def test_labels_are_findings_with_the_side_and_zone_that_the_localisations_name(tmp_path):
    studies, _ = read(write_padchest(tmp_path))
    found = {(one.kind, one.observation, one.side, one.zone) for one in studies["101"].truth}
    assert found == {
        ("pleural effusion", "Pleural Effusion", "left", "lower"),
        ("cardiomegaly", "Cardiomegaly", None, None),
    }
    assert studies["103"].truth == ()  # normal
    assert studies["102"].truth is None  # the rest is as it was before
    assert studies["104"].truth is None  # labelled by nobody


@pytest.mark.parametrize(
    ("cell", "places"),
    [
        ("[['nodule', 'loc right upper lobe'], ['nodule', 'loc left']]", {"nodule": ("right upper lobe", "left")}),
        ("['nodule', 'mass', 'loc right']", {}),  # nobody can tell whose place it is
        ("['normal', 'loc right', 'nodule', 'loc left']", {"normal": ("right",), "nodule": ("left",)}),
        ("nan", {}),
        ("", {}),
    ],
    ids=["two sentences", "two labels", "one after the other", "nan", "empty"],
)
def test_a_localisation_belongs_to_the_one_label_before_it(cell, places):
    assert read_places(cell) == places


def test_sides_and_zones_are_told_where_the_words_agree():
    assert [read_side(words) for words in (("left",), ("lingula", "left"), ("middle lobe",), ("basal bilateral",))] == [
        "left", "left", "right", "bilateral",
    ]  # fmt: skip
    assert [read_side(words) for words in (("right", "left upper lobe"), (), ("cardiac",))] == ["bilateral", None, None]
    assert [read_zone(words) for words in (("apical",), ("basal",), ("middle lobe",), ("upper lobe", "basal"))] == [
        "upper", "lower", "mid", None,
    ]  # fmt: skip


def test_every_observation_of_a_label_is_one_of_the_fourteen():
    assert set(OBSERVATION_OF.values()) <= set(OBSERVATIONS)
