"""Judge a file of predictions by rules: JSONL rows `{id, reference, prediction, age?, indication?}`.

The pure side of `radlet judge FILE`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows
from radlet.core.records import Prediction, Record
from radlet.data.findings import read_statements
from radlet.evaluation.prediction_files import read_predictions
from radlet.metrics.rule_judge import ERROR_KINDS, ErrorKind, Judgement, PatientContext, judge

ELDERLY_YEARS = 65
"""Age from which what comes with age is expected."""
_FORM = (
    'one JSON object a line: {"id": ..., "reference": ..., "prediction": ..., "age": optional, "indication": optional}'
)
_SURGERY = re.compile(
    r"\b(?:post[- ]?(?:op(?:erative(?:ly)?)?|surg\w+)|(?:post|after|following|status post|s/p|recent)\b[^.;]{0,40}?"
    r"(?:surgery|operation|procedure|\w+otomy|\w+ectomy|cabg|resection|transplant\w*|drain\w*|biopsy|bypass))\b",
    re.IGNORECASE,
)


class ErrorCount(Record):
    """Errors of one kind in one draft."""

    significant: int
    insignificant: int


class JudgedReport(Record):
    """What the rule judge says of one draft; concepts are the judge's own words, never the report's."""

    id: str
    score: float | None
    """1 for no error, towards 0 with every error; null where a text has no word."""
    counts: dict[ErrorKind, ErrorCount]
    errors: tuple[tuple[ErrorKind, str, bool], ...]
    """Kind, concept, whether it is significant."""


def judge_texts(reference: str, draft: str, context: PatientContext | None = None) -> Judgement:
    """Judge one text against another."""
    return judge(read_statements(reference), read_statements(draft), context)


def judge_file(path: Path, progress: Progress | None = None) -> list[JudgedReport]:
    """Judge every prediction of a file.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
    """
    contexts = [patient_context(row, f"{path}, line {number}") for number, row in read_rows(path, _FORM)]
    predictions = read_predictions(path)
    pairs: Iterator[tuple[Prediction, PatientContext]] = zip(predictions, contexts, strict=True)
    if progress is not None:
        pairs = progress.track(pairs, "reports")
    return [_judged(prediction, context) for prediction, context in pairs]


def patient_context(row: Mapping[str, Any], place: str) -> PatientContext:
    """Return what a row tells of the patient.

    Raises:
        DataError: The age is no number of years, or the indication no text; `place` names the row.
    """
    age, indication = row.get("age"), row.get("indication")
    if age is not None and (isinstance(age, bool) or not isinstance(age, int | float) or not 0 <= age <= 130):
        raise DataError(f"{place}: 'age' must be a number of years from 0 to 130, or null.")
    if not isinstance(indication, str | None):
        raise DataError(f"{place}: 'indication' must be a text or null.")
    return PatientContext(
        elderly=age is not None and age >= ELDERLY_YEARS, after_surgery=bool(_SURGERY.search(indication or ""))
    )


def totals(reports: list[JudgedReport]) -> dict[ErrorKind, ErrorCount]:
    """Sum up the errors of all reports."""
    return {
        kind: ErrorCount(
            significant=sum(report.counts[kind].significant for report in reports),
            insignificant=sum(report.counts[kind].insignificant for report in reports),
        )
        for kind in ERROR_KINDS
    }


def mean_score(reports: list[JudgedReport]) -> tuple[float | None, int]:
    """Return the mean score and how many drafts it is the mean of: those of which both texts have a word."""
    scores = [report.score for report in reports if report.score is not None]
    return (sum(scores) / len(scores) if scores else None), len(scores)


def _judged(prediction: Prediction, context: PatientContext) -> JudgedReport:
    reference = prediction.reference or ""
    judgement = judge_texts(reference, prediction.text, context)
    return JudgedReport(
        id=prediction.example_id,
        score=judgement.score if reference.strip() and prediction.text.strip() else None,
        counts={
            kind: ErrorCount(
                significant=judgement.count(kind, significant=True),
                insignificant=judgement.count(kind, significant=False),
            )
            for kind in ERROR_KINDS
        },
        errors=tuple((error.kind, error.concept, error.significant) for error in judgement.errors),
    )
