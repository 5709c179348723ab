import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from radlet.metrics.auroc import label_aurocs, weighted_auroc

ROWS = st.tuples(st.integers(0, 4), st.sampled_from([0.0, 1.0, np.nan]), st.integers(0, 3))


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_weights_count_as_copies_and_ties_count_half(rows):
    scores, targets, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    area = weighted_auroc(scores, targets, weights)
    known = np.repeat(~np.isnan(targets), weights.astype(int))
    copies = np.repeat(targets, weights.astype(int))[known]
    if 0 < copies.sum() < len(copies):
        assert area == pytest.approx(roc_auc_score(copies, np.repeat(scores, weights.astype(int))[known]))
    else:
        assert np.isnan(area)


def test_every_row_of_weights_has_its_own_area():
    scores, targets = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    weights = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]], dtype=float)
    np.testing.assert_allclose(weighted_auroc(scores, targets, weights), [0.75, 1.0, 0.0, np.nan])
    assert label_aurocs(scores[:, None], targets[:, None], ["x"]) == {"x": 0.75}
