"""Names, numbers and dates planted in headers, file names and reports are followed through a whole run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from tests.fixtures.dicom_files import PLANTED, truncate, write_film

from radlet.core.config import load_config
from radlet.data.sources.synthetic import SyntheticSource

NUM_PATIENTS, SIZE_PX, SEED = 40, 64, 7
LOOP = """loop]
max_steps = 3
micro_batch_size = 4
num_evals = 1
"""
RECIPES = {
    "ingest": """
num_workers = 1
[source]
kind = "dicom_tree"
root = "ROOT/dicom"
[source.reports]
path = "ROOT/reports.csv"
columns = { report = "report" }
""",
    "build": "shares = { train = 0.4, dev = 0.2, test = 0.4 }\n",
    "pretrain": """
embed_dim = 8
[image]
size_px = 32
resize = "squash"
[encoder]
kind = "hybrid"
widths = [8, 8, 16]
hidden_size = 16
num_layers = 1
num_heads = 2
[language_model]
vocab_size = 400
[language_model.options]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 256
["""
    + LOOP,
    "align": "[training." + LOOP,
    "finetune": "[training]\nnum_dev_drafts = 2\n[training." + LOOP,
    "evaluate": "num_resamples = 20\nnum_pictures = 2\n",
}
NO_SOCKETS = """
import socket

def refuse(self, address, *rest):
    host = address[0] if isinstance(address, tuple) else "local"
    if host not in ("127.0.0.1", "::1", "localhost", "local"):
        raise SystemExit(f"a connection beyond loopback was tried: {host}")
    return real(self, address, *rest)

real = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = refuse

def lookup(host, *rest, **more):
    if host not in ("127.0.0.1", "::1", "localhost", None):
        raise SystemExit(f"a name beyond loopback was looked up: {host}")
    return real_lookup(host, *rest, **more)

real_lookup = socket.getaddrinfo
socket.getaddrinfo = lookup
"""


def radlet(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "radlet.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("privacy")


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    """Synthetic studies with identifiers, as an archive would export them; three of their files are bad."""
    root = folder / "archive"
    settings = (f"num_patients={NUM_PATIENTS}", f"size_px={SIZE_PX}", "identifiers=true")
    done = radlet("synthesize", "--form", "dicom", "--seed", SEED, "--out", root, *settings, cwd=folder)
    assert done.returncode == 0, done.stderr
    named = root / "dicom" / f"{PLANTED[0]}_{PLANTED[1]}"
    truncate(write_film(named / f"{PLANTED[0]}-{PLANTED[5]}.dcm", 1), 0.6)
    truncate(write_film(named / f"{PLANTED[2]}.dcm", 2), 0.02)
    write_film(named / "knee.dcm", 3, BodyPartExamined=PLANTED[1].upper())
    return root


@pytest.fixture(scope="module")
def planted(archive: Path) -> set[str]:
    """Everything that may not be found behind `ingest`, in lower case."""
    source = load_config(SyntheticSource, None, num_patients=NUM_PATIENTS, size_px=SIZE_PX, identifiers=True)
    strings = {text for _, identifiers in source.planted_identifiers(SEED) for text in identifiers}
    strings |= {name for text in strings for name in text.split()}
    for path in (archive / "dicom").rglob("*.dcm"):
        if PLANTED[0] not in str(path):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            strings |= {header.PatientID, header.AccessionNumber, header.StudyInstanceUID, header.SOPInstanceUID}
            strings |= {header.PatientName.family_name, header.PatientName.given_name, path.stem}
    strings |= {*PLANTED, PLANTED[4].split("^")[1]}
    assert all(len(text) > 4 for text in strings)
    return {text.lower() for text in strings}


@pytest.fixture(scope="module")
def guard(folder: Path) -> dict[str, str]:
    """Environment in which a process that looks beyond loopback is stopped, shown to work."""
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(NO_SOCKETS)
    environment = {"PYTHONPATH": str(folder / "guard")}
    for attempt in ("socket.create_connection(('192.0.2.1', 80))", "socket.getaddrinfo('example.org', 443)"):
        command = [sys.executable, "-c", f"import socket; {attempt}"]
        stopped = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert "beyond loopback" in stopped.stderr
    return environment


@pytest.fixture(scope="module")
def whole_run(folder: Path, archive: Path, guard: dict[str, str]) -> tuple[Path, str]:
    """Run every stage on the archive, without a network; returns the folder and all that was said."""
    recipes = folder / "recipes"
    recipes.mkdir()
    for name, text in RECIPES.items():
        (recipes / f"{name}.toml").write_text('name = "planted"\n' + text.replace("ROOT", str(archive)))
    done = radlet("--debug", "run", recipes, "--out", folder / "out", cwd=folder, **guard)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out", done.stdout + done.stderr


def leaks(text: str, planted: set[str]) -> list[str]:
    lowered = text.lower()
    return sorted(string for string in planted if string in lowered)


def test_nothing_planted_is_found_behind_ingest(whole_run: tuple[Path, str], planted: set[str]) -> None:
    out, said = whole_run
    assert not leaks(said, planted)
    read = []
    for path in sorted(out.rglob("*")):
        relative = path.relative_to(out)
        assert not leaks(str(relative), planted)
        # What only the owner may read: the key, and the list that finds refused files again.
        if "private" in relative.parts or path.name == "studies.parquet" or not path.is_file():
            continue
        found = leaks(path.read_bytes().decode("latin-1"), planted)
        assert not found, f"{relative} holds {len(found)} planted strings"
        read.append(path.name)
    for name in (
        "metrics.jsonl", "summary.json", "rejected.jsonl", "environment.json", "config.json", "inputs.json",
        "outputs.json", "predictions.jsonl", "scorecard.json", "scorecard.html", "tokenizer.json", "radlet.json",
    ):  # fmt: skip
        assert name in read


def test_the_texts_that_are_learnt_hold_nothing_planted(whole_run: tuple[Path, str], planted: set[str]) -> None:
    # Parquet is compressed, so its bytes prove nothing.
    from radlet.data.manifests import read_examples

    [build] = (whole_run[0] / "runs" / "build").iterdir()
    examples = read_examples(build)
    assert len(examples) >= NUM_PATIENTS
    assert all(example.target for example in examples)
    for example in examples:
        assert not leaks(example.model_copy(update={"image_paths": ()}).model_dump_json().replace("\\n", " "), planted)


def test_refused_files_are_listed_without_their_names(whole_run: tuple[Path, str]) -> None:
    [ingest] = (whole_run[0] / "runs" / "ingest").iterdir()
    rows = [json.loads(line) for line in (ingest / "rejected.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert all(set(row) == {"id", "reason"} and row["reason"] for row in rows)


@pytest.mark.parametrize(("share", "flags"), [(0.0, ()), (0.6, ("--debug",))])
def test_an_archive_of_bad_films_fails_without_naming_anyone(
    tmp_path: Path, planted: set[str], share: float, flags: tuple[str, ...]
) -> None:
    root = tmp_path / "archive"
    truncate(write_film(root / PLANTED[0] / f"{PLANTED[1]}_{PLANTED[2]}.dcm", 1), share)
    recipe = tmp_path / "ingest.toml"
    recipe.write_text(f'num_workers = 1\n[source]\nkind = "dicom_tree"\nroot = "{root}"\n')
    failed = radlet(*flags, "ingest", recipe, cwd=tmp_path)
    assert failed.returncode != 0
    assert "No film could be ingested" in failed.stderr
    assert not leaks(failed.stdout + failed.stderr, planted)
    for path in (tmp_path / "runs" / "ingest").rglob("*"):
        assert not path.is_file() or not leaks(path.read_bytes().decode("latin-1"), planted)


def test_generate_stays_on_the_machine_and_names_only_the_paths_it_was_given(
    whole_run: tuple[Path, str], guard: dict[str, str], tmp_path: Path
) -> None:
    good = write_film(tmp_path / "good.dcm", 1)
    bad = write_film(tmp_path / "bad.dcm", 2)
    truncate(bad, 0.6)
    done = radlet("generate", whole_run[0] / "checkpoint", good, bad, cwd=tmp_path, **guard)
    assert done.returncode == 1, done.stderr
    assert "[unverified AI draft]" in done.stdout
    assert f"{bad}: refused" in done.stderr
    assert not leaks(done.stdout + done.stderr, {text.lower() for text in PLANTED})
