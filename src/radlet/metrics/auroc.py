"""Discrimination of probabilities: the area under the ROC curve of each label (scikit-learn's definition)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from radlet.metrics.base import Floats, ratio


def label_aurocs(
    scores: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]], names: Sequence[str]
) -> dict[str, float]:
    """Return the area, 0..1, of each label that is both present and absent among its known targets.

    Args:
        scores: (rows, labels), higher where the label is likelier.
        targets: (rows, labels) of 1, 0 or NaN for unknown.
        names: One for each label.
    """
    areas = {}
    for column, name in enumerate(names):
        known = ~np.isnan(targets[:, column])
        truth = targets[known, column]
        if 0 < truth.sum() < len(truth):
            areas[name] = float(roc_auc_score(truth, scores[known, column]))
    return areas


def weighted_auroc(scores: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]], weights: Floats) -> Floats:
    """Return the area for each row of weights, NaN where they leave no positive or no negative.

    It is the weighted share of pairs in which the positive has the higher score, a tie counting half: scikit-learn's
    area with `sample_weight`, for all bootstrap resamples at once.

    Args:
        scores: (n,), higher where the label is likelier.
        targets: (n,) of 1, 0 or NaN for unknown.
        weights: (..., n), not negative.
    """
    order = np.argsort(scores, kind="stable")
    ranked, truth = scores[order], targets[order]
    ties = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))  # where each run of equal scores starts
    drawn = weights[..., order]
    positive = np.add.reduceat(drawn * (truth == 1), ties, axis=-1)
    negative = np.add.reduceat(drawn * (truth == 0), ties, axis=-1)
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = np.asarray(positive.sum(-1) * negative.sum(-1))
    return np.where(pairs > 0, ratio((positive * below).sum(-1), pairs), np.nan)
