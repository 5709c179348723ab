"""One draft of the store as a file: DICOM objects, FHIR, HL7."""

from collections.abc import Callable
from typing import Literal, get_args

from sqlalchemy import or_, select

from radlet.core.errors import ConfigError
from radlet.pacs.exports.fhir import fhir_bundle
from radlet.pacs.exports.hl7 import oru_r01
from radlet.pacs.outputs.facts import DraftFacts, Look, gather
from radlet.pacs.outputs.making import make_file
from radlet.pacs.settings import OutputKind
from radlet.reading.store.store import NotThereError, StateError, Store
from radlet.reading.store.tables import StudyRow

ReportKind = Literal["text_sr", "comprehensive_sr", "capture", "pdf", "fhir", "hl7"]
REPORT_KINDS: tuple[str, ...] = get_args(ReportKind)
_TEXTS: dict[str, Callable[[DraftFacts], bytes]] = {"fhir": fhir_bundle, "hl7": oru_r01}


def report_file(store: Store, study: str, kind: str, actor: str, look: Look | None = None) -> bytes:
    """Return the newest draft of a study as a file of one kind.

    Args:
        store: Of the reading room.
        study: Its identifier in the store, or its Study Instance UID.
        kind: One of `REPORT_KINDS`.
        actor: Who wants it; noted in the audit log.
        look: Asks the model where it looked; without, there are no regions.

    Raises:
        ConfigError: There is no such kind.
        DataError: The film of the draft is no DICOM object, and the kind is one.
        NotThereError: There is no such study.
        StateError: It has no draft.
    """
    if kind not in REPORT_KINDS:
        raise ConfigError(f"'{kind}' is no kind of report. Give one of {', '.join(REPORT_KINDS)}.")
    with store.reading() as session:
        study_id = session.scalar(select(StudyRow.id).where(or_(StudyRow.id == study, StudyRow.study_uid == study)))
    if study_id is None:
        raise NotThereError("There is no such study. Give its identifier on the worklist, or its Study Instance UID.")
    row = store.study(study_id)
    if not row.drafts:
        raise StateError("The study has no draft yet.")
    facts = gather(store, row, row.drafts[-1], look)
    content = _TEXTS[kind](facts) if kind in _TEXTS else make_file(_dicom_kind(kind), facts)
    store.note(actor, "draft.export", row.drafts[-1].id, kind=kind)
    return content


def _dicom_kind(kind: str) -> OutputKind:
    return next(known for known in get_args(OutputKind) if known == kind)
