"""Mark the words of a draft and of its reference by whether they agree on what is present.

The page colours them: what was rightly named, what was named but is not in the reference, what was missed, and what
was put on the wrong side.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from radlet.core.records import State
from radlet.data.observations import Mention, find_mentions, label_report
from radlet.evaluation.readings import text_sides

_SIDES = ("left", "right", "bilateral")
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
    """Return the marked pieces, each different one once, in order, with the words before them that they need.

    A piece takes in a side that stands before it, and further words back until its first occurrence in the text is
    itself: attention is looked up by phrase, and "effusion" may have been denied in an earlier sentence.
    """
    text = "".join(segment.text for segment in segments)
    phrases: dict[str, None] = {}
    position = 0
    for segment in segments:
        if segment.kind != "plain":
            phrases[_anchored(text, position, position + len(segment.text))] = None
        position += len(segment.text)
    return list(phrases)


def _anchored(text: str, start: int, end: int) -> str:
    words = [match.start() for match in re.finditer(r"\S+", text[:start])]
    while words and text[words[-1] : start].strip().lower() in _SIDES:
        start = words.pop()
    while words and text.lower().find(text[start:end].lower()) != start:
        start = words.pop()
    return text[start:end]


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
