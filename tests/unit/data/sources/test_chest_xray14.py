import pytest
from tests.fixtures.chest_xray14_tree import write_chest_xray14
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError
from radlet.core.records import Box


def read(root):
    return read_source(kind="chest_xray14", root=root)


@pytest.mark.parametrize("parts", [True, False])
def test_films_are_studies_with_published_splits_and_all_labels(tmp_path, parts):
    studies, _ = read(write_chest_xray14(tmp_path, parts))
    assert {study_id: (study.split, study.images[0].view) for study_id, study in studies.items()} == {
        "00000001_000.png": ("train", "PA"),
        "00000001_001.png": ("train", "AP"),
        "00000002_000.png": ("train", "PA"),
        "00000003_000.png": ("test", "PA"),
    }
    first = studies["00000001_000.png"]
    assert {name for name, value in first.labels.items() if value} == {"Cardiomegaly", "Effusion"}
    assert len(first.labels) == 15
    assert studies["00000002_000.png"].labels["No Finding"] == 1
    assert all(study.report is None and not study.sections for study in studies.values())


def test_ages_and_the_study_before(tmp_path):
    studies, _ = read(write_chest_xray14(tmp_path))
    assert [studies[f"0000000{number}.png"].age_years for number in ("1_000", "1_001", "2_000")] == [58, 58, None]
    assert studies["00000001_001.png"].prior_study_id == "00000001_000.png"
    assert studies["00000001_000.png"].prior_study_id is None


def test_boxes_become_findings_in_shares_of_the_film(tmp_path):
    studies, _ = read(write_chest_xray14(tmp_path))
    assert studies["00000002_000.png"].truth is None
    film = "00000003_000.png"
    assert [(found.kind, found.observation, found.boxes.get(film)) for found in studies[film].truth] == [
        ("Infiltration", "Lung Opacity", Box(x_min=0.25, y_min=0.5, x_max=0.5, y_max=0.75)),
        ("Infiltration", "Lung Opacity", Box(x_min=0, y_min=0.5, x_max=0.125, y_max=0.75)),
        ("Mass", "Lung Lesion", None),
    ]
    [heart] = studies["00000001_001.png"].truth  # emphysema counts as no CheXpert observation
    assert heart.boxes["00000001_001.png"].x_max == 1.0


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    _, rejected = read(write_chest_xray14(tmp_path))
    assert rejected == {
        "00000004_000.png": "on neither published list",
        "00000005_000.png": "on both published lists",
        "00000006_000.png": "its labels are none of the 14, nor No Finding",
        "00000007_000.png": "the file is missing",
        "00000002_000.png": "the same film stands in an earlier row",
    }


def test_missing_lists_and_broken_boxes_are_errors(tmp_path):
    write_chest_xray14(tmp_path)
    (tmp_path / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000003_000.png,Mass,wide,1,2,3,,,\n"
    )
    with pytest.raises(DataError, match="the box of row 1 cannot be read"):
        read(tmp_path)
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(DataError, match="holds no published list"):
        read(tmp_path)


def test_from_the_tree_to_examples_without_any_report(tmp_path):
    root = write_chest_xray14(tmp_path / "nih")
    recipe = f'max_rejected_share = 0.6\n[source]\nkind = "chest_xray14"\nroot = "{root}"\n'
    build = 'labels = "source"\nvalidation_share = 0.5\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, build)
    assert (len(studies), len(examples), len(rejected)) == (4, 4, 5)
    by_id = {example.study_id: example for example in examples}
    assert by_id["00000003_000.png"].split == "test"
    assert by_id["00000001_000.png"].split == by_id["00000001_001.png"].split != "test"
    assert by_id["00000001_000.png"].labels["Effusion"] == 1
    assert [len(found.boxes) for found in by_id["00000003_000.png"].truth] == [1, 1, 0]
