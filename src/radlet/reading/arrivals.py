"""Which studies have arrived whole: those that no new film has come for since a moment."""

from datetime import datetime

from sqlalchemy import func, select

from radlet.reading.store.store import Store
from radlet.reading.store.tables import ImageRow, StudyRow


def quiet_studies(store: Store, origin: str, since: datetime) -> list[str]:
    """Return the new studies whose last film came at `since` or before, the oldest first.

    Args:
        store: Of the reading room.
        origin: How they came.
        since: The moment.
    """
    wanted = (
        select(StudyRow.id)
        .join(ImageRow)
        .where(StudyRow.state == "new", StudyRow.origin == origin)
        .group_by(StudyRow.id, StudyRow.received_at)
        .having(func.max(ImageRow.received_at) <= since)
        .order_by(StudyRow.received_at, StudyRow.id)
    )
    with store.reading() as session:
        return list(session.scalars(wanted))


def known_study_uids(store: Store, study_uids: list[str]) -> set[str]:
    """Return those Study Instance UIDs of which the store has a study."""
    with store.reading() as session:
        found = session.scalars(select(StudyRow.study_uid).where(StudyRow.study_uid.in_(study_uids)))
        return {uid for uid in found if uid}
