"""Whether draft and reference agree on presence and absence: of what both speak of, the share said the same way.

It asks of no finding whether it should have been named: that is what the observation metrics do.
"""

from collections.abc import Sequence

import numpy as np

from radlet.core.records import OBSERVATIONS, State
from radlet.metrics.base import Floats, Metric, Observations, ratio

_NAMED = OBSERVATIONS[:-1]
"""Without No Finding, which is read off the others and is never denied."""
_SAID = (State.POSITIVE, State.NEGATIVE)


class NegationAgreement(Metric):
    """Share of the observations that both texts call present or absent and that both call the same, in 0..1.

    Statistics: observations said the same way, observations judged.
    """

    reads = "observations"
    empty = "an empty draft or reference adds nothing to judge; undefined where nothing is judged"
    source = "radlet: docs/metrics.md, Observations"

    def statistics(self, references: Sequence[Observations], predictions: Sequence[Observations]) -> Floats:
        """Count the observations of each pair, shape (n, 2)."""
        rows = []
        for reference, draft in zip(references, predictions, strict=True):
            said = [(reference.get(name), draft.get(name)) for name in _NAMED]
            judged = [true is drafted for true, drafted in said if true in _SAID and drafted in _SAID]
            rows.append((sum(judged), len(judged)))
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the share said the same way."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the observations judged."""
        return np.asarray(totals[..., 1])


NEGATION_AGREEMENT = NegationAgreement()
