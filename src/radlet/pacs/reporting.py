"""A draft or a signed report of the store as a file: DICOM objects, FHIR, HL7."""

from collections.abc import Callable
from typing import Literal, cast, get_args

from sqlalchemy import or_, select

from radlet.core.errors import ConfigError
from radlet.pacs.exports.fhir import fhir_bundle
from radlet.pacs.exports.hl7 import oru_r01
from radlet.pacs.outputs.facts import Look, ReportFacts, gather, gather_signed
from radlet.pacs.outputs.making import make_file
from radlet.pacs.outputs.reports import Signing
from radlet.pacs.settings import OutputKind
from radlet.reading.store.basis import NotThereError, StateError
from radlet.reading.store.store import Store
from radlet.reading.store.tables import StudyRow

ReportKind = Literal["text_sr", "comprehensive_sr", "capture", "pdf", "fhir", "hl7"]
REPORT_KINDS: tuple[str, ...] = get_args(ReportKind)
_TEXTS: dict[str, Callable[[ReportFacts], bytes]] = {"fhir": fhir_bundle, "hl7": oru_r01}


def report_file(
    store: Store, study: str, kind: str, actor: str, look: Look | None = None, signing: Signing | None = None
) -> bytes:
    """Return the newest draft of a study, or its signed report, as a file of one kind.

    Args:
        store: Of the reading room.
        study: Its identifier in the store, or its Study Instance UID.
        kind: One of `REPORT_KINDS`.
        actor: Who wants it; noted in the audit log.
        look: Asks the model where it looked; without, there are no regions.
        signing: For whom people sign: the signed report is then written, in place of the draft.

    Raises:
        ConfigError: There is no such kind, or none of signed reports.
        DataError: The film of the report is no DICOM object, and the kind is one.
        NotThereError: There is no such study.
        StateError: It has no draft, or is not signed.
    """
    if kind not in REPORT_KINDS:
        raise ConfigError(f"'{kind}' is no kind of report. Give one of {', '.join(REPORT_KINDS)}.")
    with store.reading() as session:
        study_id = session.scalar(select(StudyRow.id).where(or_(StudyRow.id == study, StudyRow.study_uid == study)))
    if study_id is None:
        raise NotThereError("There is no such study. Give its identifier on the worklist, or its Study Instance UID.")
    row = store.study(study_id)
    facts = _signed(store, row, signing) if signing else _draft(store, row, look)
    content = _TEXTS[kind](facts) if kind in _TEXTS else make_file(cast("OutputKind", kind), facts)
    store.note(actor, "report.export" if signing else "draft.export", facts.report.id, kind=kind)
    return content


def _draft(store: Store, study: StudyRow, look: Look | None) -> ReportFacts:
    if not study.drafts:
        raise StateError("The study has no draft yet.")
    return gather(store, study, study.drafts[-1], look)


def _signed(store: Store, study: StudyRow, signing: Signing) -> ReportFacts:
    if study.state != "signed":
        raise StateError("The study is not signed.")
    return gather_signed(store, study, study.signatures[-1], signing)
