"""Check `duplicate_images`: the same film more than once, perhaps encoded anew, resized, windowed or cut at the edges.

Candidates are the nearest neighbours of a coarse picture, found with a k-d tree; a correlation of the fine structure
confirms them. Memory and confirmation grow with the number of films; the search grows faster, since a tree of so many
dimensions prunes little.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from radlet.core.records import Study
from radlet.data.quality.base import Action, Finder, Group, MeasuredFilm, Member, SetCheck
from radlet.data.quality.groups import Alike, make_groups
from radlet.data.quality.likeness import (
    DESCRIPTOR,
    FINE,
    detail,
    likeness,
    mirrored,
    read_descriptor,
    read_fine,
    stretched_details,
)

_UNALIKE = 0.55
"""Films whose fine structure correlates less than this as they lie are not tried in other positions."""
_DETAILS_HELD = 4096

Pair = tuple[int, int, bool]
"""Two films, the first before the second, and whether one of them is mirrored."""


class DuplicateImages(SetCheck):
    """Finds the same film under several names, also across patients and splits, and mirrored."""

    action: Action = "reject"
    limit: float = Field(default=0.9, ge=0.5, le=1)
    """Least correlation of the fine structure, at the best shift and stretch, of two copies of one film."""
    neighbours: int = Field(default=8, ge=1, le=64)
    """How many of the coarsely most similar films are compared with each film."""
    radius: float = Field(default=0.5, gt=0, le=2)
    """Largest distance of the coarse pictures (vectors of unit length) of two films that are compared."""

    def finder(self, scratch_dir: Path) -> Finder:
        """Return a finder that keeps the fine pictures in a file."""
        return _Films(self, scratch_dir / "fine.bin")


class _Films:
    """The films gathered so far: members and coarse pictures in memory, fine ones in a file."""

    def __init__(self, check: DuplicateImages, fine: Path) -> None:
        self._check = check
        self._path = fine
        self._path.write_bytes(b"")
        self._members: list[Member] = []
        self._descriptors: list[NDArray[np.float32]] = []

    def add(self, study: Study, films: Sequence[MeasuredFilm]) -> None:
        """Take note of the films that were measured and are not flat."""
        shown = [film for film in films if film.descriptor]
        with self._path.open("ab") as file:
            for film in shown:
                file.write(read_fine(film.fine).tobytes())
        self._descriptors += [read_descriptor(film.descriptor) for film in shown]
        self._members += [
            Member(id=film.image_id, study_id=study.study_id, patient_id=study.patient_id, split=study.split)
            for film in shown
        ]

    def find(self) -> list[Group]:
        """Return the groups of films that are copies of one another."""
        if len(self._members) < 2:
            return []
        descriptors = np.stack(self._descriptors).reshape(-1, DESCRIPTOR)
        fine = np.memmap(self._path, np.int8, "r", shape=(len(descriptors), FINE, FINE))
        found = list(_confirmed(self._check, _candidates(self._check, descriptors), fine))
        return make_groups("duplicate_images", "films", self._members, _connected(found, len(descriptors)))


def _candidates(check: DuplicateImages, descriptors: NDArray[np.float32]) -> list[Pair]:
    """Return the pairs worth comparing, in order; films of one and the same descriptor are compared with the first."""
    _, first, number = np.unique(descriptors, axis=0, return_index=True, return_inverse=True)
    number = number.ravel()
    pairs: set[Pair] = {
        (int(first[which]), place, False) for place, which in enumerate(number) if first[which] != place
    }
    unique = descriptors[first]
    tree = cKDTree(unique)
    k = min(check.neighbours + 1, len(unique))
    for shown, is_mirrored in ((unique, False), (mirrored(unique), True)):
        _, near = tree.query(shown, k=range(1, k + 1), distance_upper_bound=check.radius, workers=-1)
        for place, others in enumerate(near):
            for other in others[others < len(unique)].tolist():
                if other != place:
                    low, high = sorted((int(first[place]), int(first[other])))
                    pairs.add((low, high, is_mirrored))
    return sorted(pairs)


def _confirmed(check: DuplicateImages, pairs: list[Pair], fine: NDArray[np.int8]) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs that are copies, and how alike they are."""

    @lru_cache(maxsize=_DETAILS_HELD)
    def plain(place: int) -> Any:
        return detail(fine[place])

    @lru_cache(maxsize=2)
    def posed(place: int, is_mirrored: bool) -> Any:
        return stretched_details(_turned(fine[place], is_mirrored))

    for low, high, is_mirrored in pairs:
        as_it_lies = detail(_turned(fine[low], True)) if is_mirrored else plain(low)
        alike = likeness(as_it_lies, plain(high))
        if _UNALIKE < alike < check.limit:
            alike = max(alike, likeness(posed(low, is_mirrored), plain(high)))
        if alike >= check.limit:
            yield low, high, min(alike, 1.0)


def _turned(fine: NDArray[np.int8], is_mirrored: bool) -> NDArray[np.int8]:
    return fine[:, ::-1] if is_mirrored else fine


def _connected(found: list[tuple[int, int, float]], num_films: int) -> list[Alike]:
    if not found:
        return []
    lows, highs, values = (np.array(column) for column in zip(*found, strict=True))
    graph = coo_array((np.ones(len(found)), (lows, highs)), shape=(num_films, num_films))
    _, number = connected_components(graph, directed=False)
    groups: dict[int, Alike] = {}
    for low, high, value in zip(lows.tolist(), highs.tolist(), values.tolist(), strict=True):
        group = groups.setdefault(int(number[low]), {})
        for place in (low, high):
            group[place] = max(group.get(place, 0.0), value)
    return list(groups.values())
