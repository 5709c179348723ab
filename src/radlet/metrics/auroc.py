"""Discrimination of probabilities: the area under the ROC curve of each label (scikit-learn's definition)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score


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
