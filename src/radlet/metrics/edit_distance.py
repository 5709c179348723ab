"""How much of a draft must be rewritten to make it the signed report: Levenshtein's distance over the longer text.

It is what a reader's keyboard would count, so capitals and punctuation do too; spacing and line breaks do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rapidfuzz.distance import Levenshtein

from radlet.metrics.base import Floats, Metric, ratio


@dataclass(frozen=True)
class EditDistance(Metric):
    """Insertions, deletions and replacements over the length of the longer text, mean over reports, in 0..1.

    Attributes:
        unit: What is inserted, deleted or replaced.
    """

    unit: Literal["words", "characters"] = "words"

    reads = "text"
    direction = "lower"
    empty = "1 where either text is empty and the other is not, 0 where both are"
    source = "Levenshtein 1966, divided by the longer length, as rapidfuzz computes it"

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the distance of each pair and a count of one, shape (n, 2)."""
        rows = [
            (Levenshtein.normalized_distance(self._units(reference), self._units(prediction)), 1.0)
            for reference, prediction in zip(references, predictions, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean over reports."""
        return ratio(totals[..., 0], totals[..., 1])

    def _units(self, text: str) -> str | list[str]:
        words = text.split()
        return words if self.unit == "words" else " ".join(words)


WORDS = EditDistance()
CHARACTERS = EditDistance("characters")
