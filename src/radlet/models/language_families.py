"""Families of language models that were tried with films: data in ``language_families.toml``, read once."""

import tomllib
from functools import lru_cache
from importlib.resources import files

from radlet.core.config import Config


class LanguageFamily(Config):
    """What is known of the language models of one ``model_type``."""

    models: str
    """Which published models it covers."""
    linear_layers: tuple[str, ...]
    """Names of the linear layers in a decoder layer, which low-rank updates stand beside."""
    templates: tuple[str, ...]
    """Prompt families of its tuned versions."""


@lru_cache(maxsize=1)
def language_families() -> dict[str, LanguageFamily]:
    """Return every family by the ``model_type`` of its configuration."""
    table = tomllib.loads((files("radlet.models") / "language_families.toml").read_text(encoding="utf-8"))
    return {name: LanguageFamily.model_validate(entry) for name, entry in table.items()}
