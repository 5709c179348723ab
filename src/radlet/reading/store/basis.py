"""What a text was written from, and why one is not taken."""

from dataclasses import dataclass

from radlet.core.errors import DataError
from radlet.reading.store.tables import StudyRow


class NotThereError(DataError):
    """There is no row of that identifier."""


class StateError(DataError):
    """What was asked does not go with the state of the study."""


class OvertakenError(StateError):
    """A text was written from one that is not the last any more: somebody saved or signed another meanwhile."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__(
            "Another text of this study was saved or signed after the one that yours was written from. Nothing was "
            "changed. Read the study anew, compare, and send yours with `based_on` naming the last edit or signature."
        )


@dataclass(frozen=True)
class Basis:
    """What a reader had seen when a text was written.

    Attributes:
        text_id: The last edit or signature; None where there was none.
        draft_id: The draft that stood beside the text; None where that is not known. A study's only draft is taken for
            it.
    """

    text_id: str | None = None
    draft_id: str | None = None


NOTHING = Basis()


def refuse_overtaken(study: StudyRow, based_on: Basis) -> None:
    """Refuse a text whose writer has not seen the last one.

    Raises:
        OvertakenError: Another text was kept since.
    """
    last = study.last_text
    if (last.id if last else None) != based_on.text_id:
        raise OvertakenError


def seen_draft(study: StudyRow, based_on: Basis) -> str | None:
    """Return the draft that stood beside a text, where that is known.

    Raises:
        NotThereError: The study has no such draft.
    """
    ids = [draft.id for draft in study.drafts]
    if based_on.draft_id is None:
        return ids[0] if len(ids) == 1 else None
    if based_on.draft_id not in ids:
        raise NotThereError("The study has no such draft.")
    return based_on.draft_id
