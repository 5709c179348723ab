"""Whether a draft puts a finding on the right side: the share of one-sided mentions that name the true side.

Only mentions are judged whose observation is present in the reference on exactly one side: a finding that is not
there is a matter for the observation metrics, and one on both sides makes either side right.
"""

from collections.abc import Sequence

import numpy as np

from radlet.metrics.base import Floats, Metric, Sides, ratio


class Laterality(Metric):
    """Share of drafted one-sided mentions on the reference's side, in 0..1.

    Statistics: mentions on the right side, mentions judged.
    """

    reads = "sides"
    empty = "an empty draft or reference adds no judged mention; undefined where no mention is judged"
    source = "radlet: docs/metrics.md, Side"

    def statistics(self, references: Sequence[Sides], predictions: Sequence[Sides]) -> Floats:
        """Count the right and the judged mentions of each pair, shape (n, 2)."""
        rows = [_judge(reference, draft) for reference, draft in zip(references, predictions, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return right mentions over judged mentions."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the judged mentions."""
        return np.asarray(totals[..., 1])


def _judge(reference: Sides, draft: Sides) -> tuple[int, int]:
    right = judged = 0
    for observation, sides in draft.items():
        true_sides = set(reference.get(observation, ()))
        if true_sides not in ({"left"}, {"right"}):
            continue
        one_sided = [side for side in sides if side != "bilateral"]
        judged += len(one_sided)
        right += sum(side in true_sides for side in one_sided)
    return right, judged


LATERALITY = Laterality()
