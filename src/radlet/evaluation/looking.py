"""Whether the model looks at the film: the share of its score that the film explains, and a verdict by a stated rule.

The verdict rests on the model against itself with another patient's film (`shuffled_image`), which differs in nothing
but the film. The probes stand beside it and show what it looks for.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from radlet.evaluation.scorecard import Looking, PairedResult, ProbeResult, Scorecard
from radlet.evaluation.scoring import MODEL, Answers, Measure
from radlet.metrics.base import Floats
from radlet.metrics.resampling import Estimate, PatientResampler

SHUFFLED = "shuffled_image"
UNSEEING = ("no_image", SHUFFLED)
NEGLIGIBLE_SHARE, NEGLIGIBLE_MARGIN = 0.2, 0.05
"""Where at most this share of the score, or this much F1, can be due to the film, the model is said not to look. The
second is for scores near 0, a fifth of which is less than any interval can tell."""
MIN_PATIENTS = 20
"""Of fewer patients nobody is said not to look: their drafts agree by chance, and an interval without width decides."""
LEVEL = 0.05


def describe_looking(
    card: Scorecard,
    answers: Answers,
    resampler: PatientResampler,
    probes: Mapping[str, ProbeResult],
    chosen: Sequence[Measure],
) -> Looking:
    """Return the verdict, the share of the score that the film explains, and the probes.

    Args:
        card: The scores of `answers`.
        answers: Drafts of the model and its baselines.
        resampler: Draws of the same reports.
        probes: Results of the probes.
        chosen: What the verdict is read off.
    """
    margins, scores, shares = {}, {}, {}
    for measure in chosen:
        margin = card.paired_all.get(measure.name, {}).get(SHUFFLED)
        if margin is not None:
            margins[measure.name] = margin
        scores[measure.name] = card.metrics[measure.name].value or 0.0
        shares[measure.name] = explained(measure, answers, resampler)
    return Looking(looks=verdict(margins, scores, resampler.num_patients), share_explained=shares, probes=dict(probes))


def verdict(margins: Mapping[str, PairedResult], scores: Mapping[str, float], num_patients: int) -> bool | None:
    """Say whether the model looks, from its margin over the same model with another patient's film.

    It looks where the 95 % interval of the margin lies above 0 on one of the metrics and the paired test agrees at the
    5 % level: the interval alone is sure too soon of a handful of patients. It does not where, on every metric and of
    at least `MIN_PATIENTS` patients, the interval reaches no further than a fifth of the model's score or 0.05,
    whichever is more. Else, and where nothing can be compared, this set cannot tell: None.
    """
    if any(margin.low > 0 and margin.p_value < LEVEL for margin in margins.values()):
        return True
    if num_patients < MIN_PATIENTS:
        return None
    negligible = {name: max(NEGLIGIBLE_SHARE * scores[name], NEGLIGIBLE_MARGIN) for name in margins}
    if margins and all(margin.high <= negligible[name] for name, margin in margins.items()):
        return False
    return None


def explained(measure: Measure, answers: Answers, resampler: PatientResampler) -> Estimate:
    """Return (model - better of those that do not see the film) / model, in each resample the better one of it."""
    texts = [answers.systems[name] for name in (MODEL, *UNSEEING) if name in answers.systems]
    rows = [measure.metric.statistics(measure.expected, answers.readings.of(t, measure.metric.reads)) for t in texts]
    width = rows[0].shape[1]

    def share(totals: Floats) -> Floats:
        parts = [measure.metric.score_judged(totals[..., i : i + width]) for i in range(0, len(rows) * width, width)]
        others = np.fmax.reduce(parts[1:])
        shares = np.full(np.shape(others), np.nan)
        np.divide(parts[0] - others, parts[0], out=shares, where=parts[0] > 0)
        return shares

    return resampler.estimate(np.concatenate(rows, axis=1), share)
