"""Score a file of predictions, whoever made them: JSONL rows `{id, patient_id?, reference, prediction}`.

The pure side of `radlet score FILE`; also reads the files of the evaluate stage.
"""

from pathlib import Path
from typing import Any

from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows
from radlet.core.records import Prediction
from radlet.evaluation.readings import read_reports
from radlet.evaluation.scorecard import Scorecard
from radlet.evaluation.scorers.loading import Scorers, text_metrics, weights_lineage
from radlet.evaluation.scoring import MODEL, Answers, diversity, measures, observation_results, score_answers
from radlet.metrics.resampling import Interval, PatientResampler

_FORM = 'one JSON object a line: {"id": ..., "patient_id": optional, "reference": ..., "prediction": ...}'


def score_file(
    path: Path,
    num_resamples: int = 1000,
    seed: int = 0,
    interval: Interval = "percentile",
    scorers: Scorers | None = None,
) -> Scorecard:
    """Score the predictions of a file, by the metrics that run no model and by those of `scorers`.

    Without `patient_id` every report counts as its own patient, which makes the intervals too narrow where patients
    have several.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
    """
    if num_resamples < 1:
        raise DataError(f"{num_resamples} bootstrap resamples were asked for; at least 1 is needed, 1000 is usual.")
    predictions = read_predictions(path)
    references = [prediction.reference or "" for prediction in predictions]
    drafts = [prediction.text for prediction in predictions]
    answers = Answers(references, [prediction.patient_id for prediction in predictions], {MODEL: drafts})
    resampler = PatientResampler(answers.patients, num_resamples, seed, interval)
    names = [*text_metrics(), *(scorers.names if scorers else ())]
    scores = score_answers(answers, resampler, measures(answers, names, scorers))
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
        unscored=scores.unscored,
        support=observation_results(read_reports(references, "observations"), drafts, resampler),
        diversity=diversity(answers),
        lineage={"file": path.name} | weights_lineage(scorers),
    )


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
    return Prediction(example_id=name, patient_id=patient, text=row["prediction"], reference=row["reference"])
