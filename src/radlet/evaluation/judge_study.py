"""How well a judge agrees with experts, held against how well an expert agrees with the other experts.

For each expert in turn the mean of the others is the target: the left-out expert is compared with it, and so is the
judge, on the same reports. The means over all left-out experts are the figures: tau-b and rho of the ranking, and the
mean absolute difference of the counts. Intervals are bootstrapped by patient.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.core.console import Progress
from radlet.core.records import Record
from radlet.evaluation.expert_counts import Judgements, StudyFiles, read_study_files
from radlet.metrics.base import Floats
from radlet.metrics.rank_correlation import Ranked
from radlet.metrics.resampling import Estimate, PatientResampler
from radlet.metrics.rule_judge import ERROR_KINDS

LEVELS = ("significant", "all")
TOTAL = "total"
FIGURES: dict[str, Callable[[Ranked, Floats], Floats]] = {
    "tau": Ranked.tau_b,
    "rho": Ranked.rho,
    "mean_difference": Ranked.mean_difference,
}


class Agreement(Record):
    """One figure of a judge, that of the left-out experts on the same reports, and the first minus the second."""

    judge: Estimate | None
    """None in the experts' own rows, and for a mean difference of a metric, whose unit is another."""
    experts: Estimate | None
    """The yardstick; None with a single expert."""
    difference: Estimate | None


class JudgeResult(Record):
    """One judge, or the experts alone."""

    num_reports: int
    """Reports of the experts that it judged."""
    missing: dict[str, int] = {}
    """Reports of the experts that it did not judge, by reason; they are left out."""
    unknown: int = 0
    """Reports that it judged and no expert counted."""
    agreement: dict[str, dict[str, dict[str, Agreement]]]
    """Kind of error, or the total -> significant ones or all -> figure."""


class JudgeStudy(Record):
    """All figures of a study."""

    version: int = 1
    num_reports: int
    num_patients: int
    num_counted: dict[str, int]
    """Expert -> reports."""
    num_resamples: int
    seed: int
    experts: JudgeResult
    """The experts among themselves, on all reports."""
    judges: dict[str, JudgeResult]


@dataclass(frozen=True)
class _Target:
    """What one left-out expert, or none, leaves to compare with.

    Attributes:
        rows: Which reports.
        others: Mean count of the other experts there.
        left_out: The left-out expert's counts there; None where a single expert is the target.
    """

    rows: NDArray[np.int64]
    others: Floats
    left_out: Floats | None


def study_files(
    paths: Sequence[Path], num_resamples: int = 1000, seed: int = 0, progress: Progress | None = None
) -> JudgeStudy:
    """Read the files and compare every judge with the experts.

    Raises:
        DataError: As `read_study_files`.
    """
    files = read_study_files(paths)
    reports = files.reports
    resampler = PatientResampler([files.patients.get(name, name) for name in reports], num_resamples, seed)
    progress = progress or Progress(quiet=True)
    tracked = progress.track(files.judges, "judges", len(files.judges))
    results = {name: _compare(files, name, resampler) for name in tracked}
    return JudgeStudy(
        num_reports=len(reports),
        num_patients=resampler.num_patients,
        num_counted={expert: len(counted) for expert, counted in files.experts.items()},
        num_resamples=num_resamples,
        seed=seed,
        experts=_compare(files, None, resampler),
        judges=results,
    )


def _compare(files: StudyFiles, judge: str | None, resampler: PatientResampler) -> JudgeResult:
    reports = files.reports
    counted = np.stack([_table(one, reports) for one in files.experts.values()])  # (experts, n, 6, 2)
    judged = None if judge is None else files.judges[judge]
    table = None if judged is None else _judged_table(judged, reports)
    is_metric = judged is not None and judged.is_metric
    agreement = {
        kind: {
            level: agree(_quantity(counted, kind, level), _series(table, kind, level), resampler, is_metric)
            for level in LEVELS
        }
        for kind in ((TOTAL,) if is_metric else (TOTAL, *ERROR_KINDS))
    }
    missing = {} if judge is None else dict(files.missing(judge))
    return JudgeResult(
        num_reports=len(reports) - sum(missing.values()),
        missing=missing,
        unknown=0 if judge is None else files.unknown(judge),
        agreement=agreement,
    )


def _table(counted: dict[str, Floats], reports: Sequence[str]) -> Floats:
    """Return the counts of reports, NaN where there are none, shape (n, 6, 2)."""
    nothing = np.full((len(ERROR_KINDS), 2), np.nan)
    return np.stack([counted.get(name, nothing) for name in reports])


def _judged_table(judged: Judgements, reports: Sequence[str]) -> Floats:
    if not judged.is_metric:
        return _table(judged.counts, reports)
    # More is better, so that it falls as errors rise; turned round, agreement is positive as it is for counts.
    return np.array([-judged.values.get(name, np.nan) for name in reports])


def _quantity(counts: Floats, kind: str, level: str) -> Floats:
    """Return what is compared, shape (..., 6, 2) -> (...)."""
    of_kind = counts.sum(axis=-2) if kind == TOTAL else counts[..., ERROR_KINDS.index(kind), :]
    return np.asarray(of_kind[..., 0] if level == "significant" else of_kind.sum(axis=-1))


def _series(table: Floats | None, kind: str, level: str) -> Floats | None:
    return table if table is None or table.ndim == 1 else _quantity(table, kind, level)


def agree(
    experts: Floats, judge: Floats | None, resampler: PatientResampler, is_metric: bool = False
) -> dict[str, Agreement]:
    """Return every figure of one quantity.

    Args:
        experts: Counts by each expert, shape (experts, n), NaN where there is none.
        judge: Those of the judge (n,), NaN where there is none; None for the experts alone.
        resampler: Of the same n reports.
        is_metric: Whether the judge's numbers are no counts, and can be ranked only.
    """
    targets = _targets(experts, judge)
    alone = not any(target.left_out is not None for target in targets)
    of_experts = [Ranked(target.left_out, target.others) for target in targets if target.left_out is not None]
    of_judge = [] if judge is None else [Ranked(judge[target.rows], target.others) for target in targets]
    rows = [target.rows for target in targets]
    figures = {}
    for name, figure in FIGURES.items():
        yardstick = None if alone else partial(_mean_figure, figure, of_experts, rows)
        own = (
            None
            if judge is None or (is_metric and name == "mean_difference")
            else partial(_mean_figure, figure, of_judge, rows)
        )
        figures[name] = Agreement(
            judge=_estimate(resampler, own),
            experts=_estimate(resampler, yardstick),
            difference=_estimate(resampler, partial(_minus, own, yardstick)) if own and yardstick else None,
        )
    return figures


def _targets(experts: Floats, judge: Floats | None) -> list[_Target]:
    """Return a target for each left-out expert, on the reports that this expert, another and the judge have counted."""
    judged = np.ones(experts.shape[1], bool) if judge is None else ~np.isnan(judge)
    if len(experts) == 1:
        rows = _places(~np.isnan(experts[0]) & judged)
        return [_Target(rows, experts[0, rows], None)] if len(rows) else []
    targets = []
    for index, left_out in enumerate(experts):
        others = np.delete(experts, index, axis=0)
        num = (~np.isnan(others)).sum(axis=0)
        rows = _places(~np.isnan(left_out) & (num > 0) & judged)
        if len(rows):
            targets.append(_Target(rows, np.nansum(others[:, rows], axis=0) / num[rows], left_out[rows]))
    return targets


def _places(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(chosen).astype(np.int64)


def _mean_figure(
    figure: Callable[[Ranked, Floats], Floats],
    series: Sequence[Ranked],
    rows: Sequence[NDArray[np.int64]],
    weights: Floats,
) -> Floats:
    """Return the mean over left-out experts of a figure, of those that have one; weights (n,) or (B, n)."""
    weighted = np.atleast_2d(weights)
    values = np.array([figure(one, weighted[:, chosen]) for one, chosen in zip(series, rows, strict=True)])
    values = values.reshape(-1, len(weighted))
    defined = ~np.isnan(values)
    sums, num = np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0)
    means = np.divide(sums, num, out=np.full(len(weighted), np.nan), where=num > 0)
    return means if weights.ndim > 1 else np.asarray(means[0])


def _minus(first: Callable[[Floats], Floats], second: Callable[[Floats], Floats], weights: Floats) -> Floats:
    return first(weights) - second(weights)


def _estimate(resampler: PatientResampler, score: Callable[[Floats], Floats] | None) -> Estimate | None:
    return None if score is None else resampler.estimate_weighted(score)
