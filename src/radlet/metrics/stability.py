"""Has a distribution moved? The population stability index, and the limit that chance alone rarely passes."""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HALF = 0.5
"""Added to every bin (Jeffreys): an empty one has a share as well, or the logarithm is infinite."""
_DRAWS_BEYOND = 10
"""Draws that lie beyond the limit: its position is then known to about a third of the tail."""
_LEAST_DRAWS = 4_000


def stability_index(expected: Sequence[int] | NDArray[np.int64], seen: Sequence[int] | NDArray[np.int64]) -> Floats:
    """Return the population stability index of counts against others, 0 where the shares are equal.

    The sum over the bins of (q - p) ln(q / p) of the shares p expected and q seen (Siddiqi 2006, *Credit Risk
    Scorecards*): the symmetric form of Kullback and Leibler's divergence (1951). Half a count is added to each bin.

    Args:
        expected: (k,) counts.
        seen: (..., k) counts.

    Returns:
        (...,) indices.
    """
    p, q = (counts + _HALF for counts in (np.asarray(expected, np.float64), np.asarray(seen, np.float64)))
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


@lru_cache(maxsize=4096)
def chance_limit(expected: tuple[int, ...], num_seen: int, tail: float) -> float:
    """Return the index that new counts from the same population pass with a probability of at most `tail`.

    The common limits 0.1 and 0.25 ignore how many were counted; by chance the index grows with 1/n and the number of
    bins (Yurdakul and Naranjo 2020, *Journal of Risk Model Validation* 14(4)). So it is drawn: shares that the counts
    expected allow (Dirichlet with half a count added), then `num_seen` from those. Between quantiles of the expected
    values themselves the population's shares have just that distribution (spacings of order statistics: David and
    Nagaraja 2003, *Order Statistics*, 2.1 and 6.4).

    Args:
        expected: Counts of each bin.
        num_seen: How many will be counted.
        tail: The probability, above 0.
    """
    draws = max(_LEAST_DRAWS, ceil(_DRAWS_BEYOND / tail))
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.asarray(expected, np.float64) + _HALF, draws)
    indices = stability_index(expected, random.multinomial(num_seen, shares))
    return float(np.quantile(indices, 1 - tail, method="higher"))
