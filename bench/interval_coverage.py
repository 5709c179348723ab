"""Print how often the 95 % intervals of the scorecard hold the true value, on made-up patients of known truth.

    python bench/interval_coverage.py [--trials 1000] [--patients 150] [--resamples 1000]

Every trial draws new patients with one to four reports each. A patient has a level of skill of his own, so his reports
resemble each other. The true value is the score of two million reports. Both kinds of interval see the same draws; the
share of trials whose interval holds the truth should be 93 to 97 %.
"""

import argparse
import time

import numpy as np

from radlet.metrics.base import Floats
from radlet.metrics.observations import F1_MACRO_5, F1_MICRO_14
from radlet.metrics.resampling import PatientResampler, Score

PREVALENCE = 0.5 * 0.75 ** np.arange(14)
"""From common to rare, as the observations are."""


def draw(draws: np.random.Generator, num_patients: int) -> tuple[list[str], dict[str, Floats]]:
    """Return the patients of the reports and, by kind of score, statistics of each report."""
    reports = draws.integers(1, 5, num_patients)
    patient = np.repeat(np.arange(num_patients), reports)
    skill = draws.beta(4, 2, num_patients)[patient, None]
    present = draws.random((len(patient), 14)) < PREVALENCE
    seen = draws.random(present.shape) < skill
    invented = draws.random(present.shape) < 0.3 * (1 - skill) * PREVALENCE * 2
    drafted = np.where(present, seen, invented)
    counts = np.concatenate([present & drafted, ~present & drafted, present & ~drafted], axis=1).astype(float)
    overlap = draws.beta(2 + 4 * skill[:, 0], 5)
    sided = draws.random(len(patient)) < 0.3
    right = sided & (draws.random(len(patient)) < 0.5 + 0.45 * skill[:, 0])
    columns = {
        "micro-F1, 14 observations": counts,
        "macro-F1, 5 observations": counts.reshape(len(patient), 3, 14)[:, :, [1, 4, 5, 7, 9]].reshape(-1, 15),
        "mean of a text score": np.column_stack([overlap, np.ones(len(patient))]),
        "share of sides that are right": np.column_stack([right, sided]).astype(float),
    }
    return [str(number) for number in patient], columns


def _mean(totals: Floats) -> Floats:
    return np.asarray(totals[..., 0] / np.maximum(totals[..., 1], 1e-12))


SCORES: dict[str, Score] = {
    "micro-F1, 14 observations": F1_MICRO_14.score,
    "macro-F1, 5 observations": F1_MACRO_5.score,
    "mean of a text score": _mean,
    "share of sides that are right": _mean,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    draws = np.random.default_rng(0)
    _, population = draw(draws, 800_000)
    truth = {name: float(SCORES[name](rows.sum(axis=0))) for name, rows in population.items()}
    kinds = ("percentile", "bca")
    held = {(name, kind): 0 for name in SCORES for kind in kinds}
    begun = time.monotonic()
    for trial in range(options.trials):
        patients, columns = draw(draws, options.patients)
        for kind in kinds:
            resampler = PatientResampler(patients, options.resamples, seed=trial, interval=kind)
            for name, rows in columns.items():
                estimate = resampler.estimate(rows, SCORES[name])
                held[name, kind] += estimate.low <= truth[name] <= estimate.high
    print(f"{options.trials} trials of {options.patients} patients, {options.resamples} resamples")
    print(f"{'':32} {'truth':>7}" + "".join(f" {kind:>11}" for kind in kinds))
    for name in SCORES:
        shares = "".join(f" {held[name, kind] / options.trials:11.1%}" for kind in kinds)
        print(f"{name:32} {truth[name]:7.3f}{shares}")
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
