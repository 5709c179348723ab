"""What is installed from a wheel is all that the checkout has, and works without it."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

pytest.importorskip("hatchling", reason="the extra dev, which holds hatchling, is missing")

USE = """
import sys
from pathlib import Path

import radlet
from radlet.reading.store.store import Store
from radlet.serving.routes.pages import assets
from radlet.stages.pipeline import shipped_recipes

installed = Path(sys.argv[1])
assert Path(radlet.__file__).is_relative_to(installed), radlet.__file__
assert shipped_recipes("tiny").is_relative_to(installed)
assert len(assets()) == len(list((installed / "radlet" / "serving" / "static").iterdir()))
with Store(Path(sys.argv[2])) as store:
    assert store.worklist()[1] == 0
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The wheel, unpacked as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def files(folder: Path) -> set[str]:
    """Names of the files below a folder; what Python makes when it runs is none."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def test_the_wheel_holds_every_file_of_the_package_and_the_recipes(wheel: Path, repository: Path) -> None:
    recipes = {f"recipes/{name}" for name in files(repository / "recipes")}
    assert files(wheel / "radlet") == files(repository / "src" / "radlet") | recipes
    assert (next(wheel.glob("*.dist-info")) / "licenses" / "LICENSE").is_file()


def test_what_is_installed_finds_its_files_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    command = [sys.executable, "-c", USE, str(wheel), str(tmp_path / "room")]
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
