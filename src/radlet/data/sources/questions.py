"""What the sources of question sets share: rows become the questions of a film, and those of no use are refused."""

from collections.abc import Iterable

from radlet.core.records import Question
from radlet.data.sources.cells import read_answer_kind, read_text
from radlet.data.sources.published import FilmsOfStudy
from radlet.data.tables import Row


def gather_questions(gathered: FilmsOfStudy, rows: Iterable[Row], topic: str) -> tuple[Question, ...]:
    """Return the questions of one film, each once; a row that asks or answers nothing is refused by its ``row_id``.

    Args:
        gathered: Takes what is refused.
        rows: With ``question``, ``answer``, ``answer_type`` (where the set has it) and ``row_id``.
        topic: Column of the type of question, "" where the set has none.
    """
    found: dict[Question, None] = {}
    for row in rows:
        question, answer = (" ".join(read_text(row, name).split()) for name in ("question", "answer"))
        asked = Question(
            question=question,
            answer=answer,
            kind=read_answer_kind(read_text(row, "answer_type"), answer),
            topic=read_topic(read_text(row, topic)) if topic else None,
        )
        if not (question and answer):
            gathered.refuse(row["row_id"], "the row has a question without an answer, or the reverse")
        elif asked in found:
            gathered.refuse(row["row_id"], "the same question and answer stand in an earlier row")
        else:
            found[asked] = None
    return tuple(found)


def read_topic(cell: str) -> str | None:
    """Return the types of a question in one order and in capitals, however the cell lists them."""
    words = sorted({word.strip().upper() for word in cell.split(",")} - {""})
    return ", ".join(words) or None
