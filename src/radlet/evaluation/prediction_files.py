"""Score a file of predictions, whoever made them: JSONL rows `{id, patient_id?, reference, prediction}`.

The pure side of `radlet score FILE`; also reads the files of the evaluate stage.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows
from radlet.core.records import Prediction
from radlet.data.sources.cells import read_age_years
from radlet.evaluation.readings import Readings
from radlet.evaluation.scorecard import Scorecard
from radlet.evaluation.scorers.loading import weights_lineage
from radlet.evaluation.scoring import MODEL, Answers, diversity, measures, observation_results, score_answers
from radlet.evaluation.subgroups import Attribute, Grouping, age_attribute, describe_subgroups, one_each
from radlet.metrics.resampling import Interval, PatientResampler

KNOWN = ("sex", "age", "age_years", "view", "site", "scanner")
"""Columns that make groups of reports unasked."""
_AGE = {"age_years": "age"}
_OWN = ("id", "patient_id", "reference", "prediction")
_FORM = 'one JSON object a line: {"id": ..., "patient_id": optional, "reference": ..., "prediction": ...}'


def score_file(
    path: Path,
    num_resamples: int = 1000,
    seed: int = 0,
    interval: Interval = "percentile",
    metric_names: Sequence[str] | None = None,
    readings: Readings | None = None,
    grouping: Grouping | None = None,
) -> Scorecard:
    """Score the predictions of a file.

    Without `patient_id` every report counts as its own patient, which makes the intervals too narrow where patients
    have several.

    Args:
        path: The file.
        num_resamples: Bootstrap resamples of the patients.
        seed: Of the resamples.
        interval: Kind of the intervals.
        metric_names: Names from the metrics registry; default: all that run no model, and those of
            the readings' scorers.
        readings: What reads the texts; by default the rules.
        grouping: Groups of reports that are scored apart.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
        UnknownNameError: A name is not in the metrics registry.
    """
    if num_resamples < 1:
        raise DataError(f"{num_resamples} bootstrap resamples were asked for; at least 1 is needed, 1000 is usual.")
    grouping = grouping or Grouping()
    predictions = read_predictions(path, grouping.by)
    answers = _answers(predictions, readings)
    resampler = PatientResampler(answers.patients, num_resamples, seed, interval)
    scores = score_answers(answers, resampler, measures(answers, metric_names))
    attributes = file_attributes(predictions, grouping.age_bands)
    subgroups = describe_subgroups(attributes, answers, resampler, grouping.min_patients)
    for name in grouping.by:
        if subgroups is None or _AGE.get(name, name) not in subgroups.attributes:
            raise DataError(
                f"{path}: the column '{name}' makes no group of {grouping.min_patients} patients beside others. "
                "Name another one, or set a smaller --min-subgroup."
            )
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
        unscored=scores.unscored,
        support=observation_results(expected, answers.systems[MODEL], resampler, readings=read),
        labeller=read.labeller.kind,
        labeller_sha256=read.labeller_sha256,
        subgroups=subgroups,
        diversity=diversity(answers),
        lineage={"file": path.name} | weights_lineage(read.scorers),
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


def read_predictions(path: Path, by: Sequence[str] = ()) -> list[Prediction]:
    """Read every prediction of a file; arguments and errors of `parse_predictions`, or the file cannot be read."""
    return parse_predictions(path, read_rows(path, _FORM), by)


def parse_predictions(
    path: Path, rows: Iterable[tuple[int, dict[str, Any]]], by: Sequence[str] = ()
) -> list[Prediction]:
    """Make predictions of rows.

    Args:
        path: Where the rows come from, for messages.
        rows: Each with the number of its line.
        by: Columns to keep as attributes beside the `KNOWN` ones.

    Raises:
        DataError: There is no row, a row is wrong (the message gives its line), or no row has a column of `by`.
    """
    if own := sorted(set(by) & set(_OWN)):
        raise DataError(f"the column '{own[0]}' makes no groups of reports. Give one that tells something of them.")
    predictions: list[Prediction] = []
    lines: dict[str, int] = {}
    with_patient: set[bool] = set()
    for number, row in rows:
        prediction = _prediction(path, number, row, by)
        if prediction.example_id in lines:
            raise DataError(f"{path}, line {number}: its id is also that of line {lines[prediction.example_id]}.")
        lines[prediction.example_id] = number
        with_patient.add("patient_id" in row)
        if len(with_patient) > 1:
            raise DataError(f"{path}, line {number}: 'patient_id' must stand in every row or in none.")
        predictions.append(prediction)
    if not predictions:
        raise DataError(f"{path}: holds no predictions. Give {_FORM}.")
    for name in by:
        if not any(name in prediction.attributes for prediction in predictions):
            raise DataError(f"{path}: no row has a value in a column '{name}'.")
    return predictions


def file_attributes(predictions: Sequence[Prediction], age_bands: Sequence[int]) -> dict[str, Attribute]:
    """Return what the columns of the rows tell of the reports; `age_bands` as of `Grouping`."""
    names = dict.fromkeys(name for prediction in predictions for name in prediction.attributes)
    columns = {name: [prediction.attributes.get(name) for prediction in predictions] for name in names}
    ages = columns.pop("age_years", None) or columns.pop("age", None)
    attributes = {name: one_each(values, free=True) for name, values in columns.items()}
    if ages:
        attributes["age"] = age_attribute([None if age is None else read_age_years(age) for age in ages], age_bands)
    return attributes


def _prediction(path: Path, number: int, row: dict[str, Any], by: Sequence[str]) -> Prediction:
    for key in ("id", "reference", "prediction"):
        if key not in row:
            raise DataError(f"{path}, line {number}: has no '{key}'. Give {_FORM}.")
    for key in ("id", "patient_id"):
        if not isinstance(row.get(key, ""), str | int) or isinstance(row.get(key), bool):
            raise DataError(f"{path}, line {number}: '{key}' must be a text or a whole number.")
        if not str(row.get(key, number)).strip():
            raise DataError(f"{path}, line {number}: '{key}' is empty. Give one to every row.")
    for key in ("reference", "prediction"):
        if not isinstance(row[key], str):
            raise DataError(f"{path}, line {number}: '{key}' must be a text, not {type(row[key]).__name__}.")
    name = str(row["id"])
    patient = str(row.get("patient_id", name))
    for key in by:
        if not isinstance(row.get(key, ""), str | int | float | None):
            raise DataError(f"{path}, line {number}: '{key}' must be a text or a number to make groups of reports.")
    told = {key: row[key] for key in (*KNOWN, *by) if isinstance(row.get(key), str | int | float) and row[key] != ""}
    return Prediction(
        example_id=name,
        patient_id=patient,
        text=_mended(row["prediction"]),
        reference=_mended(row["reference"]),
        attributes={key: str(value) for key, value in told.items()},
    )


def _mended(text: str) -> str:
    """Replace halves of characters, which JSON can write and no text can hold, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
