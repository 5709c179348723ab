"""Written as DICOM or PNG, synthetic films read back as the films they were."""

import csv
import json

import numpy as np
import pydicom
import pytest

from radlet.data.images import read_film
from radlet.data.sources.dicom_tree import DicomTreeSource
from radlet.data.sources.synthetic import SyntheticSource, write_dicom, write_dicom_tree, write_png_table


@pytest.fixture(scope="module")
def raws():
    return list(SyntheticSource(num_patients=6, size_px=64, lateral_share=0.7).studies(0))


def test_dicom_reads_back_to_the_same_film(raws, tmp_path):
    photometrics = set()
    for raw in raws:
        paths = write_dicom(raw, tmp_path)
        for image, path in zip(raw.study.images, paths, strict=True):
            film = read_film(path)
            assert np.abs(film.pixels.astype(int) - raw.pixels[image.image_id]).max() <= 1
            assert (film.view, film.modality, film.body_part) == (image.view, "DX", "CHEST")
            header = pydicom.dcmread(path)
            photometrics.add(header.PhotometricInterpretation)
            assert header.BitsStored == 12
            assert header.pixel_array.max() < 4096
        assert (tmp_path / "reports" / f"{raw.study.study_id}.txt").read_text() == raw.study.report
    assert photometrics == {"MONOCHROME1", "MONOCHROME2"}


def test_dicom_tree_is_accepted_whole_by_its_source(raws, tmp_path):
    films = write_dicom_tree(raws, tmp_path)
    reports = {
        "path": tmp_path / "reports.csv",
        "columns": {"report": "report"},
    }
    read = list(DicomTreeSource(root=tmp_path / "dicom", reports=reports).studies(0))
    assert sum(len(raw.study.images) for raw in read) == films
    assert sorted(raw.study.report for raw in read) == sorted(raw.study.report for raw in raws)


def test_png_table_has_a_row_a_film_and_the_same_pixels(raws, tmp_path):
    films = write_png_table(raws, tmp_path)
    with (tmp_path / "reports.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "reports.jsonl").read_text().splitlines()]
    pixels = {name: film for raw in raws for name, film in raw.pixels.items()}
    assert films == len(rows) == len(lines) == len(pixels)
    for row, line in zip(rows, lines, strict=True):
        assert row["report"] == line["report"]
        assert np.array_equal(read_film(tmp_path / row["image"]).pixels, pixels[row["image_id"]])
