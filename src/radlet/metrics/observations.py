"""Agreement of a draft with its reference on the CheXpert observations: micro and macro F1, precision, recall.

The positive class is POSITIVE alone (NEGATIVE, UNCERTAIN and UNMENTIONED are all "not stated as present"); the
``_with_uncertain`` variants count UNCERTAIN as positive too, on both sides. A macro mean leaves out the observations
that are never positive in the references: they have no recall, and counting them as 0 would halve the mean of a set
in which half the observations do not occur. `support` tells how many positives each observation had.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import OBSERVATIONS, OBSERVATIONS_5, State
from radlet.metrics.base import Floats, Metric, Observations, ratio


@dataclass(frozen=True)
class ObservationAgreement(Metric):
    """F1, precision or recall of positive observations, in 0..1.

    Statistics: for each observation, true positives, false positives, false negatives (blocks of `len(observations)`).

    Attributes:
        observations: Which observations count.
        average: "micro" pools all decisions; "macro" means over observations that are positive in some reference.
        measure: What to report of the pooled or per-observation counts.
        with_uncertain: Whether UNCERTAIN counts as positive.
    """

    observations: tuple[str, ...] = OBSERVATIONS
    average: Literal["micro", "macro"] = "micro"
    measure: Literal["f1", "precision", "recall"] = "f1"
    with_uncertain: bool = False

    reads = "observations"
    empty = (
        "an empty draft states nothing: all of its reference is missed; undefined where nothing is positive, precision "
        "(micro) where no draft and recall or a macro mean where no reference is"
    )
    source = (
        "scikit-learn's F1, precision and recall on the observations of Irvin et al. 2019; macro over those that occur"
    )

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        measure = self.measure.capitalize()
        pooled = "pooled over all decisions" if self.average == "micro" else "mean over the observations that occur"
        counted = "present or uncertain" if self.with_uncertain else "present"
        return f"{measure} of {len(self.observations)} observations called {counted}, {pooled}."

    def statistics(self, references: Sequence[Observations], predictions: Sequence[Observations]) -> Floats:
        """Count the decisions on each pair, shape (n, 3 * number of observations)."""
        truth, drafted = self._positives(references), self._positives(predictions)
        if truth.shape != drafted.shape:
            raise ValueError(f"{len(references)} references but {len(predictions)} predictions")
        return np.concatenate([truth & drafted, ~truth & drafted, truth & ~drafted], axis=1).astype(np.float64)

    def score(self, totals: Floats) -> Floats:
        """Average the measure over decisions (micro) or over observations with support (macro)."""
        true, false, missed = self._counts(totals)
        if self.average == "micro":
            return self._measure(true.sum(-1), false.sum(-1), missed.sum(-1))
        supported = true + missed > 0
        values = np.where(supported, self._measure(true, false, missed), 0.0)
        return ratio(values.sum(-1), supported.sum(-1).astype(np.float64))

    def judged(self, totals: Floats) -> Floats:
        """Return the decisions the measure divides by (micro) or the observations it averages over (macro)."""
        true, false, missed = self._counts(totals)
        if self.average == "macro":
            return np.asarray((true + missed > 0).sum(-1), np.float64)
        counted = true
        if self.measure != "recall":
            counted = counted + false
        if self.measure != "precision":
            counted = counted + missed
        return np.asarray(counted.sum(-1), np.float64)

    def support(self, totals: Floats) -> Floats:
        """Return how many references hold each observation as positive."""
        true, _, missed = self._counts(totals)
        return true + missed

    def _positives(self, reports: Sequence[Observations]) -> NDArray[np.bool_]:
        positive = {State.POSITIVE, State.UNCERTAIN} if self.with_uncertain else {State.POSITIVE}
        rows = [[report.get(name) in positive for name in self.observations] for report in reports]
        return np.array(rows, dtype=bool).reshape(len(reports), len(self.observations))

    def _counts(self, totals: Floats) -> tuple[Floats, Floats, Floats]:
        true, false, missed = np.split(totals, 3, axis=-1)
        return true, false, missed

    def _measure(self, true: Floats, false: Floats, missed: Floats) -> Floats:
        if self.measure == "precision":
            return ratio(true, true + false)
        if self.measure == "recall":
            return ratio(true, true + missed)
        return ratio(2 * true, 2 * true + false + missed)


F1_MICRO_14 = ObservationAgreement()
F1_MACRO_14 = ObservationAgreement(average="macro")
F1_MICRO_13 = ObservationAgreement(OBSERVATIONS[:-1])
F1_MACRO_13 = ObservationAgreement(OBSERVATIONS[:-1], average="macro")
F1_MICRO_5 = ObservationAgreement(OBSERVATIONS_5)
F1_MACRO_5 = ObservationAgreement(OBSERVATIONS_5, average="macro")
F1_MICRO_14_WITH_UNCERTAIN = ObservationAgreement(with_uncertain=True)
F1_MACRO_14_WITH_UNCERTAIN = ObservationAgreement(average="macro", with_uncertain=True)
F1_MICRO_13_WITH_UNCERTAIN = ObservationAgreement(OBSERVATIONS[:-1], with_uncertain=True)
F1_MACRO_13_WITH_UNCERTAIN = ObservationAgreement(OBSERVATIONS[:-1], average="macro", with_uncertain=True)
F1_MICRO_5_WITH_UNCERTAIN = ObservationAgreement(OBSERVATIONS_5, with_uncertain=True)
F1_MACRO_5_WITH_UNCERTAIN = ObservationAgreement(OBSERVATIONS_5, average="macro", with_uncertain=True)
PRECISION_MICRO_14 = ObservationAgreement(measure="precision")
PRECISION_MACRO_14 = ObservationAgreement(average="macro", measure="precision")
PRECISION_MICRO_13 = ObservationAgreement(OBSERVATIONS[:-1], measure="precision")
PRECISION_MACRO_13 = ObservationAgreement(OBSERVATIONS[:-1], average="macro", measure="precision")
PRECISION_MICRO_5 = ObservationAgreement(OBSERVATIONS_5, measure="precision")
PRECISION_MACRO_5 = ObservationAgreement(OBSERVATIONS_5, average="macro", measure="precision")
RECALL_MICRO_14 = ObservationAgreement(measure="recall")
RECALL_MACRO_14 = ObservationAgreement(average="macro", measure="recall")
RECALL_MICRO_13 = ObservationAgreement(OBSERVATIONS[:-1], measure="recall")
RECALL_MACRO_13 = ObservationAgreement(OBSERVATIONS[:-1], average="macro", measure="recall")
RECALL_MICRO_5 = ObservationAgreement(OBSERVATIONS_5, measure="recall")
RECALL_MACRO_5 = ObservationAgreement(OBSERVATIONS_5, average="macro", measure="recall")
