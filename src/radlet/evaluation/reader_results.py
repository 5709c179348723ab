"""What readers of a reader study said: who is preferred, whether readers agree, and their counts for `judge-study`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import krippendorff
import numpy as np
from pydantic import Field, ValidationError, model_validator
from scipy.stats import binomtest

from radlet.core.errors import DataError
from radlet.core.records import Record
from radlet.evaluation.expert_counts import long_rows
from radlet.evaluation.reader_study import KeyCase, Side, StudyKey
from radlet.metrics.base import Floats
from radlet.metrics.judging import ErrorCount
from radlet.metrics.resampling import Estimate, PatientResampler
from radlet.metrics.rule_judge import ERROR_KINDS, ErrorKind

Choice = Literal["left", "right", "tie"]
Counts = dict[ErrorKind, ErrorCount]


class ReadCase(Record):
    """What a reader said of one case."""

    case: int
    preference: Choice | None
    counted: bool
    """Whether the counts mean anything; without it they are no counts, not counts of no error."""
    left: Counts
    right: Counts
    comment: str = ""
    seconds: float = 0

    @model_validator(mode="after")
    def _every_kind(self) -> Self:
        if len(self.left) < len(ERROR_KINDS) or len(self.right) < len(ERROR_KINDS):
            raise ValueError("every kind of error needs its counts")
        return self


class ReaderFile(Record):
    """The file that the page saves."""

    form: Literal["radlet reader study"]
    version: Literal[1]
    study: str
    reader: str = Field(min_length=1)
    begun: str = ""
    changed: str = ""
    cases: tuple[ReadCase, ...]


class Preference(Record):
    """How often the first system was preferred."""

    version: int = 1
    study: str
    systems: dict[Side, str]
    readers: dict[str, int]
    """Reader -> cases with a preference."""
    chosen: dict[Literal["A", "B", "tie"], int]
    num_cases: int
    """Cases of the page."""
    num_patients: int
    """Patients with a preference."""
    share: Estimate
    """Share of preferences for A, a tie counting half; interval by patient."""
    sign_test: float | None
    """Two-sided p-value of the exact sign test over patients, each with the sum of its preferences; None where all are
    ties."""
    agreement: float | None
    """Krippendorff's alpha (ordinal: A, tie, B) between readers; None with one reader or without any variation."""
    num_resamples: int


_Said = tuple[str, KeyCase, ReadCase]


def read_results(paths: Sequence[Path], key_path: Path) -> tuple[StudyKey, list[ReaderFile]]:
    """Read the key and the files of all readers.

    Raises:
        DataError: A file cannot be read or is of another study; two files are of one reader.
    """
    key = _parsed(key_path, StudyKey, "the key that radlet reader-study wrote")
    results: dict[str, ReaderFile] = {}
    known = sorted(case.case for case in key.cases)
    for path in paths:
        result = _parsed(path, ReaderFile, "a file that the page of a reader study saved")
        if result.study != key.study or sorted(case.case for case in result.cases) != known:
            raise DataError(f"{path}: is of another study than the key {key_path}. Give the key of its page.")
        if result.reader in results:
            raise DataError(f"{path}: another file is of the same reader. Give the last file of each reader alone.")
        results[result.reader] = result
    return key, list(results.values())


def preferences(key: StudyKey, results: Sequence[ReaderFile], num_resamples: int = 1000, seed: int = 0) -> Preference:
    """Sum up who was preferred.

    Raises:
        DataError: No reader has stated a preference.
    """
    said = [(reader, case, answer) for reader, case, answer in _answers(key, results) if answer.preference]
    if not said:
        raise DataError("No file holds a preference. Open the page, choose, and save the file again.")
    values = np.array([_value(case, answer) for _, case, answer in said])
    patients = [case.patient_id for _, case, _ in said]
    resampler = PatientResampler(patients, num_resamples, seed)
    statistics = np.stack([(values + 1) / 2, np.ones(len(values))], axis=1)
    return Preference(
        study=key.study,
        systems=key.systems,
        readers={one.reader: sum(case.preference is not None for case in one.cases) for one in results},
        chosen={"A": int((values > 0).sum()), "B": int((values < 0).sum()), "tie": int((values == 0).sum())},
        num_cases=len(key.cases),
        num_patients=resampler.num_patients,
        share=resampler.estimate(statistics, lambda totals: totals[..., 0] / totals[..., 1]),
        sign_test=_sign_test(patients, values),
        agreement=_agreement(key, results),
        num_resamples=num_resamples,
    )


def expert_counts(key: StudyKey, results: Sequence[ReaderFile], system: Side) -> list[dict[str, Any]]:
    """Return the readers' counts of one system's drafts as the rows that `judge-study` reads."""
    return [
        row
        for reader, case, answer in _answers(key, results)
        if answer.counted
        for row in long_rows(case.id, case.patient_id, reader, answer.left if case.left == system else answer.right)
    ]


def preference_lines(summary: Preference) -> Iterator[str]:
    """Yield what is printed."""
    a, b = summary.systems["A"], summary.systems["B"]
    for reader, number in summary.readers.items():
        yield f"{reader}: {number} of {summary.num_cases} cases"
    chosen = summary.chosen
    yield f"preferred: {a} {chosen['A']}, {b} {chosen['B']}, no preference {chosen['tie']}"
    share = summary.share
    between = "" if share.low is None else f" ({share.low:.3f} to {share.high:.3f})"
    yield f"share for {a}, a tie counting half: {share.value:.3f}{between}, {summary.num_patients} patients"
    yield f"sign test over patients: {'all tied' if summary.sign_test is None else f'p = {summary.sign_test:.4f}'}"
    told = "none" if summary.agreement is None else f"{summary.agreement:.3f}"
    yield f"agreement of readers (Krippendorff's alpha, ordinal): {told}"


def _parsed(path: Path, cls: type[Any], what: str) -> Any:
    try:
        return cls.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}). Give {what}.") from None
    except ValidationError:
        raise DataError(f"{path}: is not {what}.") from None


def _answers(key: StudyKey, results: Sequence[ReaderFile]) -> Iterator[_Said]:
    cases = {case.case: case for case in key.cases}
    for result in results:
        for answer in result.cases:
            yield result.reader, cases[answer.case], answer


def _value(case: KeyCase, answer: ReadCase) -> float:
    """Return 1 where A was preferred, -1 where B was, 0 for no preference."""
    if answer.preference == "tie":
        return 0.0
    return 1.0 if (case.left if answer.preference == "left" else case.right) == "A" else -1.0


def _sign_test(patients: Sequence[str], values: Floats) -> float | None:
    sums: dict[str, float] = {}
    for patient, value in zip(patients, values, strict=True):
        sums[patient] = sums.get(patient, 0.0) + value
    wins, losses = sum(value > 0 for value in sums.values()), sum(value < 0 for value in sums.values())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else None


def _agreement(key: StudyKey, results: Sequence[ReaderFile]) -> float | None:
    places = {case.case: index for index, case in enumerate(key.cases)}
    table = np.full((len(results), len(places)), np.nan)
    rows = {result.reader: index for index, result in enumerate(results)}
    for reader, case, answer in _answers(key, results):
        if answer.preference:
            table[rows[reader], places[case.case]] = _value(case, answer)
    shared = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="ordinal"))
