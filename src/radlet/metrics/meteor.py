"""METEOR without synonyms: words of a draft matched to the reference's as written, then by their stems.

The published METEOR also matches synonyms of WordNet. Their files do not come with radlet, and what METEOR gives
without them is another number, so it bears another name; `evaluation.scorers.meteor` has the one with them.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score

from radlet.metrics.base import Floats, Metric, ratio
from radlet.metrics.words import plain_words


class MeteorExactStem(Metric):
    """METEOR (Lavie and Agarwal 2007) of the stages "exact" and "Porter stem" by nltk, mean over reports, in 0..1.

    A perfect draft of m words scores 1 - 0.5 / m^3: one unbroken run of words is a chunk, which costs a little.
    """

    reads = "text"
    empty = "an empty draft or reference scores 0 and counts as a report"
    source = "Lavie and Agarwal 2007 (alpha 0.9, beta 3, gamma 0.5) by nltk's meteor_score without its WordNet stage"

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the score of each pair and a count of one, shape (n, 2)."""
        rows = [
            (meteor(plain_words(reference), plain_words(prediction)), 1.0)
            for reference, prediction in zip(references, predictions, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean over reports."""
        return ratio(totals[..., 0], totals[..., 1])


class Synonyms(Protocol):
    """What is needed of nltk's reader of WordNet."""

    def synsets(self, word: str) -> Iterable[Any]:
        """Return the sets of synonyms that a word is in."""


class _Stemmer:
    """Porter's stemmer, each word stemmed once: reports use few words, and stemming is what takes the time."""

    def __init__(self) -> None:
        self.stem = lru_cache(maxsize=50_000)(PorterStemmer().stem)


class _NoSynonyms:
    """Stands in the place of WordNet and knows no word."""

    def synsets(self, word: str) -> Iterable[Any]:  # noqa: ARG002 - the face of nltk's reader
        return ()


_STEMMER, _NO_SYNONYMS = _Stemmer(), _NoSynonyms()


def meteor(reference: Sequence[str], prediction: Sequence[str], wordnet: Synonyms = _NO_SYNONYMS) -> float:
    """Return METEOR of a draft's words, 0..1."""
    return float(single_meteor_score(reference, prediction, stemmer=_STEMMER, wordnet=wordnet))


METEOR_EXACT_STEM = MeteorExactStem()
