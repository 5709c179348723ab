"""Rank correlation under weights: equal to scipy's of the repeated series, and undefined where there are no ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from radlet.metrics.rank_correlation import Ranked

SERIES = st.integers(4, 25).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n)] * 2))


@given(SERIES, st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_weights_stand_for_repeated_reports(series, seed):
    x, y = (np.array(one, float) for one in series)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), 3).astype(float)
    ranked = Ranked(x, y)
    for row, tau, rho, difference in zip(
        weights, ranked.tau_b(weights), ranked.rho(weights), ranked.mean_difference(weights), strict=True
    ):
        a, b = (np.repeat(one, row.astype(int)) for one in (x, y))
        assert difference == pytest.approx(np.abs(a - b).mean())
        if len(set(a)) < 2 or len(set(b)) < 2:
            assert np.isnan(tau)
            assert np.isnan(rho)
        else:
            assert tau == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)
            assert rho == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_worked_by_hand():
    """Six pairs: four agree, one disagrees, one is a tie in y alone; tau-b = 3 / sqrt(6 * 5)."""
    ranked = Ranked(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 3.0]))
    assert ranked.tau_b(np.ones((1, 4)))[0] == pytest.approx(3 / np.sqrt(30))
    assert ranked.mean_difference(np.ones((1, 4)))[0] == pytest.approx(0.75)


def test_no_weight_at_all_is_undefined():
    ranked = Ranked(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    for figure in (ranked.tau_b, ranked.rho, ranked.mean_difference):
        assert np.isnan(figure(np.zeros((1, 2)))).all()
