"""Probabilities held against what is there: calibration error, scaling, and what is gained by leaving cases out.

Bins hold equally many cases each (Nguyen and O'Connor 2015), with edges that resamples keep, so that their sums are
additive statistics like those of any metric.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from radlet.metrics.base import Floats, ratio

NUM_BINS = 10
_WEAK = 1e6
"""Inverse strength of a penalty too weak to matter, but enough to keep separable cases finite."""


def bin_edges(probabilities: Floats, num_bins: int = NUM_BINS) -> Floats:
    """Return the inner edges of bins that hold equally many of the probabilities; ties share a bin."""
    return np.unique(np.quantile(probabilities, np.linspace(0, 1, num_bins + 1)[1:-1], method="higher"))


def bin_statistics(probabilities: Floats, present: Floats, edges: Floats) -> Floats:
    """Return, per row, how many cases each bin holds, how many are present, and the sum of the probabilities.

    Args:
        probabilities: (rows, cases).
        present: (rows, cases) of 1, 0 or NaN for unknown, which is left out.
        edges: Inner edges, (bins - 1,).

    Returns:
        (rows, 3 * bins).
    """
    bins = np.searchsorted(edges, probabilities, side="right")
    known = ~np.isnan(present)
    chosen = (bins[..., None] == np.arange(len(edges) + 1)) & known[..., None]
    parts = (np.ones_like(probabilities), np.where(known, present, 0), probabilities)
    return np.concatenate([(chosen * part[..., None]).sum(axis=1) for part in parts], axis=1)


def expected_calibration_error(totals: Floats) -> Floats:
    """Return the mean over cases of |share present - mean probability| of their bin, 0..1 (Naeini et al. 2015)."""
    cases, present, forecast = np.split(totals, 3, axis=-1)
    return np.asarray(ratio(np.abs(present - forecast).sum(-1), cases.sum(-1)))


def debiased_calibration_error(totals: Floats) -> Floats:
    """Return the root mean square error of the bins without what chance adds (Kumar et al. 2019, section 5), 0..1.

    Even exact probabilities show an error in bins of few cases; its expectation is subtracted. Bins of one case are
    left out; a mean below 0 counts as 0.
    """
    cases, present, forecast = np.split(totals, 3, axis=-1)
    share, mean = ratio(present, cases), ratio(forecast, cases)
    squares = (share - mean) ** 2 - ratio(share * (1 - share), np.maximum(cases - 1, 0))
    counted = np.where(cases > 1, cases, 0)
    return np.sqrt(np.maximum(ratio((counted * squares).sum(-1), counted.sum(-1)), 0))


def fit_platt(scores: Floats, present: Floats) -> tuple[float, float] | None:
    """Return slope and intercept of a logistic regression on one score (Platt 1999); None without cases of both kinds.

    Args:
        scores: (n,), on a logarithmic scale of odds.
        present: (n,) of 1, 0 or NaN for unknown, which is left out.
    """
    known = ~np.isnan(present)
    if len(np.unique(present[known])) < 2:
        return None
    fit = LogisticRegression(C=_WEAK).fit(scores[known, None], present[known])
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def risk_coverage(confidence: NDArray[np.floating[Any]], wrong: Floats) -> tuple[Floats, Floats]:
    """Return the share of cases kept and their error rate, from the most confident case to all (El-Yaniv 2010).

    Cases of equal confidence are kept or left together.
    """
    ends, kept, errors = _kept(confidence, wrong, np.ones((1, len(wrong))))
    return (kept[0, ends] / max(kept[0, -1], 1)), ratio(errors[0, ends], kept[0, ends])


def risk_coverage_area(confidence: NDArray[np.floating[Any]], wrong: Floats, weights: Floats) -> Floats:
    """Return the mean error rate over all coverages for each row of weights, NaN where they leave no case.

    Order by chance gives the overall error rate; an order that puts every error last gives the least (Geifman et al.
    2019).

    Args:
        confidence: (n,).
        wrong: (n,) of 1 or 0.
        weights: (..., n), not negative.
    """
    if not len(wrong):
        return np.full(np.shape(weights)[:-1], np.nan)
    ends, kept, errors = _kept(confidence, wrong, weights)
    risk = ratio(errors[..., ends], kept[..., ends])
    width = np.diff(kept[..., ends], axis=-1, prepend=0)
    total = width.sum(-1)
    return np.where(total > 0, ratio((risk * width).sum(-1), np.asarray(total)), np.nan)


def _kept(
    confidence: NDArray[np.floating[Any]], wrong: Floats, weights: Floats
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return where runs of equal confidence end, and cases and errors kept up to each case."""
    order = np.argsort(-confidence, kind="stable")
    ranked, drawn = confidence[order], weights[..., order]
    ends = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))
    return ends, np.cumsum(drawn, axis=-1), np.cumsum(drawn * wrong[order], axis=-1)
