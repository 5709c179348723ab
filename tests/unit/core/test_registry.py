import importlib.metadata
import sys

import pytest

from radlet.core import registry as module
from radlet.core.errors import RadletError, UnknownNameError
from radlet.core.registry import Registry, nearest


@pytest.fixture
def sources(monkeypatch):
    point = importlib.metadata.EntryPoint("plugin", "json:dumps", "radlet.sources")
    clash = importlib.metadata.EntryPoint("folder", "json:loads", "radlet.sources")
    monkeypatch.setattr(module, "entry_points", lambda group: [point, clash] if group == "radlet.sources" else [])
    return Registry("sources", {"folder": "pathlib:Path", "wave_file": "wave:Wave_read"})


def test_a_name_gives_its_implementation(sources):
    from pathlib import Path

    assert sources["folder"] is Path


def test_a_plugin_is_found_by_its_entry_point(sources):
    import json

    assert sources["plugin"] is json.dumps


def test_a_plugin_cannot_replace_what_radlet_ships(sources):
    from pathlib import Path

    assert sources["folder"] is Path


def test_listing_and_asking_import_nothing(sources, monkeypatch):
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    assert sorted(sources) == ["folder", "plugin", "wave_file"]
    assert len(sources) == 3
    assert "wave_file" in sources
    assert "wave" not in sources
    assert "wave" not in sys.modules


def test_a_wrong_name_answers_with_the_nearest_and_the_list(sources):
    with pytest.raises(UnknownNameError) as caught:
        sources["foldr"]
    assert str(caught.value) == (
        "No sources entry is called 'foldr'. Did you mean 'folder'? Known: folder, plugin, wave_file."
    )
    assert isinstance(caught.value, RadletError)


def test_a_name_far_from_all_gets_the_list_alone(sources):
    with pytest.raises(UnknownNameError, match=r"'zzzz'\. Known: folder"):
        sources["zzzz"]


def test_an_empty_registry_says_so():
    assert nearest("x", []) == " Known: (none)."
