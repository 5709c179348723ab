"""Task `questions`: answer a question about a film in one's own words, judged as LLaVA-Med judged VQA-RAD."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from radlet.core.errors import DataError
from radlet.core.records import AnswerKind, Example
from radlet.evaluation.scorecard import QuestionResults, TopicResult
from radlet.evaluation.scoring import MODEL, Answers, Measure
from radlet.evaluation.tasks.base import Task
from radlet.metrics.answers import ACCURACY, EXACT_MATCH, TOKEN_F1, TOKEN_RECALL, YES_SHARE, answer_words, yes_or_no
from radlet.metrics.resampling import PatientResampler

if TYPE_CHECKING:
    from radlet.inference.drafter import DraftRequest

_QUESTION_WORDS = 1024
"""Columns that the words of questions are hashed to."""

TypeOf = Callable[[Example], tuple[str, ...]]
_TYPES: Mapping[str, TypeOf] = {
    "kind": lambda _: (),
    "topic": lambda example: (example.topic or "",),
    "first word": lambda example: _opening(example, 1),
    "first two words": lambda example: _opening(example, 2),
}
"""Types of question that the constant may tell apart, the coarsest first."""


class Questions(Task):
    """Answer the question of an example about its films; closed questions by accuracy, open ones by recall of words."""

    version = 1
    looking: ClassVar[tuple[str, ...]] = ("closed_accuracy", "open_token_recall")

    def accepts(self, example: Example) -> bool:
        """Accept examples with a film, a question and its answer."""
        return bool(example.target and example.question and example.image_paths)

    def reference(self, example: Example) -> str:
        """Return the expected answer."""
        return example.target or ""

    def request(self, example: Example, image_paths: Sequence[str]) -> "DraftRequest":
        """Ask the example's own question."""
        from radlet.inference.drafter import DraftRequest  # noqa: PLC0415 - torch loads when drafting only

        return DraftRequest(tuple(Path(path) for path in image_paths), example.indication, example.question)

    def constants(self, judged: Sequence[Example], training: Sequence[Example], seed: int) -> list[str]:  # noqa: ARG002
        """Return the commonest training answer to each type of question."""
        return QuestionConstant(training).answers(judged)

    def asked_vectors(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Return the questions' words as unit rows: film and question count alike for the nearest neighbour."""
        hashed = HashingVectorizer(n_features=_QUESTION_WORDS, alternate_sign=False, token_pattern=r"\w+")  # noqa: S106
        return np.asarray(hashed.transform([example.question or "" for example in examples]).toarray(), np.float32)

    def measures(self, judged: Sequence[Example], answers: Answers) -> list[Measure]:
        """Return accuracy of closed questions, recall of open ones, and beside them exact match, F1 and yes."""
        closed = _of_kind(judged, answers.references, "closed")
        open_ = _of_kind(judged, answers.references, "open")
        yes_no = [text if text and _is_yes_no(text) else None for text in closed]
        return [
            Measure("closed_accuracy", ACCURACY, closed),
            Measure("open_token_recall", TOKEN_RECALL, open_),
            Measure("closed_exact_match", EXACT_MATCH, closed),
            Measure("open_exact_match", EXACT_MATCH, open_),
            Measure("open_token_f1", TOKEN_F1, open_),
            Measure("closed_yes_share", YES_SHARE, yes_no),
        ]

    def results(self, judged: Sequence[Example], answers: Answers, resampler: PatientResampler) -> Mapping[str, Any]:
        """Return how often the truth is yes, and the model's scores by topic."""
        closed = _of_kind(judged, answers.references, "closed")
        yes_no = [text for text in closed if text and _is_yes_no(text)]
        topics: dict[str, list[int]] = defaultdict(list)
        for row, example in enumerate(judged):
            for topic in (example.topic or "").split(", "):
                topics[topic].append(row)
        by_topic = {
            name or "none": _topic_result(judged, answers, resampler, rows)
            for name, rows in sorted(topics.items(), key=lambda item: (-len(item[1]), item[0]))
        }
        expected = sum(yes_or_no(text) == "yes" for text in yes_no) / len(yes_no) if yes_no else None
        return {"questions": QuestionResults(num_yes_no=len(yes_no), expected_yes_share=expected, topics=by_topic)}

    def typical(self, judged: Sequence[Example], answers: Answers, count: int, seed: int) -> list[int]:  # noqa: ARG002
        """Return rows drawn at random."""
        return sorted(np.random.default_rng(seed).permutation(len(judged))[:count].tolist())

    def worst(self, judged: Sequence[Example], answers: Answers, count: int) -> list[int]:
        """Return wrong answers, the emptiest of the reference's words first, one a film; ties are drawn."""
        marks = TOKEN_F1.statistics(answers.references, answers.systems[MODEL])[:, 0]
        order = np.lexsort((np.random.default_rng(len(judged)).random(len(judged)), marks))
        of_film: dict[tuple[str, ...], int] = {}
        for row in order:
            if marks[row] < 1:
                of_film.setdefault(judged[row].image_paths, int(row))
        return list(of_film.values())[:count]


class QuestionConstant:
    """Answer every question of a type with the commonest training answer to that type.

    Of the ways to tell types apart (see `_TYPES`), each kind of question takes the one by which the other training
    questions' commonest answer is right most often: the strongest constant that the train split gives.

    Args:
        training: Questions with their answers.

    Raises:
        DataError: There is none.
    """

    def __init__(self, training: Sequence[Example]) -> None:
        if not training:
            raise DataError("No training example has a question with its answer, so no constant answer can be chosen.")
        self._every = _commonest(training, lambda _: ())[()]
        self._tables: dict[str | None, tuple[TypeOf, dict[tuple[str, ...], Counter[str]], Counter[str]]] = {}
        for kind in {example.answer_kind for example in training}:
            of_kind = [example for example in training if example.answer_kind == kind]
            best = max(_TYPES.values(), key=lambda type_of: _right_left_out(of_kind, type_of))
            self._tables[kind] = best, _commonest(of_kind, best), _commonest(of_kind, lambda _: ())[()]

    def answers(self, judged: Sequence[Example]) -> list[str]:
        """Return the answer to each question; one of an unseen type gets the commonest of its kind."""
        return [self._answer(example) for example in judged]

    def _answer(self, example: Example) -> str:
        if example.answer_kind not in self._tables:
            return self._every.most_common(1)[0][0]
        type_of, table, of_kind = self._tables[example.answer_kind]
        return (table.get(type_of(example)) or of_kind).most_common(1)[0][0]


def _commonest(examples: Sequence[Example], type_of: TypeOf) -> dict[tuple[str, ...], Counter[str]]:
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for example in examples:
        counts[type_of(example)][(example.target or "").lower().strip(" .")] += 1
    return counts


def _right_left_out(examples: Sequence[Example], type_of: TypeOf) -> int:
    """Return how many questions the commonest answer to the others of their type gets right."""
    right = 0
    for counts in _commonest(examples, type_of).values():
        (_, most), (_, second) = [*counts.most_common(2), ("", 0)][:2]
        right += most * (most - 1 > second)
    return right


def _opening(example: Example, size: int) -> tuple[str, ...]:
    return answer_words(example.question or "")[:size]


def _of_kind(judged: Sequence[Example], references: Sequence[str], kind: AnswerKind) -> list[str | None]:
    return [text if row.answer_kind == kind else None for row, text in zip(judged, references, strict=True)]


def _is_yes_no(text: str) -> bool:
    return answer_words(text) in (("yes",), ("no",))


def _topic_result(
    judged: Sequence[Example], answers: Answers, resampler: PatientResampler, rows: Sequence[int]
) -> TopicResult:
    among = set(rows)
    texts = [text if row in among else None for row, text in enumerate(answers.references)]
    kinds = [example.answer_kind for example in judged]
    closed = [text if kind == "closed" else None for text, kind in zip(texts, kinds, strict=True)]
    open_ = [text if kind == "open" else None for text, kind in zip(texts, kinds, strict=True)]
    drafts = answers.systems[MODEL]
    return TopicResult(
        num_closed=sum(text is not None for text in closed),
        num_open=sum(text is not None for text in open_),
        closed_accuracy=resampler.estimate(ACCURACY.statistics(closed, drafts), ACCURACY.score_judged),
        open_token_recall=resampler.estimate(TOKEN_RECALL.statistics(open_, drafts), TOKEN_RECALL.score_judged),
    )
