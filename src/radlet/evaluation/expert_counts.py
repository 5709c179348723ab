"""Read what `radlet judge-study` compares: errors counted by experts, and what judges or metrics made of the drafts.

A file is told by its columns. Counts by experts: rows `{id, expert, kind, significant, count, patient_id?}`; or one row
a report and expert with columns `<kind>_significant` and `<kind>_insignificant`; or the published table of ReXVal.
Judges: what `radlet judge` writes. Metrics: rows `{id, value}`, where more is better, or what `radlet score` writes of
each report, where each metric knows which way is better.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from radlet.core.errors import DataError
from radlet.core.jsonl import parse_rows, read_lines
from radlet.metrics import METRICS
from radlet.metrics.base import Floats
from radlet.metrics.judging import ErrorCount, JudgedReport
from radlet.metrics.rule_judge import ERROR_KINDS, ErrorKind

_LONG = ("id", "expert", "kind", "significant", "count")
_WIDE = ("id", "expert", *(f"{kind}_{level}" for kind in ERROR_KINDS for level in ("significant", "insignificant")))
_REXVAL = ("study_number", "candidate_type", "rater_index", "error_category", "clinically_significant", "num_errors")
_FORMS = (
    f"Counts by experts have the columns {', '.join(_LONG)}, or id, expert and <kind>_significant and "
    "<kind>_insignificant of every kind, or those of ReXVal; a judge's file is what radlet judge writes; a metric's "
    "has id and value, or is what radlet score --per-report writes."
)
_TRUTHS = {"true": 0, "1": 0, "yes": 0, "false": 1, "0": 1, "no": 1}
"""Word of the column `significant` -> level: 0 significant, 1 not."""


@dataclass
class Judgements:
    """What one judge or metric made of the drafts.

    Attributes:
        counts: Id -> errors by kind and level, shape (6, 2); none for a metric.
        values: Id -> value of a metric, turned so that more is better; none for a judge.
        missing: Id -> why there is no judgement.
        is_metric: Whether it gives values, which can be ranked only.
    """

    counts: dict[str, Floats] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    is_metric: bool = False


@dataclass
class StudyFiles:
    """All that was read.

    Attributes:
        experts: Expert -> id -> errors by kind and level (0 significant, 1 not), shape (6, 2).
        judges: Name of the file -> judgements.
        patients: Id -> patient, where told.
        counted: Expert, id, kind and level of each count that was read, from whatever file.
    """

    experts: dict[str, dict[str, Floats]] = field(default_factory=dict)
    judges: dict[str, Judgements] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    counted: set[tuple[str, str, int, int]] = field(default_factory=set)

    @property
    def reports(self) -> list[str]:
        """The reports that any expert counted, in the order they came."""
        return list(dict.fromkeys(name for counted in self.experts.values() for name in counted))

    def unknown(self, judge: str) -> int:
        """Return how many reports a judge judged that no expert counted."""
        judgements, known = self.judges[judge], set(self.reports)
        return len({*judgements.counts, *judgements.values, *judgements.missing} - known)

    def missing(self, judge: str) -> Counter[str]:
        """Return how many of the experts' reports a judge has no judgement of, by reason."""
        one = self.judges[judge]
        return Counter(
            one.missing.get(name, "not in the file")
            for name in self.reports
            if name not in one.counts and name not in one.values
        )


_Rows = list[tuple[str, dict[str, Any]]]


def read_study_files(paths: Sequence[Path]) -> StudyFiles:
    """Read every file and tell by its columns what it is.

    Raises:
        DataError: A file cannot be read, has other columns, or a row is wrong (the message gives its line); no file
            holds counts by experts; two files of judges have one name.
    """
    files = StudyFiles()
    for path in paths:
        rows = _read(path)
        columns = set(rows[0][1])
        if columns & {"counts", "value", "metrics"}:
            for name, judgements in _judged(path.stem, rows).items():
                if name in files.judges:
                    raise DataError(f"{path}: '{name}' came from an earlier file already. Leave one out, or rename it.")
                files.judges[name] = judgements
            continue
        reader = next((read for needed, read in _READERS if columns.issuperset(needed)), None)
        if reader is None:
            raise DataError(f"{path}: its columns are not known. {_FORMS}")
        reader(rows, files)
    if not files.experts:
        raise DataError(f"No file holds counts by experts. {_FORMS}")
    return files


def _read(path: Path) -> _Rows:
    lines = read_lines(path)
    if not lines:
        raise DataError(f"{path}: is empty. {_FORMS}")
    if lines[0][1].lstrip().startswith("{"):
        return [(f"{path}, line {number}", row) for number, row in parse_rows(path, lines, "one JSON object a line")]
    table = csv.DictReader(io.StringIO("\n".join(line.rstrip("\r") for _, line in lines)))
    try:
        rows: _Rows = [(f"{path}, row {number}", dict(row)) for number, row in enumerate(table, start=1)]
    except csv.Error:
        raise DataError(f"{path}: is no table of CSV. {_FORMS}") from None
    if not rows:
        raise DataError(f"{path}: has a header and no row. {_FORMS}")
    return rows


def _long(rows: _Rows, files: StudyFiles) -> None:
    for place, row in rows:
        kind = _one_of(row, "kind", {name: index for index, name in enumerate(ERROR_KINDS)}, place)
        cell = (_text(row, "expert", place), _text(row, "id", place), kind, _level(row, "significant", place))
        _put(files, cell, _count(row, "count", place), place)
        _tell_patient(files, row, cell[1], place)


def _wide(rows: _Rows, files: StudyFiles) -> None:
    for place, row in rows:
        expert, name = _text(row, "expert", place), _text(row, "id", place)
        for kind, kind_name in enumerate(ERROR_KINDS):
            for level, word in enumerate(("significant", "insignificant")):
                _put(files, (expert, name, kind, level), _count(row, f"{kind_name}_{word}", place), place)
        _tell_patient(files, row, name, place)


def _rexval(rows: _Rows, files: StudyFiles) -> None:
    """Read ReXVal's table; its drafts are called <study_number>_<candidate_type>, the drafts of a study go together."""
    for place, row in rows:
        study = _text(row, "study_number", place)
        name = f"{study}_{_text(row, 'candidate_type', place)}"
        kind = _one_of(row, "error_category", {str(index + 1): index for index in range(len(ERROR_KINDS))}, place)
        cell = (_text(row, "rater_index", place), name, kind, _level(row, "clinically_significant", place))
        _put(files, cell, _count(row, "num_errors", place), place)
        files.patients[name] = study


_READERS: tuple[tuple[tuple[str, ...], Callable[[_Rows, StudyFiles], None]], ...] = (
    (_LONG, _long),
    (_WIDE, _wide),
    (_REXVAL, _rexval),
)


def _judge(rows: _Rows) -> Judgements:
    judgements = Judgements()
    seen: set[str] = set()
    for place, row in rows:
        try:
            report = JudgedReport.model_validate(row)
        except ValidationError:
            raise DataError(f"{place}: is not what radlet judge writes. {_FORMS}") from None
        _once(report.id, seen, place)
        if report.counts is None or len(report.counts) < len(ERROR_KINDS):
            judgements.missing[report.id] = report.missing or "no counts"
        else:
            cells = [report.counts[kind] for kind in ERROR_KINDS]
            judgements.counts[report.id] = np.array([[cell.significant, cell.insignificant] for cell in cells], float)
    return judgements


def _judged(stem: str, rows: _Rows) -> dict[str, Judgements]:
    """Return the judgements of a file by name: one judge, one metric, or all metrics of a scoring."""
    if "counts" in rows[0][1]:
        return {stem: _judge(rows)}
    if "value" in rows[0][1]:
        return {stem: _metric([(place, _text(row, "id", place), row.get("value")) for place, row in rows])}
    names = rows[0][1]["metrics"]
    if not isinstance(names, dict) or any(not isinstance(row.get("metrics"), dict) for _, row in rows):
        raise DataError(f"{rows[0][0]}: is not what radlet score --per-report writes. {_FORMS}")
    signs = {name: METRICS[name].sign if name in METRICS else 1 for name in names}
    return {
        name: _metric([(place, _text(row, "id", place), row["metrics"].get(name)) for place, row in rows], sign)
        for name, sign in signs.items()
        if sign  # a description of the texts has no better and no worse
    }


def _metric(rows: Sequence[tuple[str, str, Any]], sign: int = 1) -> Judgements:
    """Read a metric: place, id and value of each report."""
    judgements = Judgements(is_metric=True)
    seen: set[str] = set()
    for place, name, value in rows:
        _once(name, seen, place)
        if value is None or value == "":
            judgements.missing[name] = "no value"
            continue
        number = _number(value)
        if number is None or not np.isfinite(number):
            raise DataError(f"{place}: 'value' must be a number, or null where there is none.")
        judgements.values[name] = sign * number
    return judgements


def _put(files: StudyFiles, cell: tuple[str, str, int, int], count: float, place: str) -> None:
    _once(cell, files.counted, place)
    expert, name, kind, level = cell
    counted = files.experts.setdefault(expert, {})
    counted.setdefault(name, np.zeros((len(ERROR_KINDS), 2)))[kind, level] = count


def _once(cell: Any, seen: set[Any], place: str) -> None:
    if cell in seen:
        raise DataError(
            f"{place}: counts again what was counted before. Study the drafts of each system by themselves."
        )
    seen.add(cell)


def _tell_patient(files: StudyFiles, row: Mapping[str, Any], name: str, place: str) -> None:
    if row.get("patient_id") in (None, ""):
        return
    patient = _text(row, "patient_id", place)
    if files.patients.setdefault(name, patient) != patient:
        raise DataError(f"{place}: gives a report another patient than an earlier row.")


def _text(row: Mapping[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise DataError(f"{place}: '{key}' must be a text or a whole number.")
    return str(value).strip()


def _one_of(row: Mapping[str, Any], key: str, known: Mapping[str, int], place: str) -> int:
    value = str(row.get(key)).strip()
    if value not in known:
        raise DataError(f"{place}: '{key}' must be one of: {', '.join(known)}.")
    return known[value]


def _level(row: Mapping[str, Any], key: str, place: str) -> int:
    return _one_of({key: str(row.get(key)).strip().lower()}, key, _TRUTHS, place)


def _count(row: Mapping[str, Any], key: str, place: str) -> float:
    number = _number(row.get(key))
    if number is None or not 0 <= number <= 1000:
        raise DataError(f"{place}: '{key}' must be a number from 0 to 1000; a report that was not counted has no row.")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def long_rows(name: str, patient: str, expert: str, counts: Mapping[ErrorKind, ErrorCount]) -> Iterator[dict[str, Any]]:
    """Yield one expert's counts of one report as rows that `read_study_files` reads."""
    for kind in ERROR_KINDS:
        for level in ("significant", "insignificant"):
            row = {"id": name, "patient_id": patient, "expert": expert, "kind": kind}
            yield row | {"significant": level == "significant", "count": getattr(counts[kind], level)}
