"""Judge a file of predictions: JSONL rows `{id, reference, prediction, age?, indication?}`; and the judge by rules.

The pure side of `radlet judge FILE`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import SerializeAsAny, field_validator

from radlet.core.config import Config, of_its_kind
from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows
from radlet.data.findings import read_statements
from radlet.evaluation import JUDGES
from radlet.evaluation.prediction_files import parse_predictions
from radlet.metrics.judging import NO_REFERENCE, ErrorCount, Judge, JudgedReport, ReportPair, mean_score, totals
from radlet.metrics.rule_judge import ERROR_KINDS, Judgement, PatientContext, judge

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


class RuleJudge(Judge):
    """Rules that align what two reports state; asks no model. Concepts are its own words, never the report's."""

    kind: Literal["rules"] = "rules"

    def judge(self, pairs: Sequence[ReportPair], progress: Progress) -> Iterator[JudgedReport]:
        """Yield the judgement of each pair, in order."""
        yield from map(_judged, progress.track(pairs, "reports", len(pairs)))


class JudgeSettings(Config):
    """Who judges."""

    judge: SerializeAsAny[Judge] = RuleJudge()
    """A table with its ``kind``."""

    @field_validator("judge", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any) -> Any:
        return of_its_kind(JUDGES, value)


def judge_texts(reference: str, draft: str, context: PatientContext | None = None) -> Judgement:
    """Judge one text against another by the rules."""
    return judge(read_statements(reference), read_statements(draft), context)


def judge_file(path: Path, judge: Judge | None = None, progress: Progress | None = None) -> list[JudgedReport]:
    """Judge every prediction of a file; by default by the rules.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
        RadletError: As the judge raises.
    """
    pairs = read_pairs(path)
    return list((judge or RuleJudge()).judge(pairs, progress or Progress(quiet=True)))


def read_pairs(path: Path) -> list[ReportPair]:
    """Read every prediction of a file with its reference and what is told of the patient.

    Raises:
        DataError: The file cannot be read, is empty, or a row is wrong (the message gives its line).
    """
    rows = list(read_rows(path, _FORM))
    told = [_patient(row, f"{path}, line {number}") for number, row in rows]
    return [
        ReportPair(
            id=one.example_id, reference=one.reference or "", draft=one.text, age=patient[0], indication=patient[1]
        )
        for one, patient in zip(parse_predictions(path, rows), told, strict=True)
    ]


def summary_lines(reports: Sequence[JudgedReport]) -> Iterator[str]:
    """Yield the lines that tell of all reports: errors by kind, the mean score, and what is missing by reason."""
    yield f"{'errors':<20} {'significant':>12} {'insignificant':>14}"
    for kind, count in totals(reports).items():
        yield f"{kind:<20} {count.significant:>12g} {count.insignificant:>14g}"
    score, num_scored = mean_score(reports)
    if num_scored:
        yield f"{'mean score':<20} {score:>12.4f}  ({num_scored} reports)"
    missing = Counter(report.missing for report in reports if report.missing)
    yield f"{'judged':<20} {len(reports) - missing.total():>12}  of {len(reports)} reports"
    for reason, number in missing.most_common():
        yield f"{'missing':<20} {number:>12}  {reason}"


def _patient(row: Mapping[str, Any], place: str) -> tuple[float | None, str | None]:
    age, indication = row.get("age"), row.get("indication")
    if age is not None and (isinstance(age, bool) or not isinstance(age, int | float) or not 0 <= age <= 130):
        raise DataError(f"{place}: 'age' must be a number of years from 0 to 130, or null.")
    if not isinstance(indication, str | None):
        raise DataError(f"{place}: 'indication' must be a text or null.")
    return age, indication


def patient_context(age: float | None, indication: str | None) -> PatientContext:
    """Return what age and indication tell the rules of the patient."""
    return PatientContext(
        elderly=age is not None and age >= ELDERLY_YEARS, after_surgery=bool(_SURGERY.search(indication or ""))
    )


def _judged(pair: ReportPair) -> JudgedReport:
    if not pair.reference.strip():
        return JudgedReport(id=pair.id, counts=None, missing=NO_REFERENCE)
    judgement = judge_texts(pair.reference, pair.draft, patient_context(pair.age, pair.indication))
    return JudgedReport(
        id=pair.id,
        score=judgement.score if pair.draft.strip() else None,
        counts={
            kind: ErrorCount(
                significant=judgement.count(kind, significant=True),
                insignificant=judgement.count(kind, significant=False),
            )
            for kind in ERROR_KINDS
        },
        errors=tuple((error.kind, error.concept, error.significant) for error in judgement.errors),
    )
