"""What is asked of the worklist: selections of studies, none of which changes anything."""

from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import selectinload

from radlet.reading.store.tables import StudyRow, StudyState, now


def listed(state: StudyState | None, words: str | None) -> Select[StudyRow]:
    """Select studies by state, and by words in patient, accession number or description."""
    wanted = select(StudyRow)
    if state:
        wanted = wanted.where(StudyRow.state == state)
    if words:
        fields = (StudyRow.patient_name, StudyRow.patient_id, StudyRow.accession_number, StudyRow.description)
        wanted = wanted.where(or_(*(field.icontains(words, autoescape=True) for field in fields)))
    return wanted


def page_of(wanted: Select[StudyRow], limit: int, offset: int) -> Select[StudyRow]:
    """Select some of them with their films, the newest first."""
    newest = wanted.order_by(StudyRow.received_at.desc(), StudyRow.id)
    return newest.options(selectinload(StudyRow.images)).limit(limit).offset(offset)


def whole(study_id: str) -> Select[StudyRow]:
    """Select a study with all that belongs to it."""
    parts = (StudyRow.images, StudyRow.drafts, StudyRow.edits, StudyRow.signatures)
    return select(StudyRow).where(StudyRow.id == study_id).options(*(selectinload(part) for part in parts))


def of_same_patient(study: StudyRow) -> Select[StudyRow]:
    """Select the other studies of a patient but for those of a later day."""
    same = select(StudyRow).where(StudyRow.patient_id == study.patient_id, StudyRow.id != study.id)
    if study.study_date:
        same = same.where(or_(StudyRow.study_date.is_(None), StudyRow.study_date <= study.study_date))
    return same.options(selectinload(StudyRow.images), selectinload(StudyRow.signatures))


def taken_at(study: StudyRow) -> tuple[str, datetime]:
    """Return what tells when a study was made, to sort by."""
    return study.study_date or "", study.received_at or now()
