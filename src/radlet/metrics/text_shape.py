"""The shape of the drafts as text: how long they are, and how much they vary from patient to patient.

A model that writes one sentence for everyone can score well on words; a unique share near zero gives it away.
"""

from collections.abc import Sequence
from math import inf

import numpy as np

from radlet.metrics.base import Floats, Metric, ratio


class MeanLength(Metric):
    """Mean number of words of a draft (unbounded; a description, not a mark)."""

    reads = "text"
    high = inf
    direction = None
    empty = "an empty draft has 0 words"
    source = "words are what white space parts"

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the draft's words and a count of one, shape (n, 2)."""
        rows = [(len(draft.split()), 1) for _, draft in zip(references, predictions, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean over drafts."""
        return ratio(totals[..., 0], totals[..., 1])


class LengthRatio(Metric):
    """Words drafted over words in the references (1 = as long; a description, not a mark)."""

    reads = "text"
    high = inf
    direction = None
    empty = "an empty draft has 0 words; 0 where no reference has a word"
    source = "words are what white space parts; sum over sum"

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the words of draft and reference, shape (n, 2)."""
        rows = [
            (len(draft.split()), len(reference.split()))
            for reference, draft in zip(references, predictions, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the ratio of the sums."""
        return ratio(totals[..., 0], totals[..., 1])


def normalise(text: str) -> str:
    """Return the text in lower case with single spaces: texts equal in this form count as the same answer."""
    return " ".join(text.lower().split())


def unique_share(texts: Sequence[str]) -> float:
    """Return the number of different texts over the number of texts; 0 for none."""
    return len({normalise(text) for text in texts}) / len(texts) if texts else 0.0


def distinct_ngrams(texts: Sequence[str], order: int) -> float:
    """Return distinct word n-grams over all word n-grams (distinct-n, Li et al. 2016); 0 when there is none."""
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        words = normalise(text).split()
        grams = [tuple(words[i : i + order]) for i in range(len(words) - order + 1)]
        seen.update(grams)
        total += len(grams)
    return len(seen) / total if total else 0.0


LENGTH_WORDS = MeanLength()
LENGTH_RATIO = LengthRatio()
