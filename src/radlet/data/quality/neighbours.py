"""Find the nearest of many unit vectors: cells around some of them, of which each query searches a few (an IVF index).

A set that is small enough is searched whole, hence exactly. Nothing is drawn at random and nothing runs in threads of
its own, so the same films always give the same neighbours. Time grows with the power 1.5 of their number.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_EXACT_TO = 8192
"""Up to this many vectors one cell holds them all."""
_PROBES = 32
"""Cells that a query searches."""
_ENTRIES_AT_ONCE = 4_000_000
"""Entries of a matrix of similarities, which bounds memory however full a cell is."""

Vectors = NDArray[np.float32]
"""Vectors (N, D) of unit length."""


class Neighbours:
    """An index of unit vectors.

    Args:
        vectors: What is searched among, each at most once.
    """

    def __init__(self, vectors: Vectors) -> None:
        count = len(vectors)
        num_cells = 1 if count <= _EXACT_TO else round(2 * count**0.5)
        self._centres = vectors[np.linspace(0, count - 1, num_cells).round().astype(np.int64)]
        self._order, self._bounds = self._by_cell(self._nearest_cells(vectors, 1))
        self._vectors = vectors[self._order]

    def search(self, queries: Vectors, k: int, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs (query, vector) of each query and its nearest `k` vectors that are no further than `radius`."""
        k = min(k, len(self._vectors))
        floor = np.float32(1 - radius**2 / 2)  # of the cosine, by the distance of unit vectors
        best = np.full((len(queries), k), -np.inf, np.float32)
        found = np.full((len(queries), k), -1, np.int64)
        for asking, start, stop in self._visits(queries):
            alike = queries[asking] @ self._vectors[start:stop].T
            columns = _nearest_columns(alike, k)
            values = np.hstack([best[asking], np.take_along_axis(alike, columns, 1)])
            places = np.hstack([found[asking], self._order[start + columns]])
            chosen = _nearest_columns(values, k)
            best[asking] = np.take_along_axis(values, chosen, 1)
            found[asking] = np.take_along_axis(places, chosen, 1)
        rows, columns = np.nonzero(best >= floor)
        return rows, found[rows, columns]

    def _visits(self, queries: Vectors) -> Iterator[tuple[NDArray[np.int64], int, int]]:
        """Yield queries and the range of vectors that they are compared with, cell by cell."""
        probed = self._nearest_cells(queries, _PROBES)
        order, bounds = self._by_cell(probed)
        for cell in range(len(self._centres)):
            start, stop = self._bounds[cell : cell + 2].tolist()
            asking = order[bounds[cell] : bounds[cell + 1]] // probed.shape[1]
            if start < stop:
                yield from ((asking[part], start, stop) for part in _parts(len(asking), stop - start))

    def _nearest_cells(self, vectors: Vectors, k: int) -> NDArray[np.int32]:
        """Return the nearest cells of each vector, (N, k)."""
        parts = _parts(len(vectors), len(self._centres))
        return np.concatenate([_nearest_columns(vectors[part] @ self._centres.T, k).astype(np.int32) for part in parts])

    def _by_cell(self, cells: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of the entries in the order of their cells, and where each cell starts and ends."""
        flat = cells.ravel()
        order = np.argsort(flat, kind="stable")
        return order, np.searchsorted(flat[order], np.arange(len(self._centres) + 1))


def _nearest_columns(alike: Vectors, k: int) -> NDArray[np.int64]:
    """Return, for each row, the columns of its `k` largest values, in no order; all where there are fewer."""
    if k >= alike.shape[1]:
        return np.broadcast_to(np.arange(alike.shape[1]), alike.shape)
    if k == 1:
        return np.asarray(alike.argmax(1)[:, None])
    return np.asarray(np.argpartition(alike, -k, axis=1)[:, -k:])


def _parts(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Cut rows into parts of which a matrix with so many columns is not too large."""
    step = max(_ENTRIES_AT_ONCE // num_columns, 1)
    return (slice(start, start + step) for start in range(0, num_rows, step))
