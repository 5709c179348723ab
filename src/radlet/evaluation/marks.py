"""Mark the words of a draft and of its reference by whether they agree on what is present.

The page colours them: what was rightly named, what was named but is not in the reference, what was missed, and what
was put on the wrong side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from radlet.core.records import State
from radlet.data.observations import Mention, find_mentions, label_report
from radlet.evaluation.readings import text_sides

Kind = Literal["plain", "right", "false", "missed", "side"]


@dataclass(frozen=True)
class Segment:
    """A piece of a text; the pieces joined are the text."""

    text: str
    kind: Kind


def mark_draft(draft: str, reference: str) -> list[Segment]:
    """Mark a draft's mentions: right, false (present only in the draft, or wrongly denied), or on the wrong side."""
    expected, sides = label_report(reference), text_sides(reference)

    def kind(mention: Mention) -> Kind:
        present = expected.get(mention.observation) is State.POSITIVE
        if mention.state is State.NEGATIVE:
            return "false" if present else "plain"
        if mention.state is not State.POSITIVE:
            return "plain"
        true_sides = set(sides.get(mention.observation, ()))
        if (
            present
            and len(true_sides) == 1
            and "bilateral" not in true_sides
            and mention.side not in {None, *true_sides}
        ):
            return "side"
        return "right" if present else "false"

    return _segments(draft, kind)


def mark_reference(reference: str, draft: str) -> list[Segment]:
    """Mark a reference's positive mentions: right (the draft has them) or missed."""
    drafted = label_report(draft)

    def kind(mention: Mention) -> Kind:
        if mention.state is not State.POSITIVE:
            return "plain"
        return "right" if drafted.get(mention.observation) is State.POSITIVE else "missed"

    return _segments(reference, kind)


def marked_phrases(segments: list[Segment]) -> list[str]:
    """Return the marked pieces, each different one once, in order."""
    return list(dict.fromkeys(segment.text for segment in segments if segment.kind != "plain"))


def _segments(text: str, kind: Callable[[Mention], Kind]) -> list[Segment]:
    segments: list[Segment] = []
    position = 0
    for mention in sorted(find_mentions(text), key=lambda mention: (mention.start, -mention.end)):
        marked = kind(mention)
        if marked == "plain" or mention.start < position:
            continue
        segments += [
            Segment(text[position : mention.start], "plain"),
            Segment(text[mention.start : mention.end], marked),
        ]
        position = mention.end
    return [segment for segment in [*segments, Segment(text[position:], "plain")] if segment.text]
