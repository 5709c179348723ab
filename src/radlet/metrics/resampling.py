"""Uncertainty of scores: bootstrap over patients, comparison of two systems or of groups, correction for many tests.

Reports of one patient resemble each other, so patients are drawn, not reports (cluster bootstrap). With additive
statistics each resample is a row of patient weights times the matrix of per-patient sums. A score may be NaN, where
there is nothing to judge; such resamples are left out of intervals and tests.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from radlet.metrics.base import Floats

Score = Callable[[Floats], Floats]
_CHUNK = 256
_MAX_UNDEFINED = 0.05
"""Systems are not compared where more of the resamples have nothing to judge: cases of one or two patients."""
_MAX_ROUNDS, _ENOUGH_AS_FAR = 10, 10
_BOUNDS = (0.025, 0.975)
_POWER = 0.8

Interval = Literal["percentile", "bca"]


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval; None stands for undefined, as JSON knows no NaN."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def defined(self) -> bool:
        """Tell whether there is a score and an interval."""
        return self.value is not None and self.low is not None


@dataclass(frozen=True)
class Comparison:
    """First system minus second on the same reports.

    Attributes:
        difference: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        p_value: Two-sided p-value of the swap test.
        detectable: The smallest true difference that a set of this size would show (two-sided 5 % level) four times in
            five, from the bootstrap's standard error.
    """

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


@dataclass(frozen=True)
class Gap:
    """Score of a group of reports less that of all others.

    Attributes:
        difference: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        p_value: Two-sided p-value by the same resamples: twice the share of them on the other side of 0.
        detectable: As of `Comparison`.
    """

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


class PatientResampler:
    """Draw the same resamples of patients for every metric and system, so that differences stay paired.

    Args:
        patients: Patient of each report, in the order of the statistics' rows.
        num_resamples: Bootstrap resamples, and swaps of a round of the permutation test.
        seed: Seed of both.
        interval: "percentile", or "bca": bias-corrected and accelerated (Efron 1987), which leans the interval the way
            the resamples and the leave-one-patient-out scores lean.

    Raises:
        ValueError: There is no report, or no resample.
    """

    def __init__(
        self, patients: Sequence[str], num_resamples: int = 1000, seed: int = 0, interval: Interval = "percentile"
    ) -> None:
        if not patients or num_resamples < 1:
            raise ValueError(f"{len(patients)} reports and {num_resamples} resamples: at least one of each is needed")
        numbers: dict[str, int] = {}
        self._patient = np.array([numbers.setdefault(p, len(numbers)) for p in patients], dtype=np.int64)
        self.num_patients = len(numbers)
        self.num_resamples = num_resamples
        self.interval = interval
        self._seed = seed

    def estimate(self, statistics: Floats, score: Score) -> Estimate:
        """Score all reports, and every resample of patients.

        Args:
            statistics: Additive statistics, one row a report, shape (n, k).
            score: Maps totals (..., k) to scores (...), NaN where undefined.
        """
        sums = self._per_patient(statistics)
        total = statistics.sum(axis=0)
        resamples = self.scores(statistics, score)
        return _estimate(score(total), resamples, self._left_out(lambda part: score(total - sums[part])))

    def scores(self, statistics: Floats, score: Score) -> Floats:
        """Return the score of every resample of patients, the same resamples for every caller, shape (r,)."""
        sums = self._per_patient(statistics)
        return np.concatenate([score(w @ sums) for w in self._weights()])

    def estimate_weighted(self, score: Score) -> Estimate:
        """Score all reports, and every resample of patients, by a score that no sums can give (a rank statistic).

        Args:
            score: Maps weights of the reports (..., n) to scores (...), NaN where undefined.
        """
        resamples = np.concatenate([score(w[:, self._patient]) for w in self._weights()])
        everyone = np.arange(self.num_patients)
        left_out = self._left_out(lambda part: score((self._patient != everyone[part, None]).astype(np.float64)))
        return _estimate(score(np.ones(len(self._patient))), resamples, left_out)

    def groups(self, statistics: Floats, members: NDArray[np.bool_], score: Score) -> list[tuple[Estimate, Gap | None]]:
        """Score each group of reports, and compare it with all other reports.

        A resample draws patients once for a group and the others, as one patient may have reports in both.

        Args:
            statistics: Additive statistics, one row a report, shape (n, k).
            members: Which reports are of which group, shape (n, g).
            score: As of `estimate`.

        Returns:
            Per group its score, and the gap; None where either side is undefined, or is in more than 5 % of the
            resamples.
        """
        inside = np.where(members[:, :, None], statistics[:, None, :], 0.0)
        own, own_drawn, own_left = self._group_scores(inside, score)
        rest, rest_drawn, rest_left = self._group_scores(statistics[:, None, :] - inside, score)
        results = []
        for group in range(members.shape[1]):
            left = None if own_left is None else own_left[:, group]
            apart = None if left is None or rest_left is None else left - rest_left[:, group]
            estimate = _estimate(own[group], own_drawn[:, group], left)
            gap = _gap(float(own[group] - rest[group]), own_drawn[:, group] - rest_drawn[:, group], apart)
            results.append((estimate, gap))
        return results

    def _group_scores(self, statistics: Floats, score: Score) -> tuple[Floats, Floats, Floats | None]:
        """Return scores from statistics (n, g, k), by group: of all reports, each resample, without each patient."""

        def scores(totals: Floats) -> Floats:
            return score(totals.reshape(*totals.shape[:-1], *statistics.shape[1:]))

        sums = self._per_patient(statistics.reshape(len(statistics), -1))
        total = sums.sum(axis=0)
        drawn = np.concatenate([scores(w @ sums) for w in self._weights()])
        return scores(total), drawn, self._left_out(lambda part: scores(total - sums[part]))

    def compare(self, first: Floats, second: Floats, score: Score) -> Comparison | None:
        """Compare two systems on the same reports: paired bootstrap interval, and paired permutation test by patient.

        The test swaps the two systems' answers for each patient with probability 1/2 (Noreen 1989); its p-value is
        (1 + swaps at least as far from 0 as observed) / (1 + number of swaps), hence never 0. Swaps come in rounds of as
        many as resamples; while fewer than ten are as far, there is another, up to ten (after Besag and Clifford 1991):
        corrected for many metrics, the p-value of a clear difference must not rest on the number of swaps. None where
        either side is undefined, or is in more than 5 % of the resamples (a share of the cases of one or two patients).
        """
        a, b = self._per_patient(first), self._per_patient(second)
        observed = float(score(a.sum(axis=0)) - score(b.sum(axis=0)))
        resampled = np.concatenate([score(w @ a) - score(w @ b) for w in self._weights()])
        totals = a.sum(axis=0), b.sum(axis=0)
        left_out = self._left_out(lambda part: score(totals[0] - a[part]) - score(totals[1] - b[part]))
        bounds = _bounds(resampled, observed, left_out)
        if np.isnan(observed) or bounds is None or np.isnan(resampled).mean() > _MAX_UNDEFINED:
            return None
        exceed = swaps = 0
        for number in range(_MAX_ROUNDS):
            for swap in self._swaps(number):
                moved = swap @ (b - a)
                permuted = score(totals[0] + moved) - score(totals[1] - moved)
                exceed += int((np.abs(permuted) >= abs(observed) - 1e-12).sum())
                swaps += int((~np.isnan(permuted)).sum())
            if exceed >= _ENOUGH_AS_FAR:
                break
        return Comparison(observed, *bounds, (1 + exceed) / (1 + swaps), _detectable(resampled))

    def _left_out(self, score: Callable[[slice], Floats]) -> Floats | None:
        """Return the score without each patient in turn, which only one kind of interval needs."""
        if self.interval != "bca":
            return None
        return np.concatenate([score(slice(i, i + _CHUNK)) for i in range(0, self.num_patients, _CHUNK)])

    def _per_patient(self, statistics: Floats) -> Floats:
        if len(statistics) != len(self._patient):
            raise ValueError(f"{len(statistics)} rows of statistics for {len(self._patient)} reports")
        sums = np.zeros((self.num_patients, statistics.shape[1]))
        np.add.at(sums, self._patient, statistics)
        return sums

    @cached_property
    def _drawn(self) -> NDArray[np.uint16]:
        # Kept small and made once: with a score for each of many metrics and systems, drawing would be the cost.
        shares = np.full(self.num_patients, 1 / self.num_patients)
        draws = np.random.default_rng(self._seed)
        return draws.multinomial(self.num_patients, shares, self.num_resamples).astype(np.uint16)

    @cached_property
    def _swapped(self) -> NDArray[np.uint8]:
        return self._draw_swaps(0)  # the first round, which every comparison needs

    def _draw_swaps(self, number: int) -> NDArray[np.uint8]:
        draws = np.random.default_rng((self._seed + 1, number))
        return draws.integers(0, 2, (self.num_resamples, self.num_patients), dtype=np.uint8)

    def _weights(self) -> Iterator[Floats]:
        return (self._drawn[i : i + _CHUNK].astype(np.float64) for i in range(0, self.num_resamples, _CHUNK))

    def _swaps(self, number: int) -> Iterator[Floats]:
        swapped = self._draw_swaps(number) if number else self._swapped
        return (swapped[i : i + _CHUNK].astype(np.float64) for i in range(0, self.num_resamples, _CHUNK))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in order (Holm 1979): they control the chance of any false alarm."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    factors = len(p_values) - np.arange(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values, np.float64)[order]))
    return [float(value) for value in corrected]


def _estimate(score: Floats, resamples: Floats, left_out: Floats | None) -> Estimate:
    value = float(score)
    if np.isnan(value):
        return Estimate(None, None, None)
    return Estimate(value, *(_bounds(resamples, value, left_out) or (None, None)))


def _gap(observed: float, resamples: Floats, left_out: Floats | None) -> Gap | None:
    bounds = _bounds(resamples, observed, left_out)
    if np.isnan(observed) or bounds is None or np.isnan(resamples).mean() > _MAX_UNDEFINED:
        return None
    defined = resamples[~np.isnan(resamples)]
    beyond = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return Gap(observed, *bounds, min(1.0, (1 + 2 * beyond) / (1 + len(defined))), _detectable(resamples))


def _detectable(resamples: Floats) -> float:
    return float(np.nanstd(resamples) * (ndtri(_BOUNDS[1]) + ndtri(_POWER)))


def _bounds(resamples: Floats, observed: float, left_out: Floats | None) -> tuple[float, float] | None:
    """Return the 95 % interval: percentiles of the resamples, or those that bias and acceleration point to."""
    defined = resamples[~np.isnan(resamples)]
    if not len(defined):
        return None
    shares = np.array(_BOUNDS)
    if left_out is not None and not np.isnan(observed):
        shares = _bca_shares(defined, observed, left_out[~np.isnan(left_out)])
    low, high = np.quantile(defined, shares)
    return float(low), float(high)


def _bca_shares(resamples: Floats, observed: float, left_out: Floats) -> Floats:
    """Return which quantiles to take (Efron 1987, equation 3.9); the plain ones where all resamples are on one side."""
    # Ties count half, as a score of few cases takes few values.
    below = (resamples < observed).mean() + (resamples == observed).mean() / 2
    if not 0 < below < 1 or not len(left_out):
        return np.array(_BOUNDS)
    bias = ndtri(below)
    deviation = left_out.mean() - left_out
    spread = (deviation**2).sum()
    acceleration = (deviation**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    reach = bias + ndtri(np.array(_BOUNDS))
    return np.asarray(ndtr(bias + reach / (1 - acceleration * reach)))
