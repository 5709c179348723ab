"""MIMIC-CXR and MIMIC-CXR-JPG as PhysioNet publishes them: a tree of films, report texts, and tables beside it."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Split, Study, View
from radlet.data.sections import parse_sections
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import LabelRule, read_text
from radlet.data.sources.published import (
    FilmsOfStudy,
    ShardOfStudies,
    previous_studies,
    read_columns,
    require_file,
)
from radlet.data.tables import Row

_FILMS = ("*metadata.csv.gz", "*metadata.csv", "*record-list.csv.gz", "*record-list.csv")
"""The JPG release has the first; the DICOM release the second, without views and dates."""
_SPLITS: dict[str, Split] = {"train": "train", "validate": "dev", "test": "test"}
_VIEWS: dict[str, View] = {
    "PA": "PA",
    "POSTERO-ANTERIOR": "PA",
    "AP": "AP",
    "ANTERO-POSTERIOR": "AP",
    "LATERAL": "LATERAL",
    "LEFT LATERAL": "LATERAL",
    "RIGHT LATERAL": "LATERAL",
    "LL": "LATERAL",
    "RL": "LATERAL",
    "XTABLE LATERAL": "LATERAL",
}
_SUFFIXES = (".jpg", ".dcm", ".png", ".jpeg")
_REPORT_HEAD = re.compile(r"^[ \t]*FINAL REPORT[ \t]*$", re.MULTILINE)


class MimicCxrSource(Source):
    """MIMIC-CXR(-JPG): films under ``files/p10/p1…/s5…/``, reports as ``files/p10/p1…/s5….txt``, tables in the root."""

    terms: ClassVar[str | None] = (
        "PhysioNet, credentialed: training in human-subjects "
        "research and a signed agreement; no sharing, no third-party services."
    )
    kind: Literal["mimic_cxr"] = "mimic_cxr"
    root: Path
    """Folder that holds ``files/``."""
    tables_dir: Path | None = None
    """Folder of the metadata (or record list), split and label tables; without it, the root."""
    reports_dir: Path | None = None
    """Folder into which ``mimic-cxr-reports.zip`` was unpacked; without it, the root."""
    label_table: Literal["chexpert", "negbio", "none"] = "chexpert"
    """Which of the published tables of labels is read; the DICOM release comes without."""
    label_rule: LabelRule = LabelRule()

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies of one shard, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: A table is missing, cannot be read or lacks a column.
        """
        tables_dir = self.tables_dir or self.root
        films = require_file(tables_dir, _FILMS, "table of films")
        rows = ShardOfStudies(shard, num_shards).group(_numbered(films), lambda row: read_text(row, "study_id"))
        splits = _read_splits(tables_dir, rows)
        labels = self._read_labels(tables_dir, rows)
        priors = previous_studies(_moments(films))
        for study_id, group in rows.items():
            gathered = FilmsOfStudy(self.root)
            split = _add_films(gathered, group, splits)
            patient_id = read_text(group[0], "subject_id")
            yield from gathered.items(
                Study(
                    study_id=study_id,
                    patient_id=patient_id,
                    images=(),
                    report=_read_report(self.reports_dir or self.root, _folder(patient_id, study_id), gathered),
                    labels=labels.get(study_id, {}),
                    split=split,
                    prior_study_id=priors.get(study_id),
                )
            )

    def _read_labels(self, tables_dir: Path, wanted: dict[str, list[Row]]) -> dict[str, dict[str, int]]:
        if self.label_table == "none":
            return {}
        patterns = (f"*{self.label_table}.csv.gz", f"*{self.label_table}.csv")
        path = require_file(tables_dir, patterns, "table of labels")
        return {
            read_text(row, "study_id"): self.label_rule.read(row, OBSERVATIONS)
            for row in read_columns(path, ("study_id", *OBSERVATIONS))
            if read_text(row, "study_id") in wanted
        }


def read_last_report(text: str) -> str:
    """Return the last whole report of a text that holds several, the text itself where it holds one.

    Such texts repeat the head line ``FINAL REPORT``: the later report replaces the earlier, and to join their findings
    would tell everything twice and in places against itself.
    """
    heads = [match.start() for match in _REPORT_HEAD.finditer(text)]
    if len(heads) < 2:
        return text
    reports = [text[start:end] for start, end in itertools.pairwise([*heads, len(text)])]
    found = [parse_sections(report) for report in reports]
    # An addendum alone counts as an impression; a report that has findings is the fuller one.
    for section in ("findings", "impression"):
        for report, sections in zip(reversed(reports), reversed(found), strict=True):
            if section in sections:
                return report
    return text


def _numbered(films: Path) -> Iterator[Row]:
    """Yield the rows of the table of films, marked where their film stands in an earlier row of any study."""
    seen: set[str] = set()
    for row in read_columns(films, ("dicom_id", "study_id", "subject_id")):
        dicom_id = read_text(row, "dicom_id")
        yield {**row, "repeated": dicom_id in seen}
        seen.add(dicom_id)


def _moments(films: Path) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Yield when each study was made. Times have lost their leading zeros: only as numbers are they in order."""
    for row in read_columns(films, ()):
        try:
            moment = (float(read_text(row, "StudyDate")), float(read_text(row, "StudyTime") or 0))
        except ValueError:
            continue
        yield read_text(row, "study_id"), read_text(row, "subject_id"), moment


def _read_splits(tables_dir: Path, wanted: dict[str, list[Row]]) -> dict[str, Split]:
    """Return ``film -> split`` for the wanted studies.

    Raises:
        DataError: The table is missing or holds another word: films would silently change sides.
    """
    path = require_file(tables_dir, ("*split.csv.gz", "*split.csv"), "table of the published split")
    found: dict[str, Split] = {}
    for row in read_columns(path, ("dicom_id", "study_id", "split")):
        if read_text(row, "study_id") in wanted:
            word = read_text(row, "split")
            if word not in _SPLITS:
                raise DataError(f"{path}: a split is none of {', '.join(_SPLITS)}. Restore the published table.")
            found[read_text(row, "dicom_id")] = _SPLITS[word]
    return found


def _folder(patient_id: str, study_id: str) -> str | None:
    """Return the folder of a study; None where the ids are no numbers, which could lead anywhere."""
    if not (patient_id.isdecimal() and study_id.isdecimal()):
        return None
    return f"p{patient_id[:2]}/p{patient_id}/s{study_id}"


def _add_films(gathered: FilmsOfStudy, group: list[Row], splits: dict[str, Split]) -> Split | None:
    """Gather the films of a study and return its split, which is that of its first film."""
    study_split: Split | None = None
    for row in group:
        dicom_id, patient_id = read_text(row, "dicom_id"), read_text(row, "subject_id")
        view, view_problem = _read_view(row)
        split = splits.get(dicom_id)
        study_split = study_split or split
        if not _folder(patient_id, read_text(row, "study_id")):
            gathered.refuse(dicom_id or "(no id)", "its study or patient has no number for an id")
        elif row["repeated"]:
            gathered.refuse(dicom_id, "the same film stands in an earlier row")
        elif patient_id != read_text(group[0], "subject_id"):
            gathered.refuse(dicom_id, "its study has another patient in an earlier row")
        elif split is None or split != study_split:
            gathered.refuse(dicom_id, "not in the published split, or not in that of its study")
        elif view_problem:
            gathered.refuse(dicom_id, view_problem)
        else:
            path = f"{_folder(patient_id, read_text(row, 'study_id'))}/{dicom_id}"
            gathered.add(dicom_id, [f"{top}{path}{suffix}" for top in ("files/", "") for suffix in _SUFFIXES], view)
    return study_split


def _read_view(row: Row) -> tuple[View | None, str | None]:
    """Return the view, or why the film is refused: an open view would count as frontal."""
    position = read_text(row, "ViewPosition").upper()
    meaning = read_text(row, "ViewCodeSequence_CodeMeaning").upper()
    word = position or meaning
    if word in _VIEWS or not (position or "OBLIQUE" in meaning):
        return _VIEWS.get(word), None
    return None, "its view is neither PA, AP nor lateral"


def _read_report(reports_dir: Path, folder: str | None, gathered: FilmsOfStudy) -> str | None:
    """Return the report of a study; without one that can be trusted, the study is kept for its films and labels."""
    if folder is None:
        return None
    paths = [reports_dir / f"{top}{folder}.txt" for top in ("files/", "")]
    paths += [path for top in ("files/", "") for path in sorted((reports_dir / top / folder).glob("*.txt"))]
    try:
        texts = {path.read_text(encoding="utf-8").strip() for path in paths if path.is_file()}
    except (OSError, UnicodeDecodeError):
        gathered.refuse(f"{folder}.txt", "the report cannot be read as UTF-8; its study is kept without it")
        return None
    texts.discard("")
    if len(texts) > 1:
        gathered.refuse(f"{folder}.txt", "its study has several reports in files that differ; it is kept without them")
        return None
    return read_last_report(texts.pop()) if texts else None
