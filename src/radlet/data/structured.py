"""Texts that `structure` made, laid over the texts of the studies; `build` reads studies through here."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from radlet.core.errors import DataError
from radlet.core.records import Record, Study
from radlet.core.runs import run_digest
from radlet.data.manifests import read_records

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


def lay_over(study: Study, text: StructuredText) -> Study:
    """Return the study with the texts that `structure` made."""
    sections = {**study.sections, **text.sections}
    return study.model_copy(update={"sections": sections, "report": None if text.replaces_report else study.report})


def structured_studies(studies: Iterable[Study], structure: Path | None, ingest: Path) -> Iterator[Study]:
    """Yield studies with the texts of a structure run over theirs; without a run, as they are.

    The texts are held in memory: about as much as the reports that were changed.

    Raises:
        DataError: The structure run was made from another ingest run.
    """
    if structure is None:
        yield from studies
        return
    made_from = json.loads((structure / "inputs.json").read_text(encoding="utf-8"))["ingest"]["digest"]
    if made_from != run_digest(ingest):
        raise DataError(f"{structure}: was made from another ingest run than {ingest}. Run structure on this one.")
    texts = {text.study_id: text for text in read_records(structure / TEXTS, StructuredText)}
    for study in studies:
        text = texts.get(study.study_id)
        yield lay_over(study, text) if text else study
