"""The import contracts of pyproject.toml must bite: each is broken on purpose in a skeleton of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(sys.executable).with_name("lint-imports")
LAYERS = "Imports point down"
TORCH = "core, data and metrics never reach torch"
DICOM = "Only data (and pacs) reads DICOM"
NETWORK = "No network client outside llm, serving and pacs"
RAY = "Only the executor of that name reaches Ray"
CORE = "core stands on the standard library and pydantic alone"
CONTRACTS = {LAYERS, TORCH, DICOM, NETWORK, RAY, CORE}

VIOLATIONS = {
    "upwards": ("data/bad.py", "import radlet.stages", {LAYERS}),
    "into the command line": ("core/bad.py", "import radlet.cli", {LAYERS}),
    "sideways": ("metrics/bad.py", "import radlet.models", {LAYERS}),
    "sideways, higher up": ("training/bad.py", "import radlet.evaluation", {LAYERS}),
    "a package nobody placed": ("stray/__init__.py", "", {LAYERS}),
    "torch": ("data/bad.py", "import torch", {TORCH}),
    "torch inside a function": ("metrics/bad.py", "def f():\n    import torch\n", {TORCH}),
    "transformers": ("core/bad.py", "from transformers import AutoModel", {TORCH}),
    "dicom": ("inference/bad.py", "import pydicom", {DICOM}),
    "network": ("data/bad.py", "import urllib.request", {NETWORK}),
    "network, in a stage": ("stages/bad.py", "def f():\n    import httpx\n", {NETWORK}),
    "a cluster": ("stages/bad.py", "def f():\n    import ray\n", {RAY}),
    "weight in core": ("core/bad.py", "import numpy", {CORE}),
}


def broken_contracts(root: Path) -> set[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [LINT, "--no-cache", "--no-logo"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    verdicts = {
        name: verdict
        for line in done.stdout.splitlines()
        for name, _, verdict in [line.strip().rpartition(" ")]
        if verdict in {"KEPT", "BROKEN"}
    }
    assert set(verdicts) == CONTRACTS, done.stdout + done.stderr
    broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert (done.returncode != 0) == bool(broken)
    return broken


@pytest.fixture
def skeleton(tmp_path, repository):
    """The packages of radlet without their contents, under the contracts of the project."""
    shutil.copy(repository / "pyproject.toml", tmp_path)
    package = tmp_path / "src" / "radlet"
    for folder in [".", *(path.parent.name for path in (repository / "src" / "radlet").glob("*/__init__.py"))]:
        (package / folder).mkdir(parents=True, exist_ok=True)
        (package / folder / "__init__.py").touch()
    return tmp_path


def test_the_skeleton_keeps_every_contract(skeleton):
    assert broken_contracts(skeleton) == set()


@pytest.mark.parametrize(("file", "text", "expected"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_breaks_its_contract_and_no_other(skeleton, file, text, expected):
    path = skeleton / "src" / "radlet" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert broken_contracts(skeleton) == expected


def test_the_layers_still_to_come_have_their_place(skeleton):
    for name in ("serving", "pacs", "llm"):
        folder = skeleton / "src" / "radlet" / name
        folder.mkdir(exist_ok=True)  # llm is there already
        (folder / "__init__.py").write_text("import radlet.core\nimport http.client\n", encoding="utf-8")
    assert broken_contracts(skeleton) == set()
