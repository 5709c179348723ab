"""Every source is documented, and every recipe snippet of the documentation is one that `ingest` takes."""

import re
import tomllib

import pytest

from radlet.core.config import load_config
from radlet.data.sources import SOURCES
from radlet.stages.ingest import IngestConfig


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "sources.md").read_text(encoding="utf-8")


def test_every_source_has_its_place_in_the_documentation(page, repository):
    documented = set(re.findall(r'kind = "(\w+)"', page))
    documented |= set(re.findall(r"\*\*`(\w+)`\*\*", (repository / "docs" / "ingest.md").read_text(encoding="utf-8")))
    assert set(SOURCES) <= documented


def test_every_snippet_is_a_recipe(page):
    snippets = [snippet for snippet in re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL) if "[source]" in snippet]
    assert len(snippets) >= 6
    for snippet in snippets:
        config = load_config(IngestConfig, None, **tomllib.loads(snippet))
        assert type(config.source) is SOURCES[config.source.kind]
