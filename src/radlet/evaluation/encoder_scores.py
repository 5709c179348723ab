"""Judge the pre-trained encoder on the judged films, each read once: retrieval both ways, and AUROC of its labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Example
from radlet.evaluation.film_retrieval import score_retrieval
from radlet.evaluation.scorecard import LabelAuroc
from radlet.metrics.auroc import weighted_auroc
from radlet.metrics.resampling import Estimate, PatientResampler

if TYPE_CHECKING:
    from radlet.retrieval.embedding import Embedder

MIN_STUDIES = 5
"""A label needs so many studies with it, and as many without, for an area that says anything."""


@dataclass(frozen=True)
class EncoderScores:
    """What the scorecard holds of the encoder.

    Attributes:
        recalls: Retrieval metrics.
        beside: Chance, median ranks and pool sizes of the retrieval.
        aurocs: Area under the ROC curve of each label.
    """

    recalls: dict[str, Estimate] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)
    aurocs: dict[str, LabelAuroc] = field(default_factory=dict)


def score_encoder(
    judged: Sequence[Example], embedder: "Embedder", resampler: PatientResampler, seed: int
) -> EncoderScores:
    """Score retrieval by each row's first film, and the label head by all judged films of a study.

    Args:
        judged: The rows.
        embedder: The encoder pair.
        resampler: Draws of the same rows.
        seed: Of the draws of studies.
    """
    place = {path: number for number, path in enumerate(dict.fromkeys(p for row in judged for p in row.image_paths))}
    embeddings, probabilities = embedder.read_films([Path(path) for path in place])
    images = embeddings[[place[row.image_paths[0]] for row in judged]]
    reports = [row.report or row.target or "" for row in judged]
    recalls, beside = score_retrieval(images, embedder.embed_texts(reports), reports, resampler)
    films: dict[str, dict[int, None]] = {}
    for row in judged:
        films.setdefault(row.study_id, {}).update(dict.fromkeys(place[path] for path in row.image_paths))
    studies = list({row.study_id: row for row in judged}.values())
    means = np.array([probabilities[list(films[study.study_id])].mean(axis=0) for study in studies])
    draws = PatientResampler([study.patient_id for study in studies], resampler.num_resamples, seed, resampler.interval)
    return EncoderScores(recalls, beside, label_scores(studies, means, embedder.card.label_names, draws))


def label_scores(
    studies: Sequence[Example], probabilities: NDArray[np.floating], names: Sequence[str], resampler: PatientResampler
) -> dict[str, LabelAuroc]:
    """Return the area of each label that enough studies have and enough have not.

    Args:
        studies: One row a study, whose `labels` are the truth; a label a study does not know is left out there.
        probabilities: (studies, labels), the mean over the films of a study.
        names: One for each label.
        resampler: Draws of the studies by patient.
    """
    scores = {}
    for column, name in enumerate(names):
        targets = np.array([study.labels.get(name, np.nan) for study in studies], np.float64)
        positives = int((targets == 1).sum())
        if min(positives, int((targets == 0).sum())) < MIN_STUDIES:
            continue
        area = resampler.estimate_weighted(partial(weighted_auroc, probabilities[:, column], targets))
        if area.value is not None and area.low is not None and area.high is not None:
            scores[name] = LabelAuroc(value=area.value, low=area.low, high=area.high, positives=positives)
    return scores
