"""Texts that `structure` made, laid over the texts of the studies; `build` reads studies through here."""

from collections.abc import Sequence
from pathlib import Path

from radlet.core.records import Record, Study
from radlet.data.manifests import read_records, row_groups_with

TEXTS = "texts.parquet"


class StructuredText(Record):
    """What `structure` made of the texts of one study."""

    study_id: str
    sections: dict[str, str]
    """Texts that stand in the place of the study's own; an empty one takes the section away."""
    replaces_report: bool = False
    """Whether `sections` hold all of the report, so that it is not cut again."""
    jobs: dict[str, dict[str, str]]
    """Job -> section -> who wrote it: ``model``, ``rule`` where every answer was refused, or ``model and rule``."""
    model: str
    """The model that was asked."""
    prompts: dict[str, str]
    """Job -> digest of its prompt."""


def lay_over(studies: Sequence[Study], structure: Path) -> list[Study]:
    """Return studies with the texts of a structure run over theirs; holds the texts of their neighbourhood alone."""
    path = structure / TEXTS
    texts = {
        text.study_id: text
        for group in row_groups_with(path, "study_id", [study.study_id for study in studies])
        for text in read_records(path, StructuredText, group)
    }
    return [_with(study, texts[study.study_id]) if study.study_id in texts else study for study in studies]


def _with(study: Study, text: StructuredText) -> Study:
    sections = {**study.sections, **text.sections}
    return study.model_copy(update={"sections": sections, "report": None if text.replaces_report else study.report})
