import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.data.quality import neighbours
from radlet.data.quality.neighbours import Neighbours


def unit_vectors(count, dimensions=35, seed=0):
    """Vectors around a few directions, as films of a few kinds are."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(12, dimensions))
    vectors = kinds[rng.integers(0, 12, count)] + rng.normal(0, 0.4, (count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_comparing_all(vectors, queries, k, radius):
    """Pairs whose distance is at most that of the k-th and at most the radius."""
    distances = np.linalg.norm(queries[:, None] - vectors[None], axis=2)
    limit = np.minimum(np.sort(distances, axis=1)[:, min(k, len(vectors)) - 1], radius)
    return set(zip(*(column.tolist() for column in np.nonzero(distances <= limit[:, None])), strict=True))


def pairs(found):
    return set(zip(*(column.tolist() for column in found), strict=True))


@given(st.integers(1, 60), st.integers(1, 9), st.sampled_from([0.2, 0.7, 2.0]))
def test_a_small_set_is_searched_exactly(count, k, radius):
    vectors, queries = unit_vectors(count), unit_vectors(20, seed=1)
    assert pairs(Neighbours(vectors).search(queries, k, radius)) == by_comparing_all(vectors, queries, k, radius)


@pytest.fixture
def in_cells(monkeypatch):
    monkeypatch.setattr(neighbours, "_EXACT_TO", 100)


def test_cells_lose_few_neighbours_and_bring_none_that_is_not_one(in_cells):
    vectors, queries = unit_vectors(4000), unit_vectors(300, seed=1)
    found = pairs(Neighbours(vectors).search(queries, 8, 0.9))
    true = by_comparing_all(vectors, queries, 8, 0.9)
    assert found
    assert len(found & true) >= 0.97 * len(true)
    assert max(np.bincount([query for query, _ in found])) <= 8
    assert all(np.linalg.norm(queries[query] - vectors[other]) <= 0.9001 for query, other in found)


def test_a_vector_finds_itself_in_whatever_cell_it_lies(in_cells):
    vectors = unit_vectors(3000)
    queries, found = Neighbours(vectors).search(vectors, 1, 0.1)
    assert queries.tolist() == found.tolist() == list(range(3000))


def test_full_cells_are_searched_in_parts_to_the_same_result(in_cells, monkeypatch):
    vectors = unit_vectors(2000)
    whole = pairs(Neighbours(vectors).search(vectors, 5, 1.0))
    monkeypatch.setattr(neighbours, "_ENTRIES_AT_ONCE", 700)
    assert pairs(Neighbours(vectors).search(vectors, 5, 1.0)) == whole
