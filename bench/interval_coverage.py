"""Print how often the 95 % intervals of the scorecard hold the true value, on made-up patients of known truth.

    python bench/interval_coverage.py [--trials 1000] [--patients 150] [--resamples 1000]

Every trial draws new patients with one to four reports each. A patient has a level of skill of his own, so his reports
resemble each other; three patients in ten are of a group that the drafts serve worse. True are the score, and the gap
of the group to the others, of two million reports. Both kinds of interval see the same draws; the share of trials whose
interval holds the truth should be 93 to 97 %.

The tests are tried where nothing is to be found: two systems of the same skill, and a group that is none. The share of
trials with p below 0.05 should be about 5 %.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radlet.metrics.base import Floats
from radlet.metrics.observations import F1_MACRO_5, F1_MICRO_14
from radlet.metrics.resampling import Estimate, Gap, Interval, PatientResampler, Score

PREVALENCE = 0.5 * 0.75 ** np.arange(14)
"""From common to rare, as the observations are."""
KINDS: tuple[Interval, ...] = ("percentile", "bca")
LESS = 0.25
"""Share of the skill that is missing in the group."""


@dataclass(frozen=True)
class Reports:
    """What is there, before anything is drafted."""

    patient: NDArray[np.int64]
    skill: Floats
    present: NDArray[np.bool_]
    sided: NDArray[np.bool_]
    group: NDArray[np.bool_]

    @property
    def patients(self) -> list[str]:
        """Patient of each report."""
        return [str(number) for number in self.patient]


def draw_reports(draws: np.random.Generator, num_patients: int, less: float) -> Reports:
    """Return the reports of new patients, those of the group with `less` of their skill gone."""
    patient = np.repeat(np.arange(num_patients), draws.integers(1, 5, num_patients))
    grouped = draws.random(num_patients) < 0.3
    skill = draws.beta(4, 2, num_patients) * (1 - less * grouped)
    present = draws.random((len(patient), 14)) < PREVALENCE
    return Reports(patient, skill[patient, None], present, draws.random(len(patient)) < 0.3, grouped[patient])


def draw_drafts(draws: np.random.Generator, reports: Reports) -> dict[str, Floats]:
    """Return, by kind of score, statistics of a draft of each report."""
    present, skill = reports.present, reports.skill
    seen = draws.random(present.shape) < skill
    invented = draws.random(present.shape) < 0.3 * (1 - skill) * PREVALENCE * 2
    drafted = np.where(present, seen, invented)
    counts = np.concatenate([present & drafted, ~present & drafted, present & ~drafted], axis=1).astype(float)
    overlap = draws.beta(2 + 4 * skill[:, 0], 5)
    right = reports.sided & (draws.random(len(skill)) < 0.5 + 0.45 * skill[:, 0])
    return {
        "micro-F1, 14 observations": counts,
        "macro-F1, 5 observations": counts.reshape(len(skill), 3, 14)[:, :, [1, 4, 5, 7, 9]].reshape(-1, 15),
        "mean of a text score": np.column_stack([overlap, np.ones(len(skill))]),
        "share of sides that are right": np.column_stack([right, reports.sided]).astype(float),
    }


def _mean(totals: Floats) -> Floats:
    return np.asarray(totals[..., 0] / np.maximum(totals[..., 1], 1e-12))


SCORES: dict[str, Score] = {
    "micro-F1, 14 observations": F1_MICRO_14.score,
    "macro-F1, 5 observations": F1_MACRO_5.score,
    "mean of a text score": _mean,
    "share of sides that are right": _mean,
}


def gap(rows: Floats, group: NDArray[np.bool_], score: Score) -> float:
    """Return the score of a group less that of all others."""
    return float(score(rows[group].sum(axis=0)) - score(rows[~group].sum(axis=0)))


def holds(found: Estimate | Gap, truth: float) -> bool:
    """Tell whether an interval holds the truth."""
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


@dataclass(frozen=True)
class Trials:
    """How many trials of how many patients, with how many resamples."""

    trials: int
    patients: int
    resamples: int

    def coverage(self, draws: np.random.Generator) -> None:
        """Print how often the intervals of scores and of gaps hold the truth."""
        population = draw_reports(draws, 800_000, LESS)
        columns = draw_drafts(draws, population)
        truth = {name: float(SCORES[name](rows.sum(axis=0))) for name, rows in columns.items()}
        gaps = {name: gap(rows, population.group, SCORES[name]) for name, rows in columns.items()}
        held = {(name, kind, what): 0 for name in SCORES for kind in KINDS for what in ("score", "gap")}
        for trial in range(self.trials):
            reports = draw_reports(draws, self.patients, LESS)
            drafted = draw_drafts(draws, reports)
            for kind in KINDS:
                resampler = PatientResampler(reports.patients, self.resamples, seed=trial, interval=kind)
                for name, rows in drafted.items():
                    estimate = resampler.estimate(rows, SCORES[name])
                    held[name, kind, "score"] += holds(estimate, truth[name])
                    [(_, found)] = resampler.groups(rows, reports.group[:, None], SCORES[name])
                    held[name, kind, "gap"] += found is not None and holds(found, gaps[name])
        for what, values in (("score", truth), ("gap", gaps)):
            print(f"{f'intervals of a {what}':32} {'truth':>7}" + "".join(f" {kind:>11}" for kind in KINDS))
            for name in SCORES:
                shares = "".join(f" {held[name, kind, what] / self.trials:11.1%}" for kind in KINDS)
                print(f"{name:32} {values[name]:7.3f}{shares}", flush=True)

    def false_alarms(self, draws: np.random.Generator) -> None:
        """Print how often the tests find what is not there."""
        alarms = {(name, what): 0 for name in SCORES for what in ("systems", "group")}
        for trial in range(self.trials):
            reports = draw_reports(draws, self.patients, 0.0)
            resampler = PatientResampler(reports.patients, self.resamples, seed=trial)
            other = draw_drafts(draws, reports)
            for name, rows in draw_drafts(draws, reports).items():
                compared = resampler.compare(rows, other[name], SCORES[name])
                alarms[name, "systems"] += compared is not None and compared.p_value < 0.05
                [(_, found)] = resampler.groups(rows, reports.group[:, None], SCORES[name])
                alarms[name, "group"] += found is not None and found.p_value < 0.05
        print(f"{'p below 0.05 without a cause':32} {'two systems':>19} {'a group':>11}")
        for name in SCORES:
            shares = "".join(f" {alarms[name, what] / self.trials:11.1%}" for what in ("systems", "group"))
            print(f"{name:32} {'':7}{shares}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    begun = time.monotonic()
    print(f"{options.trials} trials of {options.patients} patients, {options.resamples} resamples")
    trials = Trials(options.trials, options.patients, options.resamples)
    trials.coverage(np.random.default_rng(0))
    trials.false_alarms(np.random.default_rng(1))
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
