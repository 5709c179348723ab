"""CheXpert Plus: CheXpert's films with their reports, cut into sections, in one table a film a row."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.records import OBSERVATIONS, Study
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import LabelRule, read_age_years, read_sex, read_text
from radlet.data.sources.chexpert import FilmPlace, add_film, read_place, read_view
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, read_columns, read_numbered, require_file
from radlet.data.tables import Row

_SECTIONS: dict[str, tuple[str, ...]] = {
    "indication": ("section_clinical_history",),
    "history": ("section_history",),
    "technique": ("section_technique", "section_procedure_comments"),
    "comparison": ("section_comparison",),
    "findings": ("section_findings",),
    "impression": ("section_impression",),
}
"""Our section <- the columns that may hold it, the first filled one counts."""
_NEEDED = ("path_to_image", "report", "section_findings", "section_impression")
_TOPS = ("", "PNG/", "PNG/PNG/")


class CheXpertPlusSource(Source):
    """CheXpert Plus: ``df_chexpert_plus_*.csv``, films as PNG or CheXpert's own JPEG, labels from a file of choice."""

    terms: ClassVar[str | None] = "Stanford AIMI, after registration; research use only, no redistribution."
    kind: Literal["chexpert_plus"] = "chexpert_plus"
    root: Path
    """Folder of the table and of ``train/`` and ``valid/`` (or ``PNG/train/``). ``valid`` becomes the split dev."""
    labels_file: Path | None = None
    """One of the label files, such as ``impression_fixed.json``, relative to the root."""
    label_rule: LabelRule = LabelRule()

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies of one shard, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: A table is missing, cannot be read or lacks a column.
        """
        table = require_file(self.root, ("df_chexpert_plus*.csv", "df_chexpert_plus*.csv.gz"), "table of CheXpert Plus")
        groups = ShardOfStudies(shard, num_shards).group(read_numbered(table, _NEEDED), _study_id)
        labels = self._read_labels(groups)
        for study_id, rows in groups.items():
            gathered = FilmsOfStudy(self.root)
            for row in rows:
                place = read_place(read_text(row, "path_to_image"))
                view = read_view(
                    read_text(row, "frontal_lateral"), read_text(row, "ap_pa"), read_text(row, "path_to_image")
                )
                add_film(gathered, place, row["row_id"], _film_paths(place), view)
            yield from gathered.items(_study(study_id, rows[0], labels.get(study_id, {})))

    def _read_labels(self, wanted: dict[str, list[Row]]) -> dict[str, dict[str, int]]:
        """Return ``study -> labels`` from the first row of each wanted study."""
        found: dict[str, dict[str, int]] = {}
        if self.labels_file is None:
            return found
        for row in read_columns(self.root / self.labels_file, ("path_to_image", *OBSERVATIONS)):
            place = read_place(read_text(row, "path_to_image"))
            if place and place.study_id in wanted:
                found.setdefault(place.study_id, self.label_rule.read(row, OBSERVATIONS))
        return found


def _study_id(row: Row) -> str:
    place = read_place(read_text(row, "path_to_image"))
    return place.study_id if place else row["row_id"]


def _film_paths(place: FilmPlace | None) -> list[str]:
    """Return where the film may stand: the table says ``.jpg`` of films that are published as PNG."""
    if place is None:
        return []
    stem = posixpath.splitext(place.path)[0]
    return [f"{top}{stem}{suffix}" for top in _TOPS for suffix in (".jpg", ".png", ".dcm")]


def _study(study_id: str, row: Row, labels: dict[str, int]) -> Study:
    """Make the study from its first row: the rows of a study repeat one report, each de-identified anew.

    The whole report is used only where it was not cut: its own headings would bring back, as findings, text that the
    set's authors put elsewhere.
    """
    place = read_place(read_text(row, "path_to_image"))
    texts = {
        name: next((text for column in columns if (text := read_text(row, column))), "")
        for name, columns in _SECTIONS.items()
    }
    sections = {name: text for name, text in texts.items() if text}
    return Study(
        study_id=study_id,
        patient_id=place.patient_id if place else study_id,
        images=(),
        report=None if {"findings", "impression"} & sections.keys() else read_text(row, "report") or None,
        sections=sections,
        labels=labels,
        split=place.split if place else None,
        sex=read_sex(read_text(row, "sex")),
        age_years=read_age_years(read_text(row, "age")),
    )
