"""What tasks with options share: rows that belong together, and how a model takes one of the options."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Example, State
from radlet.evaluation.readings import text_observations
from radlet.evaluation.scoring import Answers
from radlet.evaluation.tasks.base import Choose
from radlet.inference.drafter import DraftRequest
from radlet.metrics.answers import answer_words
from radlet.metrics.choices import Asked

if TYPE_CHECKING:
    from radlet.inference.drafter import Drafter

LETTERS = "ABCDEFGH"
_LETTER = re.compile(r"^\W*([A-H])(?:[.):]|\W*$)")


class Choice(Example):
    """A row with options: one question of an item."""

    item: str
    """What it is part of: a question whose options are rotated, or a pair of films."""
    observation: str | None = None
    """Which observation the first option states and the second denies, where that is what is asked."""
    likeness: float | None = None
    """How much the films of a pair look alike to the encoder: cosine of their embeddings."""


@dataclass(frozen=True)
class ChoiceRequest(DraftRequest):
    """A request whose answer is one of several.

    Attributes:
        options: What can be answered.
        observation: Which observation the first option states and the second denies, if it is so.
    """

    options: tuple[str, ...] = ()
    observation: str | None = None


class Chooser:
    """Answer requests with one of their options.

    Args:
        drafter: The model.
        choose: How it chooses.
    """

    def __init__(self, drafter: "Drafter", choose: Choose) -> None:
        self._drafter, self._choose = drafter, choose
        # An answer ends with the option; in a report, more sentences follow.
        self._ended = drafter.card.target_section == "answer"

    def draft(self, requests: Sequence[DraftRequest], *, batch_size: int) -> list[str]:
        """Return the chosen option of each request; "" where what was written is none of them."""
        asked = [request for request in requests if isinstance(request, ChoiceRequest)]
        if self._choose == "generated":
            drafts = self._drafter.draft(asked, batch_size=batch_size)
            return [read_choice(request, draft) for request, draft in zip(asked, drafts, strict=True)]
        flat = [(request, option) for request in asked for option in request.options]
        marks = self._marks(flat, batch_size)
        chosen, start = [], 0
        for request in asked:
            own = marks[start : start + len(request.options)]
            chosen.append(request.options[int(own.argmax())])
            start += len(request.options)
        return chosen

    def _marks(self, flat: Sequence[tuple[ChoiceRequest, str]], batch_size: int) -> NDArray[np.float64]:
        texts = [option for _, option in flat]
        seen = [request for request, _ in flat]
        marks = self._drafter.log_likelihoods(seen, texts, ended=self._ended, batch_size=batch_size)[:, 0]
        if self._choose == "contrast":
            blind = [request.without_films() for request in seen]
            marks = marks - self._drafter.log_likelihoods(blind, texts, ended=self._ended, batch_size=batch_size)[:, 0]
        return marks


def read_choice(request: ChoiceRequest, draft: str) -> str:
    """Return the option that a draft names: by its letter, by its words, or by the observation that it states."""
    letter = _LETTER.match(draft)
    if letter and LETTERS.index(letter[1]) < len(request.options):
        return request.options[LETTERS.index(letter[1])]
    words = answer_words(draft)
    named = [option for option in request.options if answer_words(option) == words[: len(answer_words(option))]]
    if named and words:
        return max(named, key=len)
    if request.observation and words:
        stated = text_observations(draft).get(request.observation) is State.POSITIVE
        return request.options[0 if stated else 1]
    return ""


def as_request(row: Choice, question: str | None, image_paths: Sequence[str]) -> ChoiceRequest:
    """Return the request of a row."""
    return ChoiceRequest(
        tuple(Path(path) for path in image_paths),
        row.indication,
        question,
        options=row.options,
        observation=row.observation,
    )


def asked_items(judged: Sequence[Example], answers: Answers) -> list[Asked]:
    """Return what is expected of each row, with its item."""
    return [Asked(item_of(row), text) for row, text in zip(judged, answers.references, strict=True)]


def item_of(row: Example) -> str:
    """Return what a row is part of."""
    return row.item if isinstance(row, Choice) else row.example_id


def failed_items(judged: Sequence[Example], answers: Answers, drafts: Sequence[str]) -> list[list[int]]:
    """Return the rows of every item that has a wrong answer, the items with most of them first."""
    items: dict[str, list[int]] = {}
    for row, example in enumerate(judged):
        items.setdefault(item_of(example), []).append(row)
    wrong = {name: sum(answers.references[row] != drafts[row] for row in rows) for name, rows in items.items()}
    return [items[name] for name in sorted(items, key=lambda name: -wrong[name]) if wrong[name]]
