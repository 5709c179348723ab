"""De-identify from the outside: a DICOM tree in, a run directory out that `ingest` reads to the same films."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
from PIL import Image
from rich.console import Console
from tests.fixtures.dicom_files import PLANTED, truncate, write_film

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, DataError, RunError
from radlet.data import extra
from radlet.data.manifests import read_studies
from radlet.stages import deidentify, ingest

pytest.importorskip("dicomanonymizer")


def run_deidentify(runs_dir, root, **values):
    given = {
        "num_workers": 2,
        "runs_dir": runs_dir,
        "burned_in_text": "ignore",
        "source": {"root": str(root)},
        **values,
    }
    with (runs_dir.parent / "console.txt").open("a") as file:
        return deidentify.run(load_config(deidentify.DeidentifyConfig, None, **given), Console(file=file, width=120))


def run_ingest(runs_dir, root):
    source = {"kind": "dicom_tree", "root": str(root)}
    with (runs_dir.parent / "console.txt").open("a") as file:
        config = load_config(ingest.IngestConfig, None, num_workers=2, runs_dir=runs_dir, source=source)
        return ingest.run(config, Console(file=file))


def films_of(run_dir):
    return {
        path.relative_to(run_dir).as_posix(): path.read_bytes() for path in sorted((run_dir / "dicom").rglob("*.dcm"))
    }


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "archive"
    for number in range(1, 13):
        write_film(
            root / PLANTED[0] / f"{PLANTED[2]}_{number}.dcm",
            number,
            PatientID=f"MRN{number // 3}",
            StudyDate=f"2020{number:02d}15",
            ViewPosition=("PA", "AP", "LL")[number % 3],
        )
    truncate(root / PLANTED[0] / f"{PLANTED[2]}_11.dcm", 0.7)
    write_film(root / "knee.dcm", 20, BodyPartExamined="KNEE")
    write_film(root / "declared.dcm", 21, BurnedInAnnotation="YES")
    (root / "notes.txt").write_text("of Hortensia")
    return root


def test_the_films_read_as_before(tree, tmp_path):
    run_dir = run_deidentify(tmp_path / "runs", tree)
    before, after = (run_ingest(tmp_path / "runs", root) for root in (tree, run_dir / "dicom"))

    def seen(run):
        return sorted(
            (image.view, study.sex, study.age_years, np.asarray(Image.open(run / image.path)).tobytes())
            for study in read_studies(run)
            for image in study.images
        )

    assert len(seen(after)) == 12
    assert seen(before) == seen(after)
    priors = [sum(study.prior_study_id is not None for study in read_studies(run)) for run in (before, after)]
    assert priors[0] == priors[1] > 0


def test_refused_and_quarantined_files_are_listed_with_reasons(tree, tmp_path):
    run_dir = run_deidentify(tmp_path / "runs", tree, burned_in_text="ignore")
    summary = json.loads((run_dir / "summary.json").read_text())
    assert (summary["films"], summary["studies"]) == (12, 12)
    reasons = sorted(row["reason"] for row in rows(run_dir / "rejected.jsonl"))
    assert [reason.split()[0] for reason in reasons] == ["The", "body", "not"]
    finder = {
        row["id"]: row["raw_id"] for row in rows(tmp_path / "runs" / "private" / f"{run_dir.name}-rejected.jsonl")
    }
    assert set(finder.values()) == {f"{PLANTED[0]}/{PLANTED[2]}_11.dcm", "knee.dcm", "notes.txt"}
    assert set(finder) == {row["id"] for row in rows(run_dir / "rejected.jsonl")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_films_that_declare_burned_in_text_are_quarantined(tree, tmp_path):
    pytest.importorskip("rapidocr")
    run_dir = run_deidentify(tmp_path / "runs", tree, burned_in_text="quarantine")
    [held] = rows(run_dir / "quarantine.jsonl")
    assert "Burned In Annotation" in held["reason"]
    assert json.loads((run_dir / "summary.json").read_text())["quarantine"] == 1
    assert len(films_of(run_dir)) == 11


def test_pseudonyms_are_those_of_the_key(tree, tmp_path):
    keys = {}
    for name, text in (("one", "a" * 32), ("again", "a" * 32), ("other", "b" * 32)):
        keys[name] = tmp_path / f"{name}.key"
        keys[name].write_text(text)
    runs = {
        name: films_of(run_deidentify(tmp_path / name / "runs", tree, pseudonym_key_file=str(key)))
        for name, key in keys.items()
        if not (tmp_path / name).mkdir()
    }
    assert runs["one"] == runs["again"]
    assert not set(runs["one"]) & set(runs["other"])


def test_reports_go_along_without_identifiers(tree, tmp_path):
    table = tmp_path / "reports.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study", "text"])
        for number in range(1, 11):
            writer.writerow([f"1.2.826.0.2.{number}", f"FINDINGS: Small effusion. Called to Dr. Wimpole, {number}."])
    reports = {"path": str(table), "key": "study", "columns": {"report": "text"}}
    run_dir = run_deidentify(tmp_path / "runs", tree, source={"root": str(tree), "reports": reports})
    with (run_dir / "reports.csv").open(newline="") as file:
        written = {row["StudyInstanceUID"]: row["report"] for row in csv.DictReader(file)}
    uids = {str(pydicom.dcmread(run_dir / path).StudyInstanceUID) for path in films_of(run_dir)}
    assert len(written) == 10
    assert set(written) < uids
    assert all("effusion" in text and "Wimpole" not in text for text in written.values())


def test_a_killed_run_goes_on_to_the_same_end(tree, tmp_path):
    key = tmp_path / "key"
    key.write_text("k" * 32)
    calm = run_deidentify(tmp_path / "calm", tree, pseudonym_key_file=str(key))
    recipe = tmp_path / "deidentify.toml"
    recipe.write_text(
        f'num_workers = 1\nburned_in_text = "ignore"\npseudonym_key_file = "{key}"\nruns_dir = "{tmp_path / "runs"}"\n'
        f'[source]\nroot = "{tree}"\n'
    )
    command = [sys.executable, "-m", "radlet.cli", "deidentify", str(recipe)]
    started = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list((tmp_path / "runs").rglob("*.dcm")):
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    [resumed] = (tmp_path / "runs" / "deidentify").iterdir()
    assert films_of(resumed) == films_of(calm)
    assert not list(resumed.rglob("*.tmp"))
    assert rows(resumed / "rejected.jsonl") == rows(calm / "rejected.jsonl")


def test_a_tree_without_a_usable_film_fails(tmp_path):
    root = tmp_path / "archive"
    write_film(root / "knee.dcm", 1, BodyPartExamined="KNEE")
    with pytest.raises(DataError, match="No film is left"):
        run_deidentify(tmp_path / "runs", root)


def test_a_missing_extra_is_told_before_the_work(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"radlet\[deidentify\]"):
        run_deidentify(tmp_path / "runs", tree)
    assert not (tmp_path / "runs").exists()


def test_ingest_holds_films_with_burned_in_text_where_asked_to(tree, tmp_path):
    pytest.importorskip("rapidocr")
    source = {"kind": "dicom_tree", "root": str(tree)}
    config = load_config(
        ingest.IngestConfig, None, num_workers=1, runs_dir=tmp_path / "runs", source=source, burned_in_text="quarantine"
    )
    with (tmp_path / "console.txt").open("a") as file:
        run_dir = ingest.run(config, Console(file=file))
    reasons = json.loads((run_dir / "summary.json").read_text())["rejected_by_reason"]
    assert reasons["burned-in text"] == 1


def test_a_film_that_cannot_be_written_is_not_refused_but_written_later(tree, tmp_path):
    calm = run_deidentify(tmp_path / "runs", tree)
    wanted = films_of(calm)
    patient = calm / "dicom" / next(iter(wanted)).split("/")[1]
    shutil.rmtree(calm)
    patient.parent.mkdir(parents=True)
    patient.write_text("in the way")  # as a full disk would be
    with pytest.raises(RunError, match="goes on where it stood"):
        run_deidentify(tmp_path / "runs", tree)
    patient.unlink()
    assert films_of(run_deidentify(tmp_path / "runs", tree)) == wanted
