"""Check `duplicate_images`: the same film more than once, perhaps encoded anew, resized, windowed or cut at the edges.

Candidates are the nearest neighbours of a coarse picture; a correlation of the fine structure confirms them. In memory
a film costs its coarse picture alone: who it is, and its fine structure, wait in files.
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

from radlet.core.records import Study
from radlet.data.quality.base import Action, Finder, Group, MeasuredFilm, Member, SetCheck
from radlet.data.quality.groups import Alike, make_groups, member_of
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
from radlet.data.quality.neighbours import Neighbours

_UNALIKE = 0.55
"""Films whose fine structure correlates less than this as they lie are not tried in other positions."""
_DETAILS_HELD = 4096

Places = NDArray[np.int64]
Pairs = NDArray[np.int64]
"""Rows of two films, the first before the second, and whether one of them is mirrored."""


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
        """Return a finder that keeps all but the coarse pictures in files."""
        return _Films(self, scratch_dir / "fine.bin", scratch_dir / "members.jsonl")


class _Films:
    """The films gathered so far: coarse pictures in memory, fine ones and members in files."""

    def __init__(self, check: DuplicateImages, fine: Path, members: Path) -> None:
        self._check = check
        self._fine, self._members = fine, members
        for path in (fine, members):
            path.write_bytes(b"")
        self._descriptors = bytearray()

    def add(self, study: Study, films: Sequence[MeasuredFilm]) -> None:
        """Take note of the films that were measured and are not flat."""
        shown = [film for film in films if film.descriptor]
        if not shown:
            return
        with self._fine.open("ab") as fine, self._members.open("ab") as members:
            for film in shown:
                fine.write(read_fine(film.fine).tobytes())
                members.write(member_of(study, film.image_id).model_dump_json().encode() + b"\n")
                self._descriptors += read_descriptor(film.descriptor).tobytes()

    def find(self) -> list[Group]:
        """Return the groups of films that are copies of one another."""
        descriptors = np.frombuffer(self._descriptors, np.float32).reshape(-1, DESCRIPTOR)
        if len(descriptors) < 2:
            return []
        fine = np.memmap(self._fine, np.int8, "r", shape=(len(descriptors), FINE, FINE))
        found = list(_confirmed(self._check, _candidates(self._check, descriptors), fine))
        groups = _connected(found, len(descriptors))
        return make_groups("duplicate_images", "films", self._read_members(groups), groups)

    def _read_members(self, groups: list[Alike]) -> dict[int, Member]:
        wanted = {place for group in groups for place in group}
        with self._members.open("rb") as file:
            return {place: Member.model_validate_json(line) for place, line in enumerate(file) if place in wanted}


def _candidates(check: DuplicateImages, descriptors: NDArray[np.float32]) -> Pairs:
    """Return the pairs worth comparing, in order; films of one and the same descriptor are compared with the first."""
    count = len(descriptors)
    _, first, number = np.unique(descriptors, axis=0, return_index=True, return_inverse=True)
    leader = first[number.ravel()]
    others = np.flatnonzero(leader != np.arange(count))
    found = [_numbered(count, leader[others], others, False)]
    unique = descriptors[first]
    neighbours = Neighbours(unique)
    for shown, is_mirrored in ((unique, False), (mirrored(unique), True)):
        films, near = neighbours.search(shown, check.neighbours + 1, check.radius)
        found.append(_numbered(count, first[films], first[near], is_mirrored))
    pairs = np.unique(np.concatenate(found))
    films, poses = np.divmod(pairs, 2)
    return np.column_stack([*np.divmod(films, count), poses])


def _numbered(count: int, films: Places, others: Places, is_mirrored: bool) -> Places:
    """Return a number for each pair of different films; numbers sort as the pairs do."""
    low, high = np.minimum(films, others), np.maximum(films, others)
    return np.asarray((low * count + high)[low != high] * 2 + is_mirrored)


def _confirmed(check: DuplicateImages, pairs: Pairs, fine: NDArray[np.int8]) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs that are copies, and how alike they are."""

    @lru_cache(maxsize=_DETAILS_HELD)
    def plain(place: int) -> Any:
        return detail(fine[place])

    @lru_cache(maxsize=2)
    def posed(place: int, is_mirrored: bool) -> Any:
        return stretched_details(_turned(fine[place], is_mirrored))

    for low, high, is_mirrored in (row.tolist() for row in pairs):
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
