"""CIDEr-D: overlap of a draft with its reference in n-grams weighted by how rare they are among the references.

What every report says ("the lungs are clear") weighs little, what one report says weighs much. The weights come from
the references at hand, so the figure depends on the set: it compares systems on one set, never sets.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from radlet.metrics.base import Floats, Metric, ratio
from radlet.metrics.words import plain_words

_MAX_ORDER = 4
_SIGMA = 6.0
_SCALE = 10.0

Grams = Counter[tuple[str, ...]]


class CiderD(Metric):
    """CIDEr-D (Vedantam et al. 2015, section 5) in 0..10: n-grams to four, length penalty sigma 6, one reference.

    The arithmetic is that of the COCO caption evaluation; the words are not (its tokenizer needs Java): here a text is
    its words in lower case, without punctuation. In a resample the weights stay those of the whole set.
    """

    reads = "text"
    high = _SCALE
    empty = "an empty draft or reference scores 0 and counts as a report"
    source = "Vedantam et al. 2015, section 5, with the arithmetic of the COCO caption evaluation (pycocoevalcap 1.2)"
    weighs_by_set = True

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the score of each pair and a count of one, shape (n, 2)."""
        expected = [_grams(reference) for reference in references]
        drafted = [_grams(prediction) for prediction in predictions]
        occurs = Counter(gram for grams in expected for gram in grams)
        weights = _Weights(occurs, len(expected))
        rows = [(weights.similarity(draft, own), 1.0) for draft, own in zip(drafted, expected, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean over reports."""
        return ratio(totals[..., 0], totals[..., 1])


class _Weights:
    """Inverse document frequencies of the n-grams of a set of references."""

    def __init__(self, occurs: Grams, num_documents: int) -> None:
        self._occurs = occurs
        self._log_documents = math.log(max(num_documents, 1))

    def similarity(self, draft: Grams, reference: Grams) -> float:
        """Return CIDEr-D of two texts: the mean over orders of a clipped cosine, less for differing lengths."""
        own, other = self._weighted(draft), self._weighted(reference)
        products, squares, squares_other = ([0.0] * _MAX_ORDER for _ in range(3))
        for gram, weight in own.items():
            squares[len(gram) - 1] += weight**2
            expected = other.get(gram, 0.0)
            products[len(gram) - 1] += min(weight, expected) * expected
        for gram, weight in other.items():
            squares_other[len(gram) - 1] += weight**2
        cosines = [
            product / math.sqrt(a * b) if a and b else 0.0
            for product, a, b in zip(products, squares, squares_other, strict=True)
        ]
        # As in the published code a text is as long as it has bigrams.
        difference = _num_bigrams(draft) - _num_bigrams(reference)
        return _SCALE * sum(cosines) / _MAX_ORDER * math.exp(-(difference**2) / (2 * _SIGMA**2))

    def _weighted(self, grams: Grams) -> dict[tuple[str, ...], float]:
        return {
            gram: count * (self._log_documents - math.log(max(1, self._occurs[gram]))) for gram, count in grams.items()
        }


def _grams(text: str) -> Grams:
    words = plain_words(text)
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, _MAX_ORDER + 1)
        for start in range(len(words) - order + 1)
    )


def _num_bigrams(grams: Grams) -> int:
    return sum(count for gram, count in grams.items() if len(gram) == 2)


CIDER = CiderD()
