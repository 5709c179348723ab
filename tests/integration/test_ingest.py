"""Ingest from the outside: raw files in, a run directory out, whatever is wrong with some of them."""

import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.fixtures.dicom_files import PLANTED, truncate, write_film

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, DataError, RunError, UnknownNameError
from radlet.data.images import read_film
from radlet.data.manifests import read_studies
from radlet.stages import ingest


def run_ingest(runs_dir, console=None, **values):
    given = {"num_workers": 2, "runs_dir": runs_dir, **values}
    config = load_config(ingest.IngestConfig, None, **given)
    with (runs_dir.parent / "console.txt").open("a") as file:
        return ingest.run(config, console or Console(file=file))


def dicom(root):
    return {"kind": "dicom_tree", "root": str(root)}


def read_rejected(run_dir):
    rows = [json.loads(line) for line in (run_dir / "rejected.jsonl").read_text().splitlines()]
    return {row["id"]: row["reason"] for row in rows}


def contents(run_dir):
    """Everything but the bookkeeping, by name."""
    skipped = {"config.json", "environment.json", "outputs.json", "DONE"}
    files = [path for path in run_dir.rglob("*") if path.is_file() and path.name not in skipped]
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in files}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / PLANTED[0]  # exports name their folders after patients
    for number in range(1, 13):
        write_film(
            root / PLANTED[1] / f"{PLANTED[2]}_{number}.dcm", number, PatientAge="095Y", PatientID=f"MRN{number // 2}"
        )
    truncate(root / PLANTED[1] / f"{PLANTED[2]}_11.dcm", 0.7)
    write_film(root / "knee.dcm", 20, BodyPartExamined="KNEE", Modality="DX")
    (root / "notes.txt").write_text("of Hortensia")
    return root


def test_good_films_are_kept_and_bad_ones_listed(tree, tmp_path):
    run_dir = run_ingest(tmp_path / "runs", source=dicom(tree), report_paths=True)
    studies = list(read_studies(run_dir))
    assert len(studies) == 11
    for study in studies:
        [image] = study.images
        with Image.open(run_dir / image.path) as stored:
            assert (stored.mode, stored.size) == ("L", (image.width_px, image.height_px)) == ("L", (64, 64))
        assert image.view == "PA"
        assert study.age_years == 90
    bad = f"{PLANTED[1]}/{PLANTED[2]}_11.dcm"
    rejected = read_rejected(run_dir)
    assert set(rejected) == {bad, "knee.dcm", "notes.txt"}
    assert "truncated" in rejected[bad]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert (summary["studies"], summary["films"], summary["rejected"], summary["patients"]) == (11, 11, 3, 7)
    assert sum(summary["rejected_by_reason"].values()) == 3
    assert not (run_dir / "journal").exists()


def test_the_stored_film_is_the_film(tree, tmp_path):
    path = write_film(tmp_path / "one" / "1.dcm", 1)
    run_dir = run_ingest(tmp_path / "runs", source=dicom(path.parent))
    [study] = read_studies(run_dir)
    with Image.open(run_dir / study.images[0].path) as stored:
        np.testing.assert_array_equal(np.asarray(stored), read_film(path).pixels)


def test_nothing_of_a_patient_leaves_ingest(tree, tmp_path):
    run_dir = run_ingest(tmp_path / "runs", source=dicom(tree))
    written = {**contents(run_dir), "console": (tmp_path / "console.txt").read_bytes()}
    written |= {f"name {number}": name.encode() for number, name in enumerate(list(written))}
    for name, data in written.items():
        for planted in (*PLANTED, "1.2.826.0"):
            assert planted.encode() not in data, name


def test_refused_files_can_be_found_again_by_the_owner_alone(tree, tmp_path):
    run_dir = run_ingest(tmp_path / "runs", source=dicom(tree))
    [finder] = (tmp_path / "runs" / "private").glob("*-rejected.jsonl")
    found = {row["id"]: row["raw_id"] for row in map(json.loads, finder.read_text().splitlines())}
    assert set(found) == set(read_rejected(run_dir))
    assert all((tree / path).is_file() for path in found.values())
    for path in (finder, tmp_path / "runs" / "private" / "pseudonym.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(finder.parent.stat().st_mode) == 0o700


def test_the_key_decides_the_pseudonyms(tree, tmp_path):
    def ids(runs_dir, key_text):
        (tmp_path / "key").write_text(key_text)
        run_dir = run_ingest(tmp_path / runs_dir, source=dicom(tree), pseudonym_key_file=str(tmp_path / "key"))
        return {study.patient_id for study in read_studies(run_dir)}

    assert ids("a", "k" * 32) == ids("b", "k" * 32)
    assert ids("a", "k" * 32).isdisjoint(ids("c", "l" * 32))
    with pytest.raises(ConfigError, match="at least 16"):
        ids("d", "short")


def test_the_result_does_not_depend_on_the_number_of_workers(tree, tmp_path):
    (tmp_path / "key").write_text("k" * 32)
    one, three = (
        run_ingest(tmp_path / f"runs{n}", source=dicom(tree), num_workers=n, pseudonym_key_file=str(tmp_path / "key"))
        for n in (1, 3)
    )
    assert contents(one) == contents(three)


def test_a_finished_run_is_left_as_it_is(tree, tmp_path):
    first = run_ingest(tmp_path / "runs", source=dicom(tree))
    before = (first / "DONE").stat().st_mtime_ns
    console = Console(record=True, width=300, file=io.StringIO())
    assert run_ingest(tmp_path / "runs", console, source=dicom(tree)) == first
    assert f"nothing to do: {first}" in console.export_text()
    assert (first / "DONE").stat().st_mtime_ns == before


def test_a_killed_run_resumes_to_the_same_result(tmp_path):
    for number in range(60):
        write_film(tmp_path / "tree" / f"{number}.dcm", number, size_px=256)
    truncate(tmp_path / "tree" / "7.dcm", 0.7)
    (tmp_path / "key").write_text("k" * 32)
    values = {"source": dicom(tmp_path / "tree"), "pseudonym_key_file": str(tmp_path / "key"), "num_workers": 1}
    whole = run_ingest(tmp_path / "whole", **values)
    code = (
        "import sys, json; from radlet.core.config import load_config; from radlet.stages import ingest\n"
        "if __name__ == '__main__': ingest.run(load_config(ingest.IngestConfig, None, **json.loads(sys.argv[1])))\n"
    )
    script = tmp_path / "killed.py"
    script.write_text(code)
    given = json.dumps({**values, "runs_dir": str(tmp_path / "runs")})
    child = subprocess.Popen([sys.executable, script, given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: sum(1 for _ in tmp_path.glob("runs/ingest/*/images/*.png")) >= 10)
    child.send_signal(signal.SIGKILL)
    child.wait()
    [killed] = (tmp_path / "runs" / "ingest").iterdir()
    assert not (killed / "DONE").exists()
    stored = {path: path.stat().st_mtime_ns for path in sorted(killed.glob("images/*.png"))[:5]}
    assert run_ingest(tmp_path / "runs", **values) == killed
    assert contents(killed) == contents(whole)
    kept = [path for path, written in stored.items() if path.stat().st_mtime_ns == written]
    assert len(kept) >= len(stored) - 1  # the film under way at the kill may be decoded again


def wait_for(condition, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_too_many_bad_films_are_an_error_with_counts(tree, tmp_path):
    with pytest.raises(DataError, match=r"3 of 14 films were refused.*1 x not a DICOM file"):
        run_ingest(tmp_path / "runs", source=dicom(tree), max_rejected_share=0.2)
    shutil.rmtree(tree / PLANTED[1])
    with pytest.raises(DataError, match="No film could be ingested"):
        run_ingest(tmp_path / "runs2", source=dicom(tree))


def test_a_wrong_source_is_answered_with_the_right_one(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'dicom_tree'"):
        run_ingest(tmp_path / "runs", source={"kind": "dicom_trees"})
    with pytest.raises(ConfigError, match=r"unknown key 'rot'\. Did you mean 'root'"):
        run_ingest(tmp_path / "runs", source={"kind": "dicom_tree", "rot": "x"})
    with pytest.raises(ConfigError, match="source"):
        run_ingest(tmp_path / "runs")


def test_a_thousand_files_of_which_some_are_bad(tmp_path):
    """20 truncated, 10 no images and 5 of other body parts: the good are ingested, each bad one is listed."""
    root, expected = tmp_path / "tree", {}
    for number in range(1000):
        path = root / f"{number // 100}" / f"{number:04d}.dcm"
        if number % 50 == 7:
            truncate(write_film(path, number), (number / 50 % 10 + 0.2) / 11)
            expected[number] = (
                "truncated",
                "header cannot be read",
                "holds no film",
                "holds no image",
                "not a DICOM file",
            )
        elif number % 100 == 13:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(2000) if number % 200 == 13 else b"")
            expected[number] = ("not a DICOM file",)
        elif number % 200 == 21:
            write_film(path, number, BodyPartExamined="KNEE")
            expected[number] = ("body part KNEE",)
        else:
            write_film(path, number)
    assert len(expected) == 35
    begun = time.monotonic()
    run_dir = run_ingest(tmp_path / "runs", source=dicom(root), report_paths=True)
    print(f"1,000 DICOM files ingested in {time.monotonic() - begun:.1f} s")  # noqa: T201 - a figure for the log
    rejected = {int(Path(name).stem): reason for name, reason in read_rejected(run_dir).items()}
    assert set(rejected) == set(expected)
    for number, reason in rejected.items():
        assert any(words in reason for words in expected[number]), (number, reason)
    assert sum(len(study.images) for study in read_studies(run_dir)) == 965


@pytest.mark.data
def test_real_dicom_files(shared_data, tmp_path):
    run_dir = run_ingest(
        tmp_path / "runs", source=dicom(shared_data / "dicom"), report_paths=True, max_rejected_share=1
    )
    kept = {image.path for study in read_studies(run_dir) for image in study.images}
    rejected = read_rejected(run_dir)
    assert len(kept) + len(rejected) == sum(1 for path in (shared_data / "dicom").iterdir())
    assert {"ct_small.dcm", "mr_small.dcm", "mg_breast_mlo_MG1_j2k.dcm", "manifest.json"} <= set(rejected)
    assert "cr_chest_pa_RG1_j2k_lossy.dcm" not in rejected


def test_a_film_that_cannot_be_written_is_not_refused_but_written_later(tree, tmp_path):
    calm = run_ingest(tmp_path / "runs", source=dicom(tree))
    wanted = contents(calm)
    film = calm / next(name for name in wanted if name.startswith("images/"))
    shutil.rmtree(calm)
    film.mkdir(parents=True)  # in the way, as a full disk would be
    with pytest.raises(RunError, match="goes on where it stood") as error:
        run_ingest(tmp_path / "runs", source=dicom(tree))
    assert not any(name in str(error.value) for name in PLANTED)
    film.rmdir()
    assert contents(run_ingest(tmp_path / "runs", source=dicom(tree))) == wanted


def test_an_empty_tree_that_is_filled_is_read_by_the_same_command(tree, tmp_path):
    late = tmp_path / "late"
    late.mkdir()
    with pytest.raises(DataError, match="the source holds none"):
        run_ingest(tmp_path / "runs", source=dicom(late))
    write_film(late / "film.dcm", 1)
    assert len(list(read_studies(run_ingest(tmp_path / "runs", source=dicom(late))))) == 1


def test_a_removed_run_leaves_no_listing_that_hides_new_films(tree, tmp_path):
    with pytest.raises(DataError, match="remove the folder and start again"):
        run_ingest(tmp_path / "runs", source=dicom(tree), max_rejected_share=0.0)
    [stopped] = (tmp_path / "runs" / "ingest").iterdir()
    shutil.rmtree(stopped)
    truncated = next(path for path in tree.rglob("*.dcm") if path.name.endswith("_11.dcm"))
    for path in (truncated, tree / "knee.dcm", tree / "notes.txt"):
        path.unlink()
    write_film(tree / "new.dcm", 99)
    run_dir = run_ingest(tmp_path / "runs", source=dicom(tree), max_rejected_share=0.0)
    assert len(list((run_dir / "images").iterdir())) == 12
    assert not list((tmp_path / "runs" / "private").glob("*-listing"))
