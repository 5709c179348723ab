"""How unlike a film is to the films of a collection, in the collection's own measure. Asked by the input gate.

A film is held against its nearest films in the space of the encoder's features (Sun et al. 2022, "Out-of-distribution
detection with deep nearest neighbors"). Each film of the collection is held against those of other patients in the same
way, so that the collection itself says which similarity is usual (conformal prediction: Vovk et al. 2005).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radlet.core.console import Progress
from radlet.data.images import read_run_film
from radlet.retrieval.embedding import Embedder
from radlet.retrieval.index import Index, keep_index, kept_index

NEIGHBOURS = 5
MOST_FILMS = 4_000
"""Films that stand for the collection; more cost memory and hardly move what is usual."""
_BATCH = 64

KnownFilm = tuple[str, str, Path]
"""Identifier, patient and file."""


class Familiarity:
    """Tell how usual a film would be in a collection.

    Args:
        embedder: What sees films.
        features: Of the collection, unit rows (n, P).
        patients: Of whom each film is: films of the same patient are not held against each other. At least six.
    """

    def __init__(self, embedder: Embedder, features: NDArray[np.float32], patients: Sequence[str]) -> None:
        self._embedder, self._features = embedder, features
        numbers = np.unique(np.asarray(patients), return_inverse=True)[1]
        starts = range(0, len(features), _BATCH)
        batches = [slice(start, start + _BATCH) for start in starts]
        usual = [self._nearness(features[rows], numbers[rows, None] == numbers[None]) for rows in batches]
        self._usual = np.sort(np.concatenate(usual))

    @classmethod
    def of(cls, embedder: Embedder, films: Sequence[KnownFilm], folder: Path, progress: Progress) -> Self | None:
        """Look at the films of a collection, or read what was kept of them; None for too few patients.

        Args:
            embedder: What sees films.
            films: Of the collection; of a large one some are drawn.
            folder: Where the features are kept.
            progress: Shows the films.

        Raises:
            DataError: A film cannot be read.
        """
        drawn = np.random.default_rng(0).permutation(len(films))[:MOST_FILMS]
        chosen = [films[row] for row in sorted(drawn)]
        patients = [patient for _, patient, _ in chosen]
        if len(set(patients)) <= NEIGHBOURS:
            return None
        return cls(embedder, _features(embedder, chosen, folder, progress), patients)

    def share_as_far(self, pixels: NDArray[np.uint8]) -> float:
        """Return the share of the collection's films, 0..1, that lie as far from their nearest as this one does.

        The film itself counts as one of them, so that the share is never 0.

        Args:
            pixels: (H, W) in display grey.
        """
        near = self._nearness(self._embedder.features([pixels]))[0]
        return float((1 + np.searchsorted(self._usual, near, side="right")) / (1 + len(self._usual)))

    def _nearness(self, rows: NDArray[np.float32], left_out: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Return the mean cosine similarity of each row (n, P) to its nearest films, (n,)."""
        similarities = rows @ self._features.T
        if left_out is not None:
            similarities[left_out] = -np.inf
        nearest = np.partition(similarities, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        return np.asarray(nearest.mean(axis=1))


def _features(embedder: Embedder, films: Sequence[KnownFilm], folder: Path, progress: Progress) -> NDArray[np.float32]:
    ids = [name for name, _, _ in films]
    kept = kept_index(folder, ids)
    if kept is not None:
        return kept.embeddings
    batches = [films[start : start + _BATCH] for start in range(0, len(films), _BATCH)]
    rows = [
        embedder.features([read_run_film(path) for _, _, path in batch])
        for batch in progress.track(batches, "known films", len(batches))
    ]
    index = Index(np.concatenate(rows), ids)
    keep_index(index, folder)
    return index.embeddings
