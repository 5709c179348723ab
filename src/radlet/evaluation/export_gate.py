"""Whether an export may be kept: its drafts and the checkpoint's, of the same studies, held against the reports."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, DataError
from radlet.core.records import Example, Split
from radlet.data.examples import Films, check_films, select_films
from radlet.data.manifests import read_examples
from radlet.evaluation.readings import Readings
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.exports import Gate
from radlet.metrics import METRICS
from radlet.metrics.resampling import PatientResampler
from radlet.models.report_model import ModelCard

_BATCH = 16


def gate_examples(build: Path, card: ModelCard, split: Split, max_studies: int, seed: int = 0) -> list[Example]:
    """Return the examples on which an export is judged, at most so many studies, drawn by the seed.

    Raises:
        CheckpointError: The model is shown no films.
        DataError: The split has no study that the model can be asked about.
    """
    if card.films not in get_args(Films):
        raise CheckpointError(f"The checkpoint was tuned with films = '{card.films}'; there is nothing to judge it on.")
    asks = card.target_section == "answer"
    fit = [
        example
        for example in read_examples(build)
        if example.split == split and example.target and (example.question is not None) == asks
    ]
    studies = sorted({example.study_id for example in fit})
    if len(studies) > max_studies:
        studies = [studies[row] for row in np.random.default_rng(seed).choice(len(studies), max_studies, replace=False)]
    kept = set(studies)
    chosen = select_films((one for one in fit if one.study_id in kept), cast("Films", card.films))
    if not chosen:
        raise DataError(
            f"{build}: its split '{split}' holds no study to judge an export on. Give another split, or a build run "
            "like the one that the checkpoint was tuned on."
        )
    check_films(chosen)
    return chosen


def judge_export(
    exported: Drafter, checkpoint: Drafter, examples: Sequence[Example], limit: float, progress: Progress
) -> Gate:
    """Draft the examples with both, and compare their clinical scores.

    The score is the micro-F1 of the 14 observations, or exact match where the model answers questions.

    Args:
        exported: The export.
        checkpoint: What it was made from.
        examples: All of one split.
        limit: Largest fall of the score that is let through.
        progress: Shows how far the drafts are.
    """
    name = "answer_exact_match" if checkpoint.card.target_section == "answer" else "observation_f1_micro_14"
    metric, readings = METRICS[name], Readings()
    requests = [DraftRequest(tuple(map(Path, row.image_paths)), row.indication, row.question) for row in examples]
    drafts = [drafter.draft(requests, batch_size=_BATCH, progress=progress) for drafter in (exported, checkpoint)]
    expected = readings.of([row.target or "" for row in examples], metric.reads)
    new, old = (metric.statistics(expected, readings.of(texts, metric.reads)) for texts in drafts)
    scores = [float(metric.score_judged(rows.sum(axis=0))) for rows in (new, old)]
    if np.isnan(scores).any():
        raise DataError(
            f"The {len(examples)} examples and their drafts leave {name} without a case. Judge the export on more "
            "studies (--max-studies), or on another split."
        )
    compared = PatientResampler([row.patient_id for row in examples]).compare(new, old, metric.score_judged)
    return Gate(
        metric=name,
        split=examples[0].split,
        num_studies=len({row.study_id for row in examples}),
        exported=scores[0],
        checkpoint=scores[1],
        low=compared.low if compared else None,
        high=compared.high if compared else None,
        limit=limit,
        equal_drafts=sum(one == other for one, other in zip(*drafts, strict=True)),
        num_drafts=len(examples),
    )
