"""What a reading room has seen: read from the store, never from pixels again."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select

from radlet.reading.drift.card import Observed, Value
from radlet.reading.drift.measuring import draft_values, film_values, person_values
from radlet.reading.gate import GateVerdict
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, ImageRow, StudyRow

_OF_DRAFT = (DraftRow.study_id, DraftRow.text, DraftRow.gate, DraftRow.findings, DraftRow.checkpoint_digest)


def seen_studies(store: Store, since: datetime, checkpoint_digest: str) -> list[Observed]:
    """Return what was measured of each study that came since a moment and was drafted or refused.

    A study counts once, with its newest draft.

    Args:
        store: Of the reading room.
        since: The moment.
        checkpoint_digest: Of the model whose drafts count; of others' drafts the film alone does.
    """
    return list(_seen(store, since, checkpoint_digest))


def _seen(store: Store, since: datetime, checkpoint_digest: str) -> Iterator[Observed]:
    drafts = (
        select(*_OF_DRAFT, ImageRow.view)
        .join(ImageRow, DraftRow.image_id == ImageRow.id)
        .join(StudyRow, DraftRow.study_id == StudyRow.id)
        .where(StudyRow.received_at >= since)
        .order_by(DraftRow.created_at, DraftRow.id)
    )
    with store.reading() as session:
        newest = {row.study_id: row for row in session.execute(drafts)}
        studies = session.scalars(select(StudyRow).where(StudyRow.received_at >= since).order_by(StudyRow.id))
        for study in studies:
            values: dict[str, Value] = {}
            if study.id in newest:
                draft = newest[study.id]
                # A draft of which no numbers were kept says nothing of its film.
                values = film_values(GateVerdict(**draft.gate), draft.view) if draft.gate.get("numbers") else {}
                if draft.checkpoint_digest == checkpoint_digest:
                    states = {one["observation"]: one["state"] for one in draft.findings}
                    values |= draft_values(draft.text, states)
            elif study.state == "refused":
                values = film_values(None, None)
            if values:
                person = person_values(study.sex, study.age_years)
                yield Observed(scanner=study.scanner, values=values | person)
