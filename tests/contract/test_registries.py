"""What every registry promises, found by walking the package: a new registry or entry is tested unasked."""

import importlib
import pkgutil
import tomllib

import pytest

import radlet
from radlet.core.errors import UnknownNameError
from radlet.core.registry import Registry


def find_registries() -> dict[str, Registry]:
    packages = [info.name for info in pkgutil.walk_packages(radlet.__path__, "radlet.") if info.ispkg]
    found = [value for name in packages for value in vars(importlib.import_module(name)).values()]
    return {value.kind: value for value in found if isinstance(value, Registry)}


REGISTRIES = find_registries()
ENTRIES = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]


def test_the_kinds_that_must_exist_do():
    assert {"sources", "tunings", "losses", "metrics", "executors"} <= set(REGISTRIES)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_kind_is_one_lower_case_word_with_entries(kind):
    assert kind.isidentifier()
    assert kind == kind.lower()
    assert len(REGISTRIES[kind]) > 0


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_imports_and_is_documented(kind, name):
    implementation = REGISTRIES[kind][name]
    assert (implementation.__doc__ or "").strip()


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_name_is_written_the_same_way(kind, name):
    assert name == name.lower()
    assert name.replace("-", "_").isidentifier()


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_a_misspelt_name_is_answered_with_the_right_one(kind, name):
    with pytest.raises(UnknownNameError, match=rf"Did you mean '{name}'\?.*Known: "):
        REGISTRIES[kind][f"{name}x" if f"{name}x" not in REGISTRIES[kind] else f"{name}qq"]


def test_pyproject_declares_no_entry_points_of_its_own(repository):
    """What radlet ships stands in its tables; entry points are for other people's packages."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "entry-points" not in project
