"""Find pairs of films that look alike to an encoder and differ in one observation, each patient in one pair at most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.evaluation.tasks.base import FilmEmbedder

_BLOCK = 256
_NEAREST = 32
"""Partners of a film that are looked at; a greedy choice needs no more, as most patients are taken sooner."""


@dataclass(frozen=True)
class FilmPair:
    """Two films by their positions.

    Attributes:
        present: The film that has the observation.
        absent: The film that lacks it.
        difference: The observation's column.
        likeness: Cosine of their embeddings.
    """

    present: int
    absent: int
    difference: int
    likeness: float


def alike_pairs(
    encoder: FilmEmbedder, films: Sequence[str], known: NDArray[np.bool_], patients: Sequence[str]
) -> list[FilmPair]:
    """Return the pairs, those most alike first.

    Of all pairs of films of different patients that differ in one observation and no other, the most alike is taken,
    then the most alike of those of other patients, and so on.

    Args:
        encoder: Embeds the films.
        films: Paths.
        known: (n, k): which observations each film has.
        patients: Of each film.
    """
    if not len(films):
        return []
    rows = encoder.embed_images([Path(film) for film in films])
    group = np.unique(np.array(patients), return_inverse=True)[1]
    taken: set[int] = set()
    pairs = []
    for i, j, likeness in _candidates(rows, known.astype(np.float32), group):
        if taken & {int(group[i]), int(group[j])}:
            continue
        taken |= {int(group[i]), int(group[j])}
        difference = int(np.flatnonzero(known[i] != known[j])[0])
        present, absent = (i, j) if known[i, difference] else (j, i)
        pairs.append(FilmPair(present, absent, difference, likeness))
    return pairs


def _candidates(
    rows: NDArray[np.float32], known: NDArray[np.float32], group: NDArray[np.int64]
) -> list[tuple[int, int, float]]:
    """Return pairs that may be taken, those most alike first; equal ones in the order of their films."""
    found: list[tuple[int, int, float]] = []
    counts = known.sum(axis=1)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        differing = counts[part, None] + counts[None] - 2 * known[part] @ known.T
        allowed = (differing == 1) & (group[part, None] != group[None])
        likeness = np.where(allowed, (rows[part] @ rows.T).round(6), -np.inf)
        nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :_NEAREST]
        for i, row in enumerate(nearest):
            mine = start + i
            found += [(min(mine, int(j)), max(mine, int(j)), float(likeness[i, j])) for j in row if allowed[i, j]]
    return sorted(set(found), key=lambda pair: (-pair[2], pair[0], pair[1]))
