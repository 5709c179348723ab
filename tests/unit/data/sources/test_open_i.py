import csv
import json

import pytest
from tests.fixtures.open_i_tree import report_xml, write_open_i
from tests.fixtures.published_runs import ingest_and_build, read_source

from radlet.core.errors import DataError
from radlet.data.sources.open_i import HEADINGS, read_labels

REPORTS = "NLMCXR_reports/ecgen-radiology"


def read(root, **values):
    return read_source(kind="open_i", root=root, **values)


def test_sections_labels_and_films_come_from_the_xml(tmp_path):
    studies, _ = read(write_open_i(tmp_path))
    assert {study_id: len(study.images) for study_id, study in studies.items()} == {
        "CXR1": 2, "CXR2": 1, "CXR3": 1, "CXR4": 0, "CXR5": 1, "CXR10": 1,
    }  # fmt: skip
    assert studies["CXR1"].sections == {
        "comparison": "None.",
        "indication": "XXXX-year-old with cough & fever",
        "findings": "The heart is enlarged.",
        "impression": "Cardiomegaly.",
    }
    assert "findings" not in studies["CXR2"].sections
    assert {name for name, value in studies["CXR1"].labels.items() if value} == {"Cardiomegaly"}
    assert {name for name, value in studies["CXR10"].labels.items() if value} == {"Pleural_Thickening"}
    assert studies["CXR3"].labels == {}  # not indexed


def test_what_cannot_be_used_is_refused_by_id(tmp_path):
    _, rejected = read(write_open_i(tmp_path))
    assert rejected == {
        "CXR5_IM-2117-1002": "the file is missing",
        f"{REPORTS}/6.xml": "the XML cannot be read (ParseError)",
        f"{REPORTS}/8.xml": "the XML declares a document type or an entity, which no report does",
        "../../CXR1_1_IM-0001-3001": "its path leads out of the root folder",
    }


def test_a_caption_of_the_whole_exam_tells_no_view(tmp_path):
    studies, _ = read(write_open_i(tmp_path))
    assert [image.view for image in studies["CXR1"].images] == [None, None]
    assert studies["CXR3"].images[0].view == "LATERAL"


def test_a_table_of_projections_tells_the_views_whatever_the_captions_say(tmp_path):
    root = write_open_i(tmp_path)
    studies, _ = read(root, projections=root / "indiana_projections.csv")
    assert [image.view for image in studies["CXR1"].images] == [None, "LATERAL"]
    assert studies["CXR3"].images[0].view is None


def test_a_xml_of_great_size_and_one_in_an_unknown_encoding_are_refused(tmp_path):
    (tmp_path / "1.xml").write_text("<a>" + "x" * (1 << 20) + "</a>")
    (tmp_path / "2.xml").write_text('<?xml version="1.0" encoding="klingon"?><a/>')
    studies, rejected = read(tmp_path)
    assert not studies
    assert set(rejected) == {"1.xml", "2.xml"}


def test_a_folder_without_xml_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no XML report"):
        read(tmp_path)


def test_from_the_tree_to_examples(tmp_path):
    root = write_open_i(tmp_path / "open_i")
    recipe = f'max_rejected_share = 0.6\n[source]\nkind = "open_i"\nroot = "{root}"\n'
    recipe += f'projections = "{root / "indiana_projections.csv"}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe, 'labels = "both"\n')
    assert {study.study_id for study in studies} == {"CXR1", "CXR2", "CXR3", "CXR5", "CXR10"}
    assert rejected["CXR4"] == "the study has no film"
    by_id = {example.study_id: example for example in examples}
    assert by_id["CXR1"].target == "The heart is enlarged."
    assert by_id["CXR1"].views == (None, "LATERAL")
    assert by_id["CXR10"].target is None
    assert by_id["CXR10"].labels["source Pleural_Thickening"] == 1


@pytest.mark.data
def test_labels_from_the_headings_agree_with_those_mined_by_others(shared_data):
    with (shared_data / "text" / "negbio_openi_gold14.csv").open(newline="") as file:
        gold = {row["filename"]: row for row in csv.DictReader(file)}
    cells = agreed = 0
    for split in ("train", "dev"):
        for line in (shared_data / "text" / f"iu_reports.{split}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            labels = read_labels(row["mesh_major"] or [])
            if labels and row["study_id"] in gold:
                cells += len(HEADINGS)
                agreed += sum(int(gold[row["study_id"]][name]) == value for name, value in labels.items())
    assert cells > 30_000
    assert agreed / cells > 0.99


@pytest.mark.data
def test_real_reports_as_xml_with_their_films(shared_data, tmp_path):
    """The library's XML is rebuilt from the rows, with the films' published ids."""
    root = tmp_path / "open_i"
    (root / "reports").mkdir(parents=True)
    images: dict[str, list[dict[str, str]]] = {}
    rows = {}
    for line in (shared_data / "iu_xray" / "dev.jsonl").read_text(encoding="utf-8").splitlines()[:120]:
        row = json.loads(line)
        rows[row["study_id"]] = row
        images.setdefault(row["study_id"], []).append(row)
    for study_id, row in rows.items():
        sections = {name.upper(): row[name] for name in ("comparison", "indication", "findings", "impression")}
        films = [image["openi_image_id"] for image in images[study_id]]
        xml = report_xml(study_id, sections, row["mesh_major"] or [], films)
        (root / "reports" / f"{study_id.removeprefix('CXR')}.xml").write_text(xml, encoding="utf-8")
    projections = [
        {"filename": f"{image['openi_image_id'].removeprefix('CXR')}.dcm.png", "projection": image["view"].title()}
        for group in images.values()
        for image in group
    ]
    with (root / "projections.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["filename", "projection"])
        writer.writeheader()
        writer.writerows(projections)
    recipe = f'[source]\nkind = "open_i"\nroot = "{root}"\nfilms_dir = "{shared_data / "iu_xray" / "images"}"\n'
    recipe += f'projections = "{root / "projections.csv"}"\n'
    studies, examples, rejected = ingest_and_build(tmp_path, recipe)
    assert not rejected
    assert sum(len(study.images) for study in studies) == 120
    laterals = {row["openi_image_id"] for group in images.values() for row in group if row["view"] == "lateral"}
    assert {i.image_id for study in studies for i in study.images if i.view == "LATERAL"} == laterals
    assert {example.study_id for example in examples if example.target} == {
        study_id for study_id, row in rows.items() if row["findings"]
    }
