"""Task `multiple_choice`: take one of several answers, asked once with each rotation of them (circular evaluation)."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.evaluation.scorecard import ChoiceResults
from radlet.evaluation.scoring import MODEL, Answers, Measure
from radlet.evaluation.tasks.base import Choose, Material, Rows
from radlet.evaluation.tasks.choices import (
    LETTERS,
    Choice,
    ChoiceRequest,
    Chooser,
    as_request,
    asked_items,
    failed_items,
    item_of,
)
from radlet.evaluation.tasks.questions import Questions
from radlet.metrics.answers import TOKEN_F1, answer_words
from radlet.metrics.choices import ALL_RIGHT, EACH_RIGHT, SAME_THROUGHOUT
from radlet.metrics.resampling import PatientResampler

if TYPE_CHECKING:
    from radlet.inference.drafter import Drafter

NUM_OPTIONS = 4
_YES_NO = ("yes", "no")
_FORM = "{question} Options: {options}"


class MultipleChoice(Questions):
    """Choose the answer to a question among options, right only when it is chosen wherever it stands.

    Options are those of the question. Where it has none, they are yes and no, or its answer beside three others that
    the train split gives to questions of the same kind and topic (else of the same kind), drawn by the seed.
    """

    version = 1
    looking = ("multiple_choice_accuracy",)

    def accepts(self, example: Example) -> bool:
        """Accept examples with a film, a question and its answer, which is one of the options if there are any."""
        options = [answer_words(option) for option in example.options]
        known = not options or answer_words(example.target or "") in options
        return super().accepts(example) and known and bool(answer_words(example.target or ""))

    def rows(self, material: Material) -> Rows:
        """Return one row for each rotation of the options of each question.

        Raises:
            DataError: No question has another answer to choose from.
        """
        others = _Others(material.training)
        rows: list[Example] = []
        left_out = 0
        for example in material.judged:
            options = _options(example, others, material.seed)
            left_out += len(options) < 2
            rows += _rotations(example, options) if len(options) > 1 else []
        if not rows:
            raise DataError("No question has a second answer to choose from: the train split gives none of its kind.")
        return Rows(rows, {"no other answer of its kind in the train split": left_out} if left_out else {})

    def item(self, example: Example) -> str:
        """Return the question that is rotated."""
        return item_of(example)

    def request(self, example: Example, image_paths: Sequence[str]) -> ChoiceRequest:
        """Ask the question with its options, each behind its letter."""
        row = _choice(example)
        listed = " ".join(f"{letter}. {option}" for letter, option in zip(LETTERS, row.options, strict=False))
        return as_request(row, _FORM.format(question=row.question, options=listed), image_paths)

    def writer(self, drafter: "Drafter", choose: Choose) -> Chooser:
        """Return what chooses among the options."""
        return Chooser(drafter, choose)

    def constants(self, judged: Sequence[Example], training: Sequence[Example], seed: int) -> list[str]:  # noqa: ARG002
        """Return the option that is the commonest answer in the train split; the first in the alphabet among equals."""
        counts = Counter(answer_words(example.target or "") for example in training)
        return [
            max(sorted(row.options), key=lambda option: counts[answer_words(option)]) for row in map(_choice, judged)
        ]

    def copied(self, example: Example, neighbour: Example) -> str:
        """Return the option that shares most words with the neighbour's answer."""
        options = _choice(example).options
        marks = TOKEN_F1.statistics(options, [neighbour.target or ""] * len(options))[:, 0]
        return options[int(marks.argmax())]

    def measures(self, judged: Sequence[Example], answers: Answers) -> list[Measure]:
        """Return circular accuracy, accuracy of each asking, and how often rotation changes nothing."""
        asked = asked_items(judged, answers)
        return [
            Measure("multiple_choice_circular_accuracy", ALL_RIGHT, asked),
            Measure("multiple_choice_accuracy", EACH_RIGHT, asked),
            Measure("multiple_choice_consistency", SAME_THROUGHOUT, asked),
        ]

    def results(
        self,
        judged: Sequence[Example],
        answers: Answers,
        resampler: PatientResampler,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Return what guessing gives, and how often the model takes the option at each place."""
        rows = [_choice(row) for row in judged]
        sizes = np.array([len(row.options) for row in rows])
        first = {row.item: len(row.options) for row in rows}
        chance = {
            "multiple_choice_circular_accuracy": float(np.mean([size**-size for size in map(float, first.values())])),
            "multiple_choice_accuracy": float((1 / sizes).mean()),
        }
        places: dict[str, dict[str, float]] = {}
        for size in sorted(set(sizes.tolist())):
            of_size = [(row, text) for row, text in zip(rows, answers.systems[MODEL], strict=True)]
            taken = [
                row.options.index(text) for row, text in of_size if len(row.options) == size and text in row.options
            ]
            places[str(size)] = {LETTERS[i]: taken.count(i) / max(len(taken), 1) for i in range(size)}
        return {"choices": ChoiceResults(num_items=len(first), chance=chance, places=places)}

    def worst(self, judged: Sequence[Example], answers: Answers, count: int) -> list[int]:
        """Return one wrong answer of each question with the most of them."""
        drafts = answers.systems[MODEL]
        failed = failed_items(judged, answers, drafts)
        return [next(row for row in rows if drafts[row] != answers.references[row]) for rows in failed][:count]


class _Others:
    """The answers that the train split gives to questions of a kind, with and without their topic."""

    def __init__(self, training: Sequence[Example]) -> None:
        self._of: dict[tuple[str | None, str | None], dict[tuple[str, ...], str]] = {}
        for example in training:
            answer = (example.target or "").strip()
            for key in ((example.answer_kind, example.topic), (example.answer_kind, None)):
                if answer_words(answer) and answer_words(answer) not in (("yes",), ("no",)):
                    self._of.setdefault(key, {}).setdefault(answer_words(answer), answer)

    def than(self, example: Example) -> list[str]:
        """Return the other answers to the question's kind and topic, of its kind alone where they are too few."""
        own = answer_words(example.target or "")
        found: list[str] = []
        for key in ((example.answer_kind, example.topic), (example.answer_kind, None)):
            found = [text for words, text in sorted(self._of.get(key, {}).items()) if words != own]
            if len(found) >= NUM_OPTIONS - 1:
                break
        return found


def _options(example: Example, others: _Others, seed: int) -> list[str]:
    """Return the options of a question in the order of the first asking; the answer is one of them."""
    draws = np.random.default_rng((seed, zlib.crc32(example.example_id.encode())))
    answer = answer_words(example.target or "")
    if example.options:
        options = list(example.options)
    elif answer in (("yes",), ("no",)):
        options = list(_YES_NO)
    else:
        found = others.than(example)
        drawn = draws.permutation(len(found))[: NUM_OPTIONS - 1]
        options = [example.target or "", *(found[i] for i in drawn)]
    options = options[: len(LETTERS)] if len(options) <= len(LETTERS) else []
    return [options[i] for i in draws.permutation(len(options))]


def _rotations(example: Example, options: Sequence[str]) -> list[Choice]:
    own = answer_words(example.target or "")
    target = next(option for option in options if answer_words(option) == own)
    values = example.model_dump() | {"target": target, "item": example.example_id}
    return [
        Choice(
            **(
                values
                | {"example_id": f"{example.example_id}.r{start + 1}", "options": (*options[start:], *options[:start])}
            )
        )
        for start in range(len(options))
    ]


def _choice(row: Example) -> Choice:
    if not isinstance(row, Choice):
        raise TypeError("rows of a choice come from its task's rows()")
    return row
