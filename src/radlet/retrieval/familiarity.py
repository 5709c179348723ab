"""How unlike a film is to the films of a collection, in the collection's own measure. Asked by the input gate.

Each film of the collection is held against its nearest films of other patients, so that the collection itself says
which similarity is usual (split conformal prediction: Vovk et al. 2005; nearest neighbours as the score: Sun et al.
2022, "Out-of-distribution detection with deep nearest neighbors").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radlet.core.errors import DataError
from radlet.retrieval.embedding import Embedder
from radlet.retrieval.index import Index

NEIGHBOURS = 5
_MOST = 2_000
"""Films of the collection that say what is usual; more would not move a share of one in a hundred by much."""
_BATCH = 256


class Familiarity:
    """Tell how usual a film would be in a collection.

    Args:
        embedder: That the index was made with.
        index: Of the collection.
        patients: Of whom each film of the index is: films of the same patient are not held against each other.

    Raises:
        DataError: The collection has too few patients to say what is usual.
    """

    def __init__(self, embedder: Embedder, index: Index, patients: Sequence[str]) -> None:
        self._embedder, self._index = embedder, index
        numbers = np.unique(np.asarray(patients), return_inverse=True)[1]
        if numbers.max(initial=-1) < NEIGHBOURS:
            raise DataError(f"The collection has {len(set(patients))} patients; at least {NEIGHBOURS + 1} are needed.")
        chosen = np.random.default_rng(0).permutation(len(numbers))[:_MOST]
        batches = [chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH)]
        usual = [self._nearness(index.embeddings[rows], numbers[rows, None] == numbers[None]) for rows in batches]
        self._usual = np.sort(np.concatenate(usual))

    def share_as_far(self, pixels: NDArray[np.uint8]) -> float:
        """Return the share of the collection's films, 0..1, that lie as far from their nearest as this one does.

        The film itself counts as one of them, so that the share is never 0.

        Args:
            pixels: (H, W) in display grey.
        """
        near = self._nearness(self._embedder.embed_pixels([pixels]))[0]
        return float((1 + np.searchsorted(self._usual, near, side="right")) / (1 + len(self._usual)))

    def _nearness(self, rows: NDArray[np.float32], left_out: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Return the mean cosine similarity of each row (n, E) to its nearest films, (n,)."""
        similarities = rows @ self._index.embeddings.T
        if left_out is not None:
            similarities[left_out] = -np.inf
        nearest = np.partition(similarities, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        return np.asarray(nearest.mean(axis=1))
