"""Score a file of predictions, whoever made them: JSONL rows `{id, patient_id?, reference, prediction}`.

The pure side of `radlet score FILE`; also reads the files of the evaluate stage.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows
from radlet.core.records import Prediction
from radlet.evaluation.readings import Readings
from radlet.evaluation.scorecard import Scorecard
from radlet.evaluation.scoring import MODEL, Answers, diversity, measures, observation_results, score_answers
from radlet.metrics.resampling import Interval, PatientResampler

_FORM = 'one JSON object a line: {"id": ..., "patient_id": optional, "reference": ..., "prediction": ...}'


def score_file(
    path: Path,
    num_resamples: int = 1000,
    seed: int = 0,
    interval: Interval = "percentile",
    metric_names: Sequence[str] | None = None,
    readings: Readings | None = None,
) -> Scorecard:
    """Score the predictions of a file.

    Without `patient_id` every report counts as its own patient, which makes the intervals too narrow where patients
    have several.

    Args:
        path: The file.
        num_resamples: Bootstrap resamples of the patients.
        seed: Of the resamples.
        interval: Kind of the intervals.
        metric_names: Names from the metrics registry; default: all.
        readings: What reads the texts; by default the rules.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
        UnknownNameError: A name is not in the metrics registry.
    """
    if num_resamples < 1:
        raise DataError(f"{num_resamples} bootstrap resamples were asked for; at least 1 is needed, 1000 is usual.")
    predictions = read_predictions(path)
    answers = _answers(predictions, readings)
    resampler = PatientResampler(answers.patients, num_resamples, seed, interval)
    scores = score_answers(answers, resampler, measures(answers, metric_names))
    read = answers.readings
    expected = read.of(answers.references, "observations")
    return Scorecard(
        task="file",
        split=None,
        num_studies=len(predictions),
        num_reports=len(predictions),
        num_patients=resampler.num_patients,
        num_resamples=num_resamples,
        interval=interval,
        metrics=scores.estimates[MODEL],
        judged=scores.judged,
        support=observation_results(expected, answers.systems[MODEL], resampler, readings=read),
        labeller=read.labeller.kind,
        labeller_sha256=getattr(read.labeller, "sha256", None),
        diversity=diversity(answers),
        lineage={"file": path.name},
    )


def score_each(
    path: Path, metric_names: Sequence[str] | None = None, readings: Readings | None = None
) -> Iterator[dict[str, Any]]:
    """Yield id and scores of each report of a file, judged alone: None where a metric has nothing to judge.

    A metric that weighs by the set (CIDEr-D, diversity) keeps the weights of the whole file.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
        UnknownNameError: A name is not in the metrics registry.
    """
    predictions = read_predictions(path)
    answers = _answers(predictions, readings)
    scores = {}
    for measure in measures(answers, metric_names):
        drafted = answers.readings.of(answers.systems[MODEL], measure.metric.reads)
        scores[measure.name] = measure.metric.score_judged(measure.metric.statistics(measure.expected, drafted))
    for row, prediction in enumerate(predictions):
        values = {name: float(column[row]) for name, column in scores.items()}
        shown = {name: None if np.isnan(value) else value for name, value in values.items()}
        yield {"id": prediction.example_id, "metrics": shown}


def _answers(predictions: Sequence[Prediction], readings: Readings | None) -> Answers:
    references = [prediction.reference or "" for prediction in predictions]
    drafts = [prediction.text for prediction in predictions]
    patients = [prediction.patient_id for prediction in predictions]
    return Answers(references, patients, {MODEL: drafts}, readings=readings or Readings())


def read_predictions(path: Path) -> list[Prediction]:
    """Read every prediction of a file.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
    """
    predictions: list[Prediction] = []
    lines: dict[str, int] = {}
    with_patient: set[bool] = set()
    for number, row in read_rows(path, _FORM):
        prediction = _prediction(path, number, row)
        if prediction.example_id in lines:
            raise DataError(f"{path}, line {number}: its id is also that of line {lines[prediction.example_id]}.")
        lines[prediction.example_id] = number
        with_patient.add("patient_id" in row)
        if len(with_patient) > 1:
            raise DataError(f"{path}, line {number}: 'patient_id' must stand in every row or in none.")
        predictions.append(prediction)
    if not predictions:
        raise DataError(f"{path}: holds no predictions. Give {_FORM}.")
    return predictions


def _prediction(path: Path, number: int, row: dict[str, Any]) -> Prediction:
    for key in ("id", "reference", "prediction"):
        if key not in row:
            raise DataError(f"{path}, line {number}: has no '{key}'. Give {_FORM}.")
    for key in ("id", "patient_id"):
        if not isinstance(row.get(key, ""), str | int) or isinstance(row.get(key), bool):
            raise DataError(f"{path}, line {number}: '{key}' must be a text or a whole number.")
    for key in ("reference", "prediction"):
        if not isinstance(row[key], str):
            raise DataError(f"{path}, line {number}: '{key}' must be a text, not {type(row[key]).__name__}.")
    name = str(row["id"])
    patient = str(row.get("patient_id", name))
    reference, draft = _mended(row["reference"]), _mended(row["prediction"])
    return Prediction(example_id=name, patient_id=patient, text=draft, reference=reference)


def _mended(text: str) -> str:
    """Replace halves of characters, which JSON can write and no text can hold, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
