"""Write synthetic studies as other systems deliver them: DICOM objects, or PNG files with a table of reports.

The DICOM objects are DX for presentation (PS3.3 A.26) with 12 bits stored and a linear window; one in four is
MONOCHROME1, as archives hold both. The names in them are invented.
"""

import csv
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from radlet.core.records import ImageRecord, Study
from radlet.data.sources.base import RawStudy
from radlet.data.sources.synthetic.canvas import FIELD_MM
from radlet.data.sources.synthetic.phrases import FIRST_NAMES, LAST_NAMES

_OFFSET, _STEP, _LARGEST = 500, 12, 4095
"""Display grey g is stored as 500 + 12 g, so that the window is a proper part of the 12-bit range."""

TABLE_FIELDS = (
    "image", "image_id", "study_id", "patient_id", "view", "report", "sex", "age_years", "site", "observations",
)  # fmt: skip


def write_dicom(raw: RawStudy, folder: Path) -> list[Path]:
    """Write one study as ``dicom/<patient>/<study>/<image>.dcm`` and its report as ``reports/<study>.txt``.

    Returns:
        The DICOM files, in the order of the study's images.
    """
    study = raw.study
    study_dir = folder / "dicom" / study.patient_id / study.study_id
    study_dir.mkdir(parents=True, exist_ok=True)
    paths = [study_dir / f"{image.image_id}.dcm" for image in study.images]
    for number, (image, path) in enumerate(zip(study.images, paths, strict=True), start=1):
        _dicom(study, image, number, raw.pixels[image.image_id]).save_as(path, enforce_file_format=True)
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports" / f"{study.study_id}.txt").write_text(study.report or "", encoding="utf-8")
    return paths


def write_dicom_tree(raws: Iterable[RawStudy], folder: Path) -> int:
    """Write studies by `write_dicom`, and ``reports.csv`` with their StudyInstanceUID; return the number of films."""
    folder.mkdir(parents=True, exist_ok=True)
    films = 0
    with (folder / "reports.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["StudyInstanceUID", "report"])
        for raw in raws:
            films += len(write_dicom(raw, folder))
            table.writerow([_uid(raw.study.study_id), raw.study.report])
    return films


def write_png_table(raws: Iterable[RawStudy], folder: Path) -> int:
    """Write 8-bit films to ``images/`` and one row a film to ``reports.csv`` and ``reports.jsonl``.

    Returns:
        The number of films.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    films = 0
    with (
        (folder / "reports.csv").open("w", newline="", encoding="utf-8") as csv_file,
        (folder / "reports.jsonl").open("w", encoding="utf-8") as jsonl_file,
    ):
        table = csv.DictWriter(csv_file, TABLE_FIELDS)
        table.writeheader()
        for raw in raws:
            for row in _rows(raw):
                Image.fromarray(raw.pixels[str(row["image_id"])]).save(folder / str(row["image"]))
                table.writerow(row)
                jsonl_file.write(json.dumps(row) + "\n")
                films += 1
    return films


def _rows(raw: RawStudy) -> Iterator[dict[str, str | int | None]]:
    study = raw.study
    present = ";".join(dict.fromkeys(finding.observation for finding in study.truth or ()))
    for image in study.images:
        yield {
            "image": f"images/{image.image_id}.png",
            "image_id": image.image_id,
            "study_id": study.study_id,
            "patient_id": study.patient_id,
            "view": image.view,
            "report": study.report,
            "sex": study.sex,
            "age_years": study.age_years,
            "site": study.site,
            "observations": present,
        }


def _uid(entropy: str) -> str:
    return str(generate_uid(entropy_srcs=["radlet synthetic", entropy]))


def _dicom(study: Study, image: ImageRecord, number: int, pixels: NDArray[np.uint8]) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = _uid(image.image_id)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(image.image_id, {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    _identify(header, study)
    header.Modality = "DX"
    header.PresentationIntentType = "FOR PRESENTATION"
    header.SeriesInstanceUID = _uid(f"{image.image_id} series")
    header.SeriesNumber, header.InstanceNumber = str(number), "1"
    header.BodyPartExamined = "CHEST"
    header.ViewPosition = "LL" if image.view == "LATERAL" else image.view
    header.ImageLaterality = "U"
    header.PatientOrientation = ["P", "F"] if image.view == "LATERAL" else ["L", "F"]
    header.Manufacturer, _, header.ManufacturerModelName = (study.scanner or "radlet").partition(" ")
    spacing = FIELD_MM / pixels.shape[1]
    header.ImagerPixelSpacing = [f"{spacing:.6g}", f"{spacing:.6g}"]
    _set_pixels(header, pixels, inverted=zlib.crc32(image.image_id.encode()) % 4 == 0)
    return header


def _identify(header: FileDataset, study: Study) -> None:
    number = zlib.crc32(study.patient_id.encode())
    first = FIRST_NAMES[study.sex or "F"]
    header.PatientName = f"{LAST_NAMES[number % len(LAST_NAMES)]}^{first[number // 64 % len(first)]}"
    header.PatientID = study.patient_id
    header.PatientSex = study.sex or "O"
    header.PatientAge = f"{study.age_years or 0:03d}Y"
    header.PatientBirthDate = ""
    header.StudyInstanceUID = _uid(study.study_id)
    header.StudyID = header.AccessionNumber = f"{zlib.crc32(study.study_id.encode()):010d}"
    # A patient's studies are numbered; a month apart keeps their order in the header.
    month = int(study.study_id.rpartition("-")[2]) - 1
    header.StudyDate = f"{2019 + month // 12}{month % 12 + 1:02d}01"
    header.StudyTime = "120000"
    header.ReferringPhysicianName = ""


def _set_pixels(header: FileDataset, pixels: NDArray[np.uint8], inverted: bool) -> None:
    stored = _OFFSET + _STEP * pixels.astype(np.uint16)
    # PS3.3 C.11.2.1.2.1: a linear window maps [c - 0.5 - (w-1)/2, c - 0.5 + (w-1)/2] to the whole grey scale.
    span = 255 * _STEP
    centre = _OFFSET + span / 2
    if inverted:
        stored, centre = np.uint16(_LARGEST) - stored, _LARGEST - centre
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    header.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    header.Rows, header.Columns = pixels.shape
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation = 0
    header.WindowCenter, header.WindowWidth = str(centre + 0.5), str(span + 1)
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = "0", "1", "US"
    header.PixelIntensityRelationship, header.PixelIntensityRelationshipSign = "LOG", -1 if inverted else 1
    header.PixelData = stored.astype("<u2").tobytes()
