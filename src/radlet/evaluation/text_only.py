"""The baseline `text_only`: a plain language model that is told why the exam was made, and how others were reported.

It is another one than `no_image`, the same recipe tuned without films: this model was trained on no report of the set.
It shows what general language and a few examples give without a film.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import Field
from sklearn.feature_extraction.text import TfidfVectorizer

from radlet.core.config import Config
from radlet.core.records import Example
from radlet.evaluation.runner import Draft
from radlet.evaluation.tasks.base import Task

_HEADING = "Chest radiograph reports.\n\n"


class TextModelConfig(Config):
    """A language model that never saw a film, for the baseline `text_only`."""

    path: Path
    """Local folder of any causal language model of transformers with its tokenizer."""
    num_examples: int = Field(default=4, ge=0, le=32)
    """Training reports with the most similar indications that it is shown; fewer where they do not fit."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Longest answer, in tokens."""


class PromptWriter(Protocol):
    """What is needed of a language model."""

    def has_room(self, prompt: str, max_new_tokens: int) -> bool:
        """Tell whether a prompt and its answer fit."""

    def write(self, prompts: Sequence[str], *, max_new_tokens: int, batch_size: int) -> list[str]:
        """Return a line for each prompt."""


class TextOnly:
    """Asks a language model with examples.

    Args:
        task: What is asked.
        training: The rows that examples are taken from.
        config: How many, and how long the answers.
        seed: Of the examples of a row of which nothing is told.
    """

    def __init__(self, task: Task, training: Sequence[Example], config: TextModelConfig, seed: int) -> None:
        self._task, self._config, self._seed = task, config, seed
        # Films of one study are rows of their own with the same text.
        known = {(row.study_id, row.question): row for row in training if task.reference(row)}
        self._known = list(known.values())
        self._told = [_told(row) for row in self._known]
        self._vectorizer = TfidfVectorizer()
        has_words = any(re.search(r"\b\w\w+\b", told) for told in self._told)
        self._vectors = self._vectorizer.fit_transform(self._told) if has_words else None

    def draft(self, judged: Sequence[Example], model: PromptWriter, batch_size: int) -> Draft:
        """Return a function that drafts some rows."""

        def draft(rows: Sequence[int]) -> list[str]:
            prompts = [self.prompt(judged[row], model) for row in rows]
            written = model.write(prompts, max_new_tokens=self._config.max_new_tokens, batch_size=batch_size)
            return [whole_sentences(text) for text in written]

        return draft

    def prompt(self, example: Example, model: PromptWriter) -> str:
        """Return the prompt of a row: the nearest example last, the farthest left out first where room is short."""
        nearest = self._nearest(example)
        while True:
            shown = [self._shown(self._known[index]) for index in reversed(nearest)]
            prompt = _HEADING + "".join(shown) + _asked(example)
            if not nearest or model.has_room(prompt, self._config.max_new_tokens):
                return prompt
            nearest = nearest[:-1]

    def _shown(self, row: Example) -> str:
        return f"{_asked(row)} {' '.join(self._task.reference(row).split())}\n\n"

    def _nearest(self, example: Example) -> list[int]:
        """Return the rows most like what is told of an example; drawn by the seed where nothing is."""
        told = _told(example)
        order = np.random.default_rng(self._seed).permutation(len(self._known))
        if self._vectors is not None and told.strip():
            likeness = (self._vectors @ self._vectorizer.transform([told]).T).toarray()[:, 0]
            order = order[np.argsort(-likeness[order], kind="stable")]
        return [int(index) for index in order[: self._config.num_examples]]


def whole_sentences(text: str) -> str:
    """Return a text less a last sentence that was cut off; one that has no end at all stays."""
    ended = re.match(r"(.*[.!?])(?=\s|$)", text, flags=re.DOTALL)
    return ended[1] if ended else text


def _told(example: Example) -> str:
    return f"{example.indication or ''} {example.question or ''}"


def _asked(example: Example) -> str:
    lines = [f"Reason for the exam: {example.indication}"] if example.indication else []
    if example.question:
        return "\n".join([*lines, f"Question: {example.question}", "Answer:"])
    return "\n".join([*lines, f"{example.target_section.capitalize()}:"])
