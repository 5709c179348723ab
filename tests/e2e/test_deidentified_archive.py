"""An archive full of secrets is de-identified, ingested and built by the command line; no artefact holds one."""

import csv
import os
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.fixtures.secrets import NAME, NUMBER, SECRETS, found_secrets, plant

from radlet.core.config import load_config
from radlet.data.sources.synthetic import SyntheticSource

pytest.importorskip("dicomanonymizer")
pytest.importorskip("rapidocr")
pytestmark = pytest.mark.filterwarnings("ignore")

SEED, SETTINGS = 11, {"num_patients": 4, "size_px": 256, "identifiers": True}
BURNED = 2
"""How many films have a name in their pixels."""


def radlet(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "radlet.cli", *map(str, arguments)],
        cwd=cwd, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deidentify")


@pytest.fixture(scope="module")
def archive(folder):
    """A tree with secrets in every attribute, in file and folder names, in pixels, and in the table of reports."""
    root = folder / "archive"
    settings = [f"{name}={str(value).lower()}" for name, value in SETTINGS.items()]
    assert radlet("synthesize", "--form", "dicom", "--seed", SEED, "--out", root, *settings, cwd=folder).returncode == 0
    for number, path in enumerate(sorted((root / "dicom").rglob("*.dcm"))):
        plant(path)
        if number < BURNED:
            burn(path, f"{NAME}, HORTENSIA")
        named = root / "dicom" / f"{NAME}_{number % 3}" / f"{path.stem}_{NUMBER}.dcm"
        named.parent.mkdir(exist_ok=True)
        path.rename(named)
    report = pydicom.Dataset()
    report.SOPClassUID, report.Modality, report.PatientName = "1.2.840.10008.5.1.4.1.1.104.1", "DOC", NAME
    report.EncapsulatedDocument = f"%PDF {NAME} ".encode()
    report.StudyInstanceUID, report.SOPInstanceUID = "1.2.3", "1.2.4"
    report.file_meta = pydicom.dataset.FileMetaDataset()
    report.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    report.save_as(root / "dicom" / f"{NAME}.dcm", enforce_file_format=True)
    return root


def burn(path, text):
    header = pydicom.dcmread(path)
    pixels = header.pixel_array
    image = Image.new("1", pixels.shape[::-1])
    ImageDraw.Draw(image).text((8, 8), text, fill=1, font=ImageFont.load_default(18))
    lit = header.PhotometricInterpretation == "MONOCHROME2"
    pixels = pixels.copy()
    pixels[:30] = 500 if lit else 4095 - 500
    pixels[[[bool(image.getpixel((x, y))) for x in range(image.width)] for y in range(image.height)]] = (
        3500 if lit else 595
    )
    header.PixelData = pixels.tobytes()
    header.save_as(path)


@pytest.fixture(scope="module")
def secrets(archive):
    source = load_config(SyntheticSource, None, **SETTINGS)
    strings = {text for _, planted in source.planted_identifiers(SEED) for text in planted}
    for path in (archive / "dicom").rglob("*_*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        strings |= {header.PatientID, header.AccessionNumber, header.StudyInstanceUID, header.SOPInstanceUID}
        strings |= {header.PatientName.family_name, path.stem}
    return {*strings, *SECRETS}


def work(folder, archive, name, key):
    """De-identify, ingest and build into a folder of its own; return it and all that was said."""
    out = folder / name
    out.mkdir()
    (out / "private").mkdir()
    (out / "private" / "my.key").write_text(key * 32)
    common = (
        f'name = "planted"\nruns_dir = "{out}/runs"\npseudonym_key_file = "{out}/private/my.key"\nnum_workers = 1\n'
    )
    reports = '[source.reports]\npath = "{}/reports.csv"\ncolumns = {{ report = "report" }}\n'
    source = '[source]\nkind = "dicom_tree"\nroot = "{}/dicom"\n' + reports
    said = ""
    (out / "deidentify.toml").write_text(common + source.format(archive, archive))
    done = radlet("deidentify", out / "deidentify.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    run = Path(done.stdout.strip())
    said += done.stdout + done.stderr
    if name == "one":
        (out / "ingest.toml").write_text(common + source.format(run, run))
        (out / "build.toml").write_text('name = "planted"\n' + f'runs_dir = "{out}/runs"\n')
        ingested = radlet("ingest", out / "ingest.toml", cwd=folder)
        assert ingested.returncode == 0, ingested.stderr
        built = radlet("build", out / "build.toml", f"ingest={ingested.stdout.strip()}", cwd=folder)
        assert built.returncode == 0, built.stderr
        said += ingested.stdout + ingested.stderr + built.stdout + built.stderr
    return run, said


@pytest.fixture(scope="module")
def runs(folder, archive):
    return {name: work(folder, archive, name, key) for name, key in (("one", "a"), ("again", "a"), ("other", "b"))}


def test_the_secrets_were_there(archive, secrets):
    data = b"".join(path.read_bytes() for path in archive.rglob("*") if path.is_file())
    names = "".join(map(str, archive.rglob("*")))
    assert set(found_secrets(data + names.encode(), secrets)) == secrets


def test_no_artefact_of_any_stage_holds_a_secret(runs, folder, archive, secrets):
    run, said = runs["one"]
    assert not found_secrets(said.encode(), secrets)
    stages = set()
    for path in sorted((folder / "one").rglob("*")):
        relative = path.relative_to(folder)
        assert not found_secrets(str(relative).encode(), secrets)
        if "private" in relative.parts or not path.is_file():
            continue
        assert not found_secrets(path.read_bytes(), secrets), relative
        if path.suffix == ".parquet":  # compressed: its bytes prove nothing
            text = str(pq.read_table(path).to_pylist())
            assert len(text) > 1000
            assert not found_secrets(text.encode(), secrets), relative
        stages.add(relative.parts[2] if len(relative.parts) > 2 else "")
    assert {"deidentify", "ingest", "build"} <= stages
    assert len(list((run / "dicom").rglob("*.dcm"))) == len(list((archive / "dicom").rglob("*_*.dcm"))) - BURNED


def test_burned_in_names_and_documents_are_held_back(runs):
    run, said = runs["one"]
    assert len((run / "quarantine.jsonl").read_text().splitlines()) == BURNED
    assert "burned-in text" in said
    assert len((run / "rejected.jsonl").read_text().splitlines()) == 1


def test_one_key_gives_one_set_of_pseudonyms(runs):
    names = {
        name: {path.relative_to(run).as_posix(): path.read_bytes() for path in (run / "dicom").rglob("*.dcm")}
        for name, (run, _) in runs.items()
    }
    assert names["one"] == names["again"]
    assert not set(names["one"]) & set(names["other"])


def test_the_dates_of_a_patient_move_together(runs, archive):
    run, _ = runs["one"]
    moved, raw = dates(run / "dicom"), dates(archive / "dicom")
    assert any(len(days) > 1 for days in moved)
    for days in moved:
        shifted = ({day + timedelta(days=back) for day in days} for back in range(1, 366))
        assert any(candidate <= original for candidate in shifted for original in raw)


def dates(root):
    """Return the study dates of every patient."""
    by_patient = defaultdict(set)
    for path in root.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if header.get("Rows"):
            by_patient[header.PatientID].add(datetime.strptime(header.StudyDate, "%Y%m%d"))  # noqa: DTZ007
    return list(by_patient.values())


def test_the_reports_that_are_learnt_still_state_their_findings(runs):
    run, _ = runs["one"]
    with (run / "reports.csv").open(newline="") as file:
        texts = [row["report"] for row in csv.DictReader(file)]
    assert len(texts) >= 3
    assert all(len(text) > 80 for text in texts)
