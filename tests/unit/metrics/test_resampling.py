import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from radlet.metrics.base import ratio
from radlet.metrics.resampling import Estimate, PatientResampler, holm


def mean(totals):
    return ratio(totals[..., 0], totals[..., 1])


def rows(values):
    return np.stack([values, np.ones(len(values))], axis=1).astype(float)


def test_interval_covers_the_analytic_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    estimate = PatientResampler([str(i) for i in range(400)], 2000).estimate(rows(values), mean)
    half = 1.96 * values.std() / 20
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.03)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.03)


def test_patients_are_drawn_not_reports():
    values = np.repeat(np.random.default_rng(1).normal(0, 1, 40), 10)
    by_report = PatientResampler([str(i) for i in range(400)]).estimate(rows(values), mean)
    by_patient = PatientResampler([str(i // 10) for i in range(400)]).estimate(rows(values), mean)
    ratio_of_widths = (by_patient.high - by_patient.low) / (by_report.high - by_report.low)
    assert 2.5 < ratio_of_widths < 4.0  # sqrt(10) reports a patient


def test_same_seed_same_interval_and_other_seed_other_interval():
    statistics, patients = rows(np.arange(50.0)), [str(i) for i in range(50)]
    first, again, other = (PatientResampler(patients, 500, seed).estimate(statistics, mean) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 700))
def test_a_constant_system_has_a_point_interval_and_a_bounded_one_stays_inside(values, num_resamples):
    resampler = PatientResampler([str(i % 7) for i in range(len(values))], num_resamples)
    estimate = resampler.estimate(rows(np.array(values)), mean)
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9
    same = resampler.compare(rows(np.array(values)), rows(np.array(values)), mean)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_a_clear_difference_is_significant_and_noise_is_not():
    draws = np.random.default_rng(3)
    noise, patients = draws.normal(0, 1, 200), [str(i) for i in range(200)]
    resampler = PatientResampler(patients, 999)
    clear = resampler.compare(rows(noise + 0.5 + draws.normal(0, 0.1, 200)), rows(noise), mean)
    assert clear.low > 0.4
    assert clear.p_value == pytest.approx(1 / (1 + 10 * 999))  # no swap of ten rounds is as far
    nothing = resampler.compare(rows(noise), rows(draws.permutation(noise)), mean)
    assert nothing.low < 0 < nothing.high
    assert nothing.p_value > 0.05


def test_swap_test_is_exact_on_a_small_case():
    # Three patients, differences 1, 1, 1: of 8 swaps two reach |3|, so p = 1/4.
    resampler = PatientResampler(["a", "b", "c"], 20_000)
    p = resampler.compare(rows(np.ones(3)), rows(np.zeros(3)), mean).p_value
    assert p == pytest.approx(0.25, abs=0.015)


def test_comparison_is_antisymmetric():
    draws = np.random.default_rng(4)
    a, b = rows(draws.random(30)), rows(draws.random(30))
    resampler = PatientResampler([str(i // 2) for i in range(30)])
    one, two = resampler.compare(a, b, mean), resampler.compare(b, a, mean)
    assert one.difference == pytest.approx(-two.difference)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
    assert one.p_value == two.p_value


def test_refuses_nothing_and_mismatched_rows():
    with pytest.raises(ValueError, match="at least one"):
        PatientResampler([])
    with pytest.raises(ValueError, match="3 rows of statistics for 2"):
        PatientResampler(["a", "b"]).estimate(np.ones((3, 2)), mean)


def share(totals):
    return np.where(totals[..., 1] > 0, mean(totals), np.nan)


def test_resamples_with_nothing_to_judge_are_left_out():
    # One patient of twenty is judged, and is right: a third of the resamples miss the patient.
    statistics, patients = np.zeros((20, 2)), [str(i) for i in range(20)]
    statistics[3] = 1
    resampler = PatientResampler(patients, 500)
    assert resampler.estimate(statistics, share) == Estimate(1.0, 1.0, 1.0)
    assert resampler.estimate(statistics, mean).low == 0.0
    assert resampler.compare(statistics, statistics * [0, 1], share) is None  # one patient is no evidence


def test_a_comparison_leaves_out_resamples_with_nothing_to_judge():
    statistics, patients = np.zeros((20, 2)), [str(i) for i in range(20)]
    statistics[:4] = 1  # one resample in a hundred misses all four patients
    comparison = PatientResampler(patients, 2000).compare(statistics, statistics * [0, 1], share)
    assert (comparison.difference, comparison.low, comparison.high) == (1.0, 1.0, 1.0)
    assert comparison.p_value == pytest.approx(1 / 8, abs=0.03)  # all four swapped, or none


def test_nothing_judged_is_undefined_and_not_compared():
    nothing, patients = np.zeros((4, 2)), list("abcd")
    resampler = PatientResampler(patients, 50)
    estimate = resampler.estimate(nothing, share)
    assert estimate == Estimate(None, None, None)
    assert not estimate.defined
    assert resampler.compare(np.ones((4, 2)), nothing, share) is None
    assert resampler.compare(nothing, np.ones((4, 2)), share) is None


def test_weights_of_reports_give_the_interval_that_sums_give():
    values = np.random.default_rng(5).random(30)
    resampler = PatientResampler([str(i // 3) for i in range(30)], 300)
    by_sums = resampler.estimate(rows(values), mean)
    by_weights = resampler.estimate_weighted(lambda weights: weights @ values / weights.sum(-1))
    assert (by_weights.value, by_weights.low, by_weights.high) == pytest.approx(
        (by_sums.value, by_sums.low, by_sums.high)
    )


@pytest.mark.parametrize("score_name", ["mean", "ratio"])
def test_bca_equals_scipy(score_name):
    """scipy draws other resamples, so both draw many, and agree to a small part of the interval's width."""
    draws = np.random.default_rng(8)
    values = draws.exponential(1, (60, 2)) ** 2
    totals = np.column_stack([values, np.ones(60)])
    column = {"mean": 2, "ratio": 1}[score_name]

    def score(sums):
        return sums[..., 0] / sums[..., column]

    def of_sample(first, second, ones, axis=-1):
        return first.sum(axis) / {"mean": ones, "ratio": second}[score_name].sum(axis)

    expected = bootstrap(
        tuple(totals.T), of_sample, paired=True, vectorized=True, n_resamples=40_000, method="BCa", rng=1
    ).confidence_interval
    estimate = PatientResampler([str(i) for i in range(60)], 40_000, interval="bca").estimate(totals, score)
    width = expected.high - expected.low
    assert estimate.low == pytest.approx(expected.low, abs=0.02 * width)
    assert estimate.high == pytest.approx(expected.high, abs=0.02 * width)
    plain = PatientResampler([str(i) for i in range(60)], 40_000).estimate(totals, score)
    assert abs(plain.high - expected.high) > 0.04 * width


def test_bca_leaves_out_patients_and_not_reports():
    values, patients = np.random.default_rng(2).exponential(1, 30), [str(i) for i in range(30)]
    once = PatientResampler(patients, 500, interval="bca").estimate(rows(values), mean)
    doubled = PatientResampler(patients * 2, 500, interval="bca").estimate(rows(np.tile(values, 2)), mean)
    assert (doubled.low, doubled.high) == pytest.approx((once.low, once.high))
    weighted = PatientResampler(patients * 2, 500, interval="bca").estimate_weighted(
        lambda w: (w * np.tile(values, 2)).sum(-1) / w.sum(-1)
    )
    assert (weighted.low, weighted.high) == pytest.approx((once.low, once.high))


def test_bca_of_one_patient_and_of_a_perfect_score_is_a_point():
    for values, patients in (([0.5], ["a"]), ([1.0] * 9, list("abcdefghi"))):
        estimate = PatientResampler(patients, 200, interval="bca").estimate(rows(np.array(values)), mean)
        assert (estimate.low, estimate.high) == (values[0], values[0])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_detectable_difference_is_found_four_times_in_five():
    """Of a true difference of that size the interval excludes 0 about four times in five."""
    draws = np.random.default_rng(5)
    patients = [str(i) for i in range(80)]
    resampler = PatientResampler(patients, 400)
    zeros = rows(np.zeros(80))
    detectable = np.mean([resampler.compare(rows(draws.normal(0, 1, 80)), zeros, mean).detectable for _ in range(30)])
    found = [resampler.compare(rows(draws.normal(detectable, 1, 80)), zeros, mean).low > 0 for _ in range(250)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_a_group_scores_as_if_it_were_alone_and_its_gap_is_to_all_others(interval):
    draws = np.random.default_rng(5)
    values, patients = draws.normal(0, 1, 90), [str(i % 40) for i in range(90)]
    members = np.stack([np.arange(90) < 30, np.arange(90) % 2 == 0], axis=1)
    resampler = PatientResampler(patients, 400, interval=interval)
    for number, (estimate, gap) in enumerate(resampler.groups(rows(values), members, mean)):
        inside = members[:, number]
        alone = resampler.estimate(rows(values) * inside[:, None], mean)
        assert dataclasses.astuple(estimate) == pytest.approx(dataclasses.astuple(alone))
        assert gap.difference == pytest.approx(values[inside].mean() - values[~inside].mean())
        assert gap.low < gap.difference < gap.high


def test_a_gap_is_clear_where_it_is_large_and_its_interval_is_the_analytic_one():
    draws = np.random.default_rng(6)
    values, group = draws.normal(0, 1, 400), np.arange(400) < 150
    resampler = PatientResampler([str(i) for i in range(400)], 1999)
    [(_, none)] = resampler.groups(rows(values), group[:, None], mean)
    [(_, clear)] = resampler.groups(rows(values + group), group[:, None], mean)
    half = 1.96 * np.sqrt(1 / 150 + 1 / 250)
    assert none.high - none.low == pytest.approx(2 * half, rel=0.12)
    assert none.detectable == pytest.approx(2.8 * half / 1.96, rel=0.12)
    assert none.p_value > 0.05
    assert clear.p_value == pytest.approx(1 / 2000)
    assert clear.difference == pytest.approx(none.difference + 1)


def test_a_group_with_nothing_to_judge_or_of_everybody_has_no_gap():
    values = np.arange(30.0)
    everybody, nobody = np.ones(30, dtype=bool), np.zeros(30, dtype=bool)
    resampler = PatientResampler([str(i) for i in range(30)], 50)

    def share(totals):
        return np.where(totals[..., 1] > 0, mean(totals), np.nan)

    (whole, no_gap), (empty, neither) = resampler.groups(rows(values), np.stack([everybody, nobody], axis=1), share)
    assert whole.value == pytest.approx(14.5)
    assert empty == Estimate(None, None, None)
    assert no_gap is None
    assert neither is None


def test_a_clear_difference_gets_more_swaps_and_an_unclear_one_none():
    better, equal = np.tile([1.0, 1.0], (60, 1)), np.tile([0.0, 1.0], (60, 1))
    resampler = PatientResampler([str(number) for number in range(60)], 100, seed=3)
    assert resampler.compare(better, equal, mean).p_value == pytest.approx(1 / 1001)
    shared = better.copy()
    shared[::2, 0] = 0
    other = np.roll(shared, 1, axis=0)
    p_value = resampler.compare(shared, other, mean).p_value
    assert p_value * 101 == pytest.approx(round(p_value * 101))
