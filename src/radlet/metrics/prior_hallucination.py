"""How often a draft speaks of an earlier exam that its reference does not speak of.

A model that sees one exam cannot know of another: "unchanged" in its draft is invented unless the reference, whose
author could look, says so too.
"""

from collections.abc import Sequence

import numpy as np

from radlet.metrics.base import Floats, Metric, ratio


class PriorHallucination(Metric):
    """Of the reports whose reference refers to no earlier exam, the share whose draft does, in 0..1.

    Statistics: drafts that refer to one, reports judged.
    """

    reads = "priors"
    direction = "lower"
    empty = "an empty draft refers to none, an empty reference too; undefined where every reference refers to one"
    source = "radlet: docs/metrics.md, Earlier exams; the errors are those that Ramesh et al. 2022 remove from reports"

    def statistics(self, references: Sequence[bool], predictions: Sequence[bool]) -> Floats:
        """Count each pair, shape (n, 2)."""
        rows = [(draft and not true, not true) for true, draft in zip(references, predictions, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the share of drafts that refer to one."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the reports judged."""
        return np.asarray(totals[..., 1])


PRIOR_HALLUCINATION = PriorHallucination()
