"""Find the side and the severity that the words around a mention give it; a part of `data.observations`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from radlet.core.records import Side
from radlet.core.statements import Severity
from radlet.data.lexicon import SEVERITIES, SIDES

_SEPARATORS = ("comma", "and", "or", "with", "stop", "hedge", "versus")
_LINKS = ("comma", "and", "or", "with", "hedge", "versus")


@dataclass(frozen=True)
class Event:
    """A word or phrase of the lexicon found in a sentence; offsets within the sentence."""

    kind: str
    start: int
    end: int


def severity_before(events: Sequence[Event], index: int) -> Severity | None:
    """Return the last word of severity before an event, in the same part of the sentence."""
    for event in reversed(events[:index]):
        if event.kind in SEVERITIES:
            return event.kind  # type: ignore[return-value]
        if event.kind in _SEPARATORS or event.kind.startswith("mention"):
            return None
    return None


def assign_sides(events: Sequence[Event], company: Mapping[int, str], length: int) -> dict[int, Side | None]:
    """Return the side of each mention of a sentence.

    Sides before a mention in its own part of the sentence come first ("left effusion"), then those after it ("effusion
    on the left", "effusions, left greater than right"); a mention with neither takes the side of its neighbour in a
    coordination ("left effusion and atelectasis", "effusion and atelectasis on the left").

    Args:
        events: All events of the sentence.
        company: The events that are mentions, by index in rising order, each with a name for what it belongs to;
            only mentions of one name lend each other a side.
        length: Characters in the sentence.
    """
    mentions = list(company)
    before: dict[int, list[str]] = {index: [] for index in mentions}
    after: dict[int, list[str]] = {index: [] for index in mentions}
    previous: int | None = None
    for index in [*mentions, None]:
        gap = events[0 if previous is None else previous + 1 : index]
        behind, ahead = _share(gap, previous is None, index is None, length)
        if previous is not None:
            after[previous] = behind
        if index is not None:
            before[index] = ahead
        previous = index
    own = {index: _side(before[index]) or _side(after[index]) for index in mentions}
    sides = dict(own)
    for left, right in pairwise(mentions):
        kinds = [event.kind for event in events[left + 1 : right]]
        linked = "stop" not in kinds and any(kind in _LINKS for kind in kinds)
        if not linked or company[left] != company[right]:
            continue
        if own[right] is None and sides[left] is not None and "normal" not in kinds:
            sides[right] = sides[left]
        elif own[left] is None and sides[left] is None and not before[right] and _joined(kinds):
            sides[left] = own[right]
    return sides


def _joined(kinds: Sequence[str]) -> bool:
    return [kind for kind in kinds if kind in _LINKS] in (["and"], ["or"])


def _share(gap: Sequence[Event], opening: bool, closing: bool, length: int) -> tuple[list[str], list[str]]:
    """Share the sides between two mentions: those of the one before, those of the one after."""
    if opening:
        return [], [event.kind for event in gap if event.kind in SIDES]
    separators = [index for index, event in enumerate(gap) if event.kind in _SEPARATORS]
    if closing:
        return _behind_last(gap, separators, length), []
    if not separators:
        place = next((index for index, event in enumerate(gap) if event.kind == "place"), len(gap))
        return _sides(gap[place:]), _sides(gap[:place])
    first, last = separators[0], separators[-1]
    behind, middle, ahead = _sides(gap[:first]), _sides(gap[first:last]), _sides(gap[last:])
    return (behind + middle, ahead) if behind or ahead else ([], middle)


def _behind_last(gap: Sequence[Event], separators: Sequence[int], length: int) -> list[str]:
    first = separators[0] if separators else len(gap)
    stop = next((index for index, event in enumerate(gap) if event.kind == "stop"), len(gap))
    behind = _sides(gap[:first])
    if behind:
        return _sides(gap[:stop])
    rest = [event for event in gap[first:stop] if event.kind in SIDES]
    # "effusions, left greater than right" and "effusion, left" speak of the mention; "effusion, left lung clear" not.
    return [event.kind for event in rest[:1] if event.kind == "both" or event.end + 2 >= length]


def _sides(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events if event.kind in SIDES]


def _side(kinds: Sequence[str]) -> Side | None:
    if not kinds:
        return None
    if "both" in kinds or len(set(kinds)) > 1:
        return "bilateral"
    return "left" if kinds[0] == "left" else "right"
