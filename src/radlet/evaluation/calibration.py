"""How far probabilities of findings can be trusted: discrimination, calibration, and what abstaining gains.

Takes the evidence of `finding_probabilities`. Each case is one observation of one report; cases are pooled, and
intervals draw patients.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from scipy.special import expit

from radlet.core.records import Example, Split
from radlet.evaluation.calibration_result import (
    AreaResult,
    Calibration,
    DraftedFindings,
    ForecastResult,
    KeptResult,
    ReliabilityBin,
)
from radlet.evaluation.finding_probabilities import LEAST, Evidence, Forecast
from radlet.evaluation.scoring import MODEL
from radlet.metrics.auroc import weighted_auroc
from radlet.metrics.base import Floats, ratio
from radlet.metrics.calibration import (
    bin_edges,
    bin_statistics,
    debiased_calibration_error,
    expected_calibration_error,
    fit_platt,
    risk_coverage,
    risk_coverage_area,
)
from radlet.metrics.resampling import Estimate, PatientResampler, Score

MIN_REPORTS = 5
"""An observation needs so many reports with it, and as many without, for an area that says anything."""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)


class Calibrator:
    """Judge every source of probabilities by the same cases.

    Args:
        evidence: Log-odds and what is there.
        resampler: Draws of the judged reports.
    """

    def __init__(self, evidence: Evidence, resampler: PatientResampler) -> None:
        self._evidence, self._resampler = evidence, resampler
        self._present = evidence.present
        self._known = ~np.isnan(evidence.present)
        self._platt = {name: _fit(evidence, forecast) for name, forecast in evidence.forecasts.items()}
        self.probabilities = {
            name: _probabilities(forecast.judged, self._platt[name]) for name, forecast in evidence.forecasts.items()
        }
        """Source -> probabilities (reports, observations), after scaling."""

    def lines(self, rows: Sequence[Example]) -> Iterator[str]:
        """Yield one JSON line a judged report: the model's probability of each observation."""
        for row, values in zip(rows, self.probabilities[MODEL], strict=True):
            told = dict(zip(self._evidence.observations, (round(float(value), 5) for value in values), strict=True))
            yield json.dumps({"id": row.example_id, "patient_id": row.patient_id, "observations": told}) + "\n"

    def describe(self, fitted_on: Split, num_wordings: int) -> Calibration:
        """Return the numbers of the scorecard.

        Args:
            fitted_on: Split of the reports that scaling was fitted on.
            num_wordings: Most sentences of an observation.
        """
        model = self._evidence.forecasts[MODEL]
        platt = self._platt[MODEL]
        raw = _probabilities(model.judged, None)
        return Calibration(
            observations=self._evidence.observations,
            num_wordings=num_wordings,
            num_reports=len(self._present),
            against=self._evidence.against,
            fitted_on=fitted_on,
            num_fitted=len(self._evidence.present_fitted),
            slope=platt[0] if platt else None,
            intercept=platt[1] if platt else None,
            forecasts={name: self._forecast(name) for name in self._evidence.forecasts},
            brier_gain={name: self._brier_gain(name) for name in self._evidence.forecasts if name != MODEL},
            auroc=self._areas(model.judged),
            reliability={"raw": self._reliability(raw), "scaled": self._reliability(self.probabilities[MODEL])},
            kept=self._abstained(self.probabilities[MODEL]),
            drafted=self._drafted(),
        )

    def _forecast(self, name: str) -> ForecastResult:
        forecast, scaled = self._evidence.forecasts[name], self.probabilities[name]
        before = {}
        if self._platt[name]:
            raw = _probabilities(forecast.judged, None)
            before = {"brier_raw": self._brier(raw), "ece_raw": self._bins(raw, expected_calibration_error)}
        wrong = np.where(self._known, (scaled >= 0.5) != (self._present == 1), 0)
        columns = self._judgeable()
        mean = partial(_mean_area, forecast.judged[:, columns], self._present[:, columns])
        return ForecastResult(
            auroc=self._resampler.estimate_weighted(mean) if columns else Estimate(None, None, None),
            brier=self._brier(scaled),
            ece=self._bins(scaled, expected_calibration_error),
            ece_debiased=self._bins(scaled, debiased_calibration_error),
            aurc=self._risk_area(np.maximum(scaled, 1 - scaled), wrong, self._known),
            **before,
        )

    def _squares(self, probabilities: Floats) -> Floats:
        squares = np.where(self._known, (probabilities - np.nan_to_num(self._present)) ** 2, 0)
        return np.stack([squares.sum(axis=1), self._known.sum(axis=1)], axis=1)

    def _brier(self, probabilities: Floats) -> Estimate:
        return self._resampler.estimate(self._squares(probabilities), lambda totals: ratio(*_columns(totals)))

    def _brier_gain(self, name: str) -> Estimate:
        both = [self._squares(self.probabilities[one]) for one in (name, MODEL)]
        rows = np.stack([both[0][:, 0] - both[1][:, 0], both[0][:, 1]], axis=1)
        return self._resampler.estimate(rows, lambda totals: ratio(*_columns(totals)))

    def _bins(self, probabilities: Floats, score: Score) -> Estimate:
        edges = bin_edges(probabilities[self._known])
        return self._resampler.estimate(bin_statistics(probabilities, self._present, edges), score)

    def _judgeable(self) -> list[int]:
        positives, negatives = (self._present == 1).sum(axis=0), (self._present == 0).sum(axis=0)
        return [int(i) for i in np.flatnonzero(np.minimum(positives, negatives) >= MIN_REPORTS)]

    def _areas(self, scores: Floats) -> dict[str, AreaResult]:
        return {
            self._evidence.observations[i]: AreaResult(
                area=self._resampler.estimate_weighted(partial(weighted_auroc, scores[:, i], self._present[:, i])),
                positives=int((self._present[:, i] == 1).sum()),
            )
            for i in self._judgeable()
        }

    def _reliability(self, probabilities: Floats) -> list[ReliabilityBin]:
        rows = bin_statistics(probabilities, self._present, bin_edges(probabilities[self._known]))
        cases, _, forecast = np.split(rows.sum(axis=0), 3)
        count = len(cases)
        bins = []
        for i in np.flatnonzero(cases):
            share = self._resampler.estimate(rows[:, [count + i, i]], _share)
            bins.append(ReliabilityBin(forecast=float(forecast[i] / cases[i]), present=share, n=int(cases[i])))
        return bins

    def _abstained(self, probabilities: Floats) -> list[KeptResult]:
        """Return F1 and error of the decisions that are kept, at thresholds that give the coverages on all reports."""
        sure = np.maximum(probabilities, 1 - probabilities)
        decided, there = probabilities >= 0.5, self._present == 1
        results = []
        for coverage in COVERAGES:
            least = float(np.quantile(sure[self._known], 1 - coverage, method="higher"))
            kept = self._known & (sure >= least)
            parts = (decided & there, decided != there, np.ones_like(there))
            rows = np.stack([(kept & part).sum(axis=1) for part in parts], axis=1).astype(np.float64)
            f1 = self._resampler.estimate(rows, _f1)
            error = self._resampler.estimate(rows[:, 1:], _share)
            share = float(kept.sum() / self._known.sum())
            results.append(KeptResult(coverage=share, confidence=least, f1=f1, error=error))
        return results

    def _drafted(self) -> DraftedFindings | None:
        """Leave out the findings of the drafts that are least probable."""
        chosen = self._known & (self._evidence.drafted == 1)
        if not chosen.any():
            return None
        wrong = np.where(self._known, self._present != 1, 0)
        rows = np.stack([(chosen * wrong).sum(axis=1), chosen.sum(axis=1)], axis=1).astype(np.float64)
        sources = [name for name in (MODEL, "encoder", "prevalence") if name in self.probabilities]
        curves = {}
        for name in sources:
            kept, risk = risk_coverage(self.probabilities[name][chosen], wrong[chosen].astype(np.float64))
            curves[name] = [(float(x), float(y)) for x, y in zip(kept, risk, strict=True)]
        return DraftedFindings(
            n=int(chosen.sum()),
            error=self._resampler.estimate(rows, _share),
            aurc={name: self._risk_area(self.probabilities[name], wrong, chosen) for name in sources},
            curves=curves,
        )

    def _risk_area(self, confidence: Floats, wrong: Floats, chosen: Floats) -> Estimate:
        row, _ = np.nonzero(chosen)
        sure, errors = confidence[chosen.astype(bool)], wrong[chosen.astype(bool)].astype(np.float64)
        return self._resampler.estimate_weighted(lambda weights: risk_coverage_area(sure, errors, weights[..., row]))


def _fit(evidence: Evidence, forecast: Forecast) -> tuple[float, float] | None:
    return None if forecast.fitted is None else fit_platt(forecast.fitted.ravel(), evidence.present_fitted.ravel())


def _probabilities(log_odds: Floats, platt: tuple[float, float] | None) -> Floats:
    slope, intercept = platt or (1.0, 0.0)
    return np.asarray(np.clip(expit(slope * log_odds + intercept), LEAST, 1 - LEAST))


def _mean_area(scores: Floats, present: Floats, weights: Floats) -> Floats:
    areas = [weighted_auroc(scores[:, i], present[:, i], weights) for i in range(scores.shape[1])]
    return np.asarray(np.mean(areas, axis=0))


def _columns(totals: Floats) -> tuple[Floats, Floats]:
    return totals[..., 0], totals[..., 1]


def _share(totals: Floats) -> Floats:
    part, whole = _columns(totals)
    return np.where(whole > 0, ratio(part, whole), np.nan)


def _f1(totals: Floats) -> Floats:
    """Return F1 from right positives, wrong decisions and all decisions, NaN where there is no positive."""
    true, wrong = _columns(totals)
    return np.where(2 * true + wrong > 0, ratio(2 * true, 2 * true + wrong), np.nan)
