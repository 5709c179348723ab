import os

import pytest
from tests.fixtures.dicom_files import PLANTED, truncate, write_film

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, DataError
from radlet.data.sources.base import Rejected
from radlet.data.sources.dicom_tree import DicomTreeSource


def read(root, **settings):
    source = load_config(DicomTreeSource, None, kind="dicom_tree", root=root, **settings)
    items = list(source.studies(seed=0))
    rejected = {item.item_id: item.reason for item in items if isinstance(item, Rejected)}
    return [item.study for item in items if not isinstance(item, Rejected)], rejected


def test_files_are_found_by_content_and_grouped_by_study(tmp_path):
    shared = {"StudyInstanceUID": "1.2.3", "PatientID": "77"}
    write_film(tmp_path / "b" / "late", 1, SeriesNumber="2", **shared)
    write_film(tmp_path / "a.txt", 2, SeriesNumber="10", **shared)
    write_film(tmp_path / "other.dcm", 3, PatientSex="O", PatientAge="030M")
    (one, two), rejected = read(tmp_path)
    assert not rejected
    assert one.study_id == "1.2.3"
    assert [image.image_id for image in one.images] == ["b/late", "a.txt"]
    assert (one.sex, one.age_years) == ("F", 61)
    assert (two.sex, two.age_years) == (None, 2)
    assert one.patient_id != two.patient_id


def test_the_scanner_is_told_in_known_words_only(tmp_path):
    write_film(tmp_path / "a.dcm", 1, Manufacturer="Philips", ManufacturerModelName="DigitalDiagnost Doe")
    write_film(tmp_path / "b.dcm", 2, Manufacturer="Doe^Jane", ManufacturerModelName="DRX-1")
    write_film(tmp_path / "c.dcm", 3)
    studies, _ = read(tmp_path)
    assert [study.scanner for study in studies] == ["Philips DIGITALDIAGNOST", "other maker", None]


def test_what_is_no_chest_film_is_refused_with_its_reason(tmp_path):
    write_film(tmp_path / "good.dcm", 1)
    write_film(tmp_path / "part.dcm", 2, BodyPartExamined="KNEE")
    write_film(tmp_path / "typed.dcm", 3, BodyPartExamined=PLANTED[0] + " 12")
    write_film(tmp_path / "ct.dcm", 4, Modality="CT")
    write_film(tmp_path / "same.dcm", 1)
    write_film(tmp_path / "mixed.dcm", 6, StudyInstanceUID="1.2.826.0.2.1", PatientID="someone else")
    write_film(tmp_path / "chest_pa.dcm", 7, BodyPartExamined="CHEST PA")
    write_film(tmp_path / "untold.dcm", 8, BodyPartExamined="", Modality="")
    truncate(write_film(tmp_path / "short.dcm", 9), 0.02)
    (tmp_path / "notes.dcm").write_text("no film")
    (tmp_path / "empty.dcm").touch()
    studies, rejected = read(tmp_path)
    assert {study.images[0].image_id for study in studies} == {"good.dcm", "chest_pa.dcm", "untold.dcm"}
    assert rejected.pop("short.dcm").startswith(("truncated", "the header cannot be read"))
    assert rejected == {
        "part.dcm": "body part KNEE is not among CHEST, THORAX, LUNG",
        "typed.dcm": "body part (other) is not among CHEST, THORAX, LUNG",
        "ct.dcm": "modality CT is not among CR, DX, RG, RF",
        "same.dcm": "duplicate: the same SOPInstanceUID stands in an earlier file",
        "mixed.dcm": "its study has another patient in an earlier file",
        "notes.dcm": "not a DICOM file",
        "empty.dcm": "not a DICOM file",
    }


def test_files_without_study_stay_apart(tmp_path):
    write_film(tmp_path / "1.dcm", 1, StudyInstanceUID="", PatientID="")
    write_film(tmp_path / "2.dcm", 2, StudyInstanceUID="", PatientID="")
    studies, _ = read(tmp_path)
    assert len({study.study_id for study in studies}) == len({study.patient_id for study in studies}) == 2


def test_a_pipe_does_not_hang_the_scan(tmp_path):
    write_film(tmp_path / "1.dcm", 1)
    os.mkfifo(tmp_path / "pipe.dcm")
    assert len(read(tmp_path)[0]) == 1


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "AccessionNumber"])
def test_reports_are_found_by_study_or_accession(tmp_path, tag):
    write_film(tmp_path / "1.dcm", 1, AccessionNumber="A1")
    write_film(tmp_path / "2.dcm", 2, AccessionNumber="A2")
    (tmp_path / "reports.csv").write_text("uid,acc,text,why\n1.2.826.0.2.2,A2,FINDINGS: clear.,cough\n")
    key = {"StudyInstanceUID": "uid", "AccessionNumber": "acc"}[tag]
    columns = {"report": "text", "indication": "why"}
    reports = {"path": tmp_path / "reports.csv", "key": key, "tag": tag, "columns": columns}
    (one, two), rejected = read(tmp_path, reports=reports)
    assert not rejected
    assert one.report is None
    assert (two.report, two.sections) == ("FINDINGS: clear.", {"indication": "cough"})
    with pytest.raises(DataError, match="has no column 'texts'"):
        read(tmp_path, reports={**reports, "columns": {"report": "texts"}})


def test_a_patients_studies_are_put_in_order(tmp_path):
    for number, date in ((1, "20210101"), (2, "20190101"), (3, "20200101"), (4, "")):
        write_film(tmp_path / f"{number}.dcm", number, PatientID="p", StudyDate=date)
    studies, _ = read(tmp_path)
    priors = {study.study_id[-1]: study.prior_study_id and study.prior_study_id[-1] for study in studies}
    assert priors == {"1": "3", "2": None, "3": "2", "4": None}


def test_pseudonyms_cannot_be_switched_off(tmp_path):
    with pytest.raises(ConfigError, match="pseudonymise"):
        load_config(DicomTreeSource, None, kind="dicom_tree", root=tmp_path, pseudonymise=False)


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        read(tmp_path / "absent")
