"""Prompts as data, and answers as their form: the words around a question and the way back."""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, ValidationError

from radlet.llm.answers import Answer

Message = dict[str, str]


class _Pair(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    given: str
    answer: str


class Prompt(BaseModel):
    """The words of one job, from its file under ``prompts/``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    system: str
    examples: tuple[_Pair, ...] = ()
    digest: str

    def messages(self, text: str, reasons: tuple[str, ...] = ()) -> list[Message]:
        """Return the question about a text; `reasons`: why the answer before was refused.

        The reasons stand in the instructions: small models take a further turn for the text to work on.
        """
        turns = [{"role": "system", "content": self.system.strip() + _warning(reasons)}]
        for pair in self.examples:
            turns += _turn("user", pair.given) + _turn("assistant", pair.answer)
        return turns + _turn("user", text)


class _Refusals(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    opening: str
    closing: str
    otherwise: str
    reasons: dict[str, str]


@dataclass(frozen=True)
class Unreadable:
    """An answer that is not of the asked form."""

    reason: str


@cache
def load_prompt(kind: str) -> Prompt:
    """Read the prompt of a job; the digest is that of all the words that the model is told for it."""
    raw = _read(kind)
    digest = hashlib.sha256(raw + _read("refusals")).hexdigest()[:16]
    return Prompt(**tomllib.loads(raw.decode()), digest=digest)


def read_reply(answer: Answer, schema: type[BaseModel]) -> BaseModel | Unreadable:
    """Return an answer in its form, or why it has another.

    A JSON object with words around it is taken, since models that no server holds to a form like to add some.
    """
    if answer.refusal:
        return Unreadable("refused")
    if answer.cut:
        return Unreadable("cut")
    found = _first_object(answer.text)
    if found is None:
        return Unreadable("not_json")
    try:
        return schema.model_validate_json(found)
    except ValidationError:
        return Unreadable("wrong_form")


def _first_object(text: str) -> str | None:
    decoder = json.JSONDecoder()
    start = text.find("{")
    if start < 0:
        return None
    try:
        _, end = decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return text[start:end]


def _warning(reasons: tuple[str, ...]) -> str:
    if not reasons:
        return ""
    words = _refusals()
    told = "; ".join(dict.fromkeys(words.reasons.get(reason, words.otherwise) for reason in reasons))
    return f"\n{words.opening} {told}. {words.closing}"


def _turn(role: str, text: str) -> list[Message]:
    return [{"role": role, "content": text.strip()}]


@cache
def _refusals() -> _Refusals:
    return _Refusals(**tomllib.loads(_read("refusals").decode()))


def _read(name: str) -> bytes:
    return (files("radlet.llm") / "prompts" / f"{name}.toml").read_bytes()
