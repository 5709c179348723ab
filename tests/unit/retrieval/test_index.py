from pathlib import Path

import numpy as np
import pytest

from radlet.core.errors import DataError
from radlet.retrieval.index import Index


def test_the_nearest_come_first_and_survive_the_disk(tmp_path: Path) -> None:
    embeddings = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    index = Index(embeddings, ["a", "b", "c"])
    similarities, rows = index.search(np.array([[1, 0]], np.float32), 2)
    assert rows.tolist() == [[0, 2]]
    assert similarities[0] == pytest.approx([1.0, 0.8])
    index.save(tmp_path)
    again = Index.load(tmp_path)
    assert again.ids == ["a", "b", "c"]
    assert np.array_equal(again.search(embeddings, 3)[1], index.search(embeddings, 3)[1])


def test_equals_keep_their_order_and_k_may_exceed_the_size() -> None:
    index = Index(np.array([[1, 0], [1, 0]], np.float32), ["a", "b"])
    assert index.search(np.array([[1, 0]], np.float32), 9)[1].tolist() == [[0, 1]]


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one id for each row"):
        Index(np.zeros((2, 2), np.float32), ["a"])
    with pytest.raises(DataError, match="no index"):
        Index.load(tmp_path)
