"""How often each training row is drawn."""

import numpy as np
from numpy.typing import NDArray


def rarity_weights(positive: NDArray[np.bool_], power: float) -> NDArray[np.float64] | None:
    """Return draw weights from a table (rows, labels) of what is present: (rows / count of the rarest label) ** power.

    A row with nothing present weighs as if its absence were a label. None when `power` is 0.
    """
    if not power:
        return None
    present = np.concatenate([positive, ~positive.any(axis=1, keepdims=True)], axis=1)
    counts = np.maximum(present.sum(axis=0), 1)
    rarity = np.where(present, len(present) / counts, 0.0).max(axis=1)
    return np.asarray(rarity**power, np.float64)
