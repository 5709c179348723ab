"""Prompt templates of the families of language models: data in ``templates.toml``, read once."""

import tomllib
from functools import lru_cache
from importlib.resources import files

from radlet.core.config import Config
from radlet.core.errors import UnknownNameError
from radlet.core.registry import nearest


class PromptTemplate(Config):
    """The published form of a family's chat, with room for films and a question."""

    models: str
    """Which models were tuned on it."""
    template: str
    """What stands before the answer, with `{images}`, `{question}` and, where there is one, `{system}`."""
    system: str = ""
    """The system sentence."""
    answer: str
    """How the answer stands behind the template, with `{answer}`."""
    end_of_answer: str | None = None
    """Token that ends an answer; None: the tokenizer's own end token."""
    bos: bool
    """Whether the tokenizer's begin token stands first."""
    checked: str
    """What its token ids were held against."""

    @property
    def full_template(self) -> str:
        """The template with its system sentence in place."""
        return self.template.replace("{system}", self.system)


@lru_cache(maxsize=1)
def prompt_templates() -> dict[str, PromptTemplate]:
    """Return every template by name."""
    table = tomllib.loads((files("radlet.models") / "templates.toml").read_text(encoding="utf-8"))
    return {name: PromptTemplate.model_validate(entry) for name, entry in table.items()}


def prompt_template(name: str) -> PromptTemplate:
    """Return the template of that name.

    Raises:
        UnknownNameError: There is none.
    """
    known = prompt_templates()
    if name not in known:
        raise UnknownNameError(f"No prompt family is called '{name}'.{nearest(name, list(known))}")
    return known[name]
