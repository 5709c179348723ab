"""Marks of short answers to questions, after the protocol that LLaVA-Med published for VQA-RAD, SLAKE and PathVQA.

Closed questions are judged by accuracy, open ones by the recall of the reference's words (Li et al. 2023, section 5.2).
Answers are compared as words in lower case, without punctuation and articles, numbers to ten as digits.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence

import numpy as np

from radlet.metrics.base import Floats, Metric, ratio

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = dict(
    zip(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        map(str, range(11)),
        strict=True,
    )
)
_PARTS = re.compile(r"\d+(?:\.\d+)+|\w+")
_YES_NO = frozenset({"yes", "no"})


def answer_words(text: str) -> tuple[str, ...]:
    """Return the words of an answer in the form in which answers are compared."""
    words = _PARTS.findall(text.lower().replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", ""))
    return tuple(_NUMBERS.get(word, word) for word in words if word not in _ARTICLES)


def yes_or_no(text: str) -> str | None:
    """Return the first of "yes" and "no" that is a word of the text."""
    return next((word for word in answer_words(text) if word in _YES_NO), None)


class AnswerMetric(Metric):
    """Mean of a mark that each answer gets; where the reference is None, the answer is not judged."""

    reads = "text"
    judges = "answers"
    empty = "an empty answer scores 0, and so does every answer to an empty reference"
    source = "Li et al. 2023 (LLaVA-Med), section 5.2"

    @abstractmethod
    def mark(self, reference: tuple[str, ...], answer: tuple[str, ...]) -> float:
        """Return the mark of one answer, both as words, of which the reference has at least one."""

    def statistics(self, references: Sequence[str | None], predictions: Sequence[str]) -> Floats:
        """Return the mark and a count of one, shape (n, 2)."""
        rows = [self._row(reference, answer) for reference, answer in zip(references, predictions, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean mark."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the number of answers judged."""
        return np.asarray(totals[..., 1])

    def _row(self, reference: str | None, answer: str) -> tuple[float, int]:
        if reference is None:
            return 0.0, 0
        wanted = answer_words(reference)
        return (self.mark(wanted, answer_words(answer)) if wanted else 0.0), 1


class ExactMatch(AnswerMetric):
    """Share of answers that are the reference, word for word."""

    source = "SQuAD's exact match (Rajpurkar et al. 2016), with numbers as digits"

    def mark(self, reference: tuple[str, ...], answer: tuple[str, ...]) -> float:
        """Return 1 for the same words in the same order."""
        return float(reference == answer)


class Accuracy(AnswerMetric):
    """Share of answers that say what the reference says.

    Of a reference of yes or no, the first yes or no of the answer counts; any other reference must stand in the answer,
    its words one after the other.
    """

    source = "Li et al. 2023 (LLaVA-Med), section 5.2: accuracy of closed questions, compared by whole words"

    def mark(self, reference: tuple[str, ...], answer: tuple[str, ...]) -> float:
        """Return 1 for an answer that says it."""
        if reference[0] in _YES_NO and len(reference) == 1:
            return float(next((word for word in answer if word in _YES_NO), None) == reference[0])
        size = len(reference)
        return float(any(answer[i : i + size] == reference for i in range(len(answer) - size + 1)))


class TokenRecall(AnswerMetric):
    """Mean share of the reference's words that stand in the answer; a repeated word must be repeated."""

    source = "Li et al. 2023 (LLaVA-Med), section 5.2: recall of open questions; equals its code where no word repeats"

    def mark(self, reference: tuple[str, ...], answer: tuple[str, ...]) -> float:
        """Return the share of the reference's words."""
        return _shared(reference, answer) / len(reference)


class TokenF1(AnswerMetric):
    """Mean F1 of the words that answer and reference share."""

    source = "SQuAD's F1 (Rajpurkar et al. 2016), with numbers as digits"

    def mark(self, reference: tuple[str, ...], answer: tuple[str, ...]) -> float:
        """Return twice the shared words over all words."""
        return 2 * _shared(reference, answer) / (len(reference) + len(answer))


class YesShare(AnswerMetric):
    """Share of answers whose first yes or no is yes (a description, not a mark)."""

    direction = None
    empty = "an empty answer is no yes"
    source = "a count"

    def mark(self, reference: tuple[str, ...], answer: tuple[str, ...]) -> float:  # noqa: ARG002
        """Return 1 for yes."""
        return float(next((word for word in answer if word in _YES_NO), None) == "yes")


def _shared(reference: tuple[str, ...], answer: tuple[str, ...]) -> int:
    return sum((Counter(reference) & Counter(answer)).values())


EXACT_MATCH = ExactMatch()
ACCURACY = Accuracy()
TOKEN_RECALL = TokenRecall()
TOKEN_F1 = TokenF1()
YES_SHARE = YesShare()
