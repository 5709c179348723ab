"""Time and memory of `ingest` and `build` as the number of studies grows: tiny films, so that what grows shows.

Memory is the largest sum of the proportional set sizes (PSS) of a command and its worker processes, sampled ten times
a second, and the command's own share of it.

    python bench/scale.py --studies 1000 4000 16000 --source folder --workers 2
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

FILMS_A_FOLDER = 1000
REPORT = (
    "INDICATION: Cough.\n\nFINDINGS: The heart is normal in size. There is a small {side} pleural effusion, number "
    "{number}. No pneumothorax is seen. The lungs are otherwise clear.\n\nIMPRESSION: Small {side} pleural effusion."
)


@dataclass
class Spent:
    seconds: float
    peak_mb: float
    own_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--source", choices=("folder", "dicom_tree"), default="folder")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print(f"source {given.source}, {given.workers} workers")
    print(f"{'studies':>8} {'stage':>7} {'s':>8} {'a second':>9} {'peak MB':>8} {'own MB':>7}")
    for number in given.studies:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            recipe = WRITERS[given.source](root, number)
            ingested, spent = run("ingest", recipe, root, f"num_workers={given.workers}")
            _show(number, "ingest", spent)
            (root / "build.toml").write_text('labels = "both"\nsided_labels = true\n')
            _, spent = run("build", root / "build.toml", root, f"num_workers={given.workers}", f"ingest={ingested}")
            _show(number, "build", spent)


def run(stage: str, recipe: Path, root: Path, *overrides: str) -> tuple[str, Spent]:
    """Run one stage through the command line; return its run directory and what it took."""
    command = [sys.executable, "-m", "radlet.cli", stage, str(recipe), f"runs_dir={root}/runs", *overrides]
    begun = time.monotonic()
    with (root / f"{stage}.txt").open("w") as err:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
    peaks = {"all": 0.0, "own": 0.0}
    watcher = threading.Thread(target=_watch, args=(child, peaks))
    watcher.start()
    out, _ = child.communicate()
    watcher.join()
    if child.returncode:
        raise SystemExit((root / f"{stage}.txt").read_text())
    return out.strip(), Spent(time.monotonic() - begun, peaks["all"], peaks["own"])


def _watch(child: subprocess.Popen[str], peaks: dict[str, float]) -> None:
    watched = psutil.Process(child.pid)
    while child.poll() is None:
        own = _pss_mb(watched)
        peaks["own"] = max(peaks["own"], own)
        peaks["all"] = max(peaks["all"], own + sum(map(_pss_mb, _children(watched))))
        time.sleep(0.1)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _pss_mb(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return float(process.memory_full_info().pss) / 2**20
    return 0.0


def _show(number: int, stage: str, spent: Spent) -> None:
    rate = number / spent.seconds
    line = f"{number:8} {stage:>7} {spent.seconds:8.1f} {rate:9.1f} {spent.peak_mb:8.1f} {spent.own_mb:7.1f}"
    print(line, flush=True)


def _report(number: int) -> str:
    return REPORT.format(side=("left", "right")[number % 2], number=number)


def write_folder(root: Path, number: int) -> Path:
    """Write films of 16 px and a table of reports."""
    buffer = BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(buffer, format="PNG")
    with (root / "reports.jsonl").open("w") as table:
        for study in range(number):
            path = root / "films" / f"{study // FILMS_A_FOLDER:05d}" / f"{study}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
            ids = {"study": f"study-{study:09d}", "patient": f"patient-{study // 2:09d}"}
            row = {"film": str(path.relative_to(root)), **ids, "report": _report(study)}
            table.write(json.dumps(row) + "\n")
    recipe = root / "ingest.toml"
    recipe.write_text(
        f'[source]\nkind = "folder"\nroot = "{root}"\ntables = [{{ path = "reports.jsonl" }}]\n[source.columns]\n'
        'image = "film"\nstudy_id = "study"\npatient_id = "patient"\nreport = "report"\n'
    )
    return recipe


def write_dicom_tree(root: Path, number: int) -> Path:
    """Write DX objects of 16 px, one a study, and a table of reports by StudyInstanceUID."""
    template = _dicom_template()
    with (root / "reports.jsonl").open("w") as table:
        for study in range(number):
            path = root / "tree" / f"{study // FILMS_A_FOLDER:05d}" / f"{study}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = template.replace(b"000000001", b"%09d" % study).replace(b"000000002", b"%09d" % (study // 2))
            path.write_bytes(data)
            table.write(json.dumps({"StudyInstanceUID": f"1.2.826.0.2.1{study:09d}", "report": _report(study)}) + "\n")
    recipe = root / "ingest.toml"
    recipe.write_text(
        f'[source]\nkind = "dicom_tree"\nroot = "{root}/tree"\n[source.reports]\npath = "{root}/reports.jsonl"\n'
        'columns = { report = "report" }\n'
    )
    return recipe


def _dicom_template() -> bytes:
    header = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.826.0.1.1000000001"
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.StudyInstanceUID, header.PatientID = "1.2.826.0.2.1000000001", "P000000002"
    header.Modality, header.BodyPartExamined, header.ViewPosition = "DX", "CHEST", "PA"
    header.Rows = header.Columns = 16
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.WindowCenter, header.WindowWidth = 2048, 4096
    header.PixelData = (np.arange(256, dtype=np.uint16) * 16).tobytes()
    buffer = BytesIO()
    header.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


WRITERS = {"folder": write_folder, "dicom_tree": write_dicom_tree}


if __name__ == "__main__":
    main()
