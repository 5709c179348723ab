"""The shape of the drafts as text: how long they are, how they repeat themselves, how they vary among patients.

A model that writes one sentence for everyone can score well on words; a unique share near zero gives it away.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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


class UniqueShare(Metric):
    """Different drafts over drafts, case and spacing ignored, in 0..1 (a description of the set, not a mark).

    Each draft counts as one over how many are equal to it; a resample keeps these weights.
    """

    reads = "text"
    direction = None
    empty = "empty drafts are equal to each other"
    source = "radlet: docs/metrics.md, Shape"
    weighs_by_set = True

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the draft's share of its text and a count of one, shape (n, 2)."""
        drafts = [normalise(draft) for _, draft in zip(references, predictions, strict=True)]
        equal = Counter(drafts)
        return np.array([(1 / equal[draft], 1) for draft in drafts], dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return different texts over texts."""
        return ratio(totals[..., 0], totals[..., 1])


@dataclass(frozen=True)
class DistinctNgrams(Metric):
    """Distinct word n-grams of all drafts over all their word n-grams, in 0..1 (a description, not a mark).

    An n-gram counts in each draft as one over how many drafts hold it; a resample keeps these weights.

    Attributes:
        order: Words of an n-gram.
    """

    order: int = 2

    reads = "text"
    direction = None
    empty = "an empty draft has no n-gram; 0 where no draft has one"
    source = "distinct-n: Li et al. 2016"
    weighs_by_set = True

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the draft's share of the distinct n-grams and its n-grams, shape (n, 2)."""
        grams = [_ngrams(draft, self.order) for _, draft in zip(references, predictions, strict=True)]
        holders = Counter(gram for counted in grams for gram in counted)
        rows = [(sum(1 / holders[gram] for gram in counted), counted.total()) for counted in grams]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return distinct n-grams over n-grams."""
        return ratio(totals[..., 0], totals[..., 1])


@dataclass(frozen=True)
class Repetition(Metric):
    """Share of a draft's word n-grams that it has said before, mean over drafts, in 0..1.

    Attributes:
        order: Words of an n-gram.
    """

    order: int = 4

    reads = "text"
    direction = "lower"
    empty = "a draft too short for an n-gram repeats nothing and counts as a report"
    source = "seq-rep-n: Welleck et al. 2020"

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the repeated share of each draft and a count of one, shape (n, 2)."""
        grams = [_ngrams(draft, self.order) for _, draft in zip(references, predictions, strict=True)]
        rows = [(1 - len(counted) / max(counted.total(), 1) if counted else 0.0, 1) for counted in grams]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean over drafts."""
        return ratio(totals[..., 0], totals[..., 1])


def _ngrams(text: str, order: int) -> Counter[tuple[str, ...]]:
    words = normalise(text).split()
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


LENGTH_WORDS = MeanLength()
LENGTH_RATIO = LengthRatio()
UNIQUE_SHARE = UniqueShare()
DISTINCT_2 = DistinctNgrams()
REPETITION_4 = Repetition()
