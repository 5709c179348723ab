"""Rank correlation of two series under many weightings at once: Kendall's tau-b, Spearman's rho, mean difference.

A resample of reports is a weighting by how often each was drawn. With whole weights each function equals that of the
series in which every report stands as often as it weighs (for tau-b and rho: `scipy.stats`, which takes one series at a
time). A series without two different values has no ranks, and the correlation is NaN.
"""

import numpy as np
from numpy.typing import NDArray

from radlet.metrics.base import Floats


class Ranked:
    """Two series of the same reports, read once for all weightings.

    Args:
        x: One series, shape (n,).
        y: The other.
    """

    def __init__(self, x: Floats, y: Floats) -> None:
        pairs, place = np.unique(np.stack([x, y], axis=1), axis=0, return_inverse=True)
        self._pair = place.reshape(-1)
        self._x, self._y = pairs[:, 0], pairs[:, 1]
        signs_x = np.sign(self._x[:, None] - self._x)
        signs_y = np.sign(self._y[:, None] - self._y)
        self._agreeing, self._apart = signs_x * signs_y, (signs_x**2, signs_y**2)

    def tau_b(self, weights: Floats) -> Floats:
        """Return Kendall's tau-b (Kendall 1945) for weights (B, n), shape (B,)."""
        drawn = self._by_pair(weights)
        agreeing = _form(drawn, self._agreeing)
        return _ratio(agreeing, np.sqrt(_form(drawn, self._apart[0]) * _form(drawn, self._apart[1])))

    def rho(self, weights: Floats) -> Floats:
        """Return Spearman's rho, the correlation of mid-ranks, for weights (B, n), shape (B,)."""
        drawn = self._by_pair(weights)
        ranks = [_mid_ranks(values, drawn) for values in (self._x, self._y)]
        total = drawn.sum(axis=1, keepdims=True)
        a, b = (rank - (drawn * rank).sum(axis=1, keepdims=True) / np.maximum(total, 1) for rank in ranks)
        covariance, first, second = ((drawn * product).sum(axis=1) for product in (a * b, a * a, b * b))
        return _ratio(covariance, np.sqrt(first * second))

    def mean_difference(self, weights: Floats) -> Floats:
        """Return the mean absolute difference for weights (B, n), shape (B,)."""
        drawn = self._by_pair(weights)
        return _ratio(drawn @ np.abs(self._x - self._y), drawn.sum(axis=1))

    def _by_pair(self, weights: Floats) -> Floats:
        """Sum the weights of reports with the same two values, which are few where values are counts."""
        return _summed(weights, self._pair)


def _summed(weights: Floats, places: NDArray[np.int64]) -> Floats:
    """Sum the columns of each place, (B, n) -> (B, number of places); every place from 0 on occurs."""
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    summed: Floats = np.add.reduceat(weights[:, order], starts, axis=1)
    return summed


def _form(drawn: Floats, matrix: Floats) -> Floats:
    return np.asarray(np.einsum("bi,bi->b", drawn @ matrix, drawn))


def _mid_ranks(values: Floats, drawn: Floats) -> Floats:
    """Return the mid-rank of each pair's value in every resample, shape (B, m)."""
    _, place = np.unique(values, return_inverse=True)
    counts = _summed(drawn, place)
    return np.asarray((np.cumsum(counts, axis=1) - counts / 2 + 0.5)[:, place])


def _ratio(numerator: Floats, denominator: NDArray[np.float64]) -> Floats:
    """Divide; NaN where there is nothing to divide by (sums of squares may miss 0 by rounding)."""
    out = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 1e-9)
    return out
