"""Calibration error, scaling and abstention on cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.metrics.calibration import (
    bin_edges,
    bin_statistics,
    debiased_calibration_error,
    expected_calibration_error,
    fit_platt,
    risk_coverage,
    risk_coverage_area,
)


def totals_of(probabilities, present, num_bins=10):
    probabilities, present = np.array([probabilities], float), np.array([present], float)
    edges = bin_edges(probabilities[~np.isnan(present)], num_bins)
    return bin_statistics(probabilities, present, edges).sum(axis=0)


def test_calibration_error_by_hand():
    totals = totals_of([0.1, 0.1, 0.8, 0.8], [0, 0, 1, 0], 2)
    assert totals.tolist() == [2, 2, 0, 1, pytest.approx(0.2), pytest.approx(1.6)]
    assert expected_calibration_error(totals) == pytest.approx((2 * 0.1 + 2 * 0.3) / 4)
    expected = (2 * 0.1**2 + 2 * (0.3**2 - 0.25)) / 4
    assert debiased_calibration_error(totals) == pytest.approx(np.sqrt(max(expected, 0)))


def test_what_is_unknown_counts_nowhere():
    assert totals_of([0.2, 0.9], [0, np.nan], 1).tolist() == [1, 0, pytest.approx(0.2)]
    assert expected_calibration_error(np.zeros(6)) == 0


def test_bins_hold_equally_many():
    probabilities = np.random.default_rng(0).random(1000) ** 4
    assert set(totals_of(probabilities, np.zeros(1000))[:10]) == {100}


def test_debiasing_takes_away_what_chance_adds():
    """Exact probabilities in many small sets: the plain error is far from 0, the other nearer."""
    draws = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(200):
        probabilities = draws.random(100)
        totals = totals_of(probabilities, draws.random(100) < probabilities)
        plain.append(expected_calibration_error(totals))
        debiased.append(debiased_calibration_error(totals))
    assert np.mean(plain) > 0.08
    assert np.mean(debiased) < 0.06


def test_platt_finds_slope_and_intercept():
    draws = np.random.default_rng(0)
    scores = draws.normal(size=20_000)
    present = (draws.random(20_000) < 1 / (1 + np.exp(-(2 * scores - 1)))).astype(float)
    assert fit_platt(scores, present) == pytest.approx((2, -1), abs=0.1)
    assert fit_platt(scores[:3], np.array([0, 0, np.nan])) is None


def test_risk_and_coverage_by_hand():
    confidence, wrong = np.array([0.9, 0.6, 0.8, 0.6]), np.array([0.0, 1.0, 0.0, 0.0])
    kept, risk = risk_coverage(confidence, wrong)
    assert kept.tolist() == [0.25, 0.5, 1.0]
    assert risk.tolist() == [0, 0, 0.25]
    areas = risk_coverage_area(confidence, wrong, np.array([[1, 1, 1, 1], [0, 2, 1, 0], [0, 0, 0, 0]], float))
    assert areas[:2] == pytest.approx([(0 + 0 + 2 * 0.25) / 4, (0 + 2 * 2 / 3) / 3])
    assert np.isnan(areas[2])
    assert np.isnan(risk_coverage_area(np.empty(0), np.empty(0), np.ones((1, 0)))).all()


@given(st.integers(0, 2**32 - 1))
def test_a_weight_of_two_is_the_case_twice(seed):
    draws = np.random.default_rng(seed)
    confidence, wrong = draws.integers(0, 5, 12) / 5, draws.integers(0, 2, 12).astype(float)
    weights = draws.integers(0, 3, 12)
    if not weights.sum():
        return
    twice = np.repeat(np.arange(12), weights)
    repeated = risk_coverage_area(confidence[twice], wrong[twice], np.ones((1, len(twice))))
    assert risk_coverage_area(confidence, wrong, weights[None].astype(float)) == pytest.approx(repeated)


def test_one_confidence_for_all_gives_the_error_rate():
    wrong = np.array([1.0, 0, 0, 1, 0])
    assert risk_coverage_area(np.full(5, 0.7), wrong, np.ones((1, 5))) == pytest.approx([0.4])
