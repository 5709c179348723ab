"""Read a report as statements: what is there, denied or guessed, where, how much, how large, and compared with what.

Stands behind the rule judge and the entity-relation F1. The sentences are read by the same rules as for the 14
observations (`data.observations`), with a wider vocabulary (`data.findings_lexicon`); this file adds what goes with
each mention: the words up to the joint with the next one. `docs/judge.md` tells the conventions.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from radlet.core.records import Side, State, Zone
from radlet.core.statements import CONCEPTS, Change, Position, Severity, Statement, generalisations
from radlet.data.findings_lexicon import (
    BETTER,
    CHANGES,
    FINDING_GRAMMAR,
    OF_OBSERVATION,
    POSITIONS,
    SIZE,
    SIZE_NUMBER,
    WORSE,
    ZONES,
)
from radlet.data.lexicon import SEVERITIES, SIDES
from radlet.data.observations import Mention, read_sentence, sentences
from radlet.data.priors import find_prior_references
from radlet.data.sidedness import Event

_JOINTS = ("comma", "and", "or", "with", "stop", "hedge", "versus", "differential", "colon", "negation")
_CHANGE_ORDER: tuple[Change, ...] = ("resolved", "new", "increased", "decreased", "unchanged", "compared")
_STRENGTH = {State.NEGATIVE: 0, State.UNCERTAIN: 1, State.POSITIVE: 2}
_NEAR = 12
"""Characters between a mention and a word of degree that is said of it ("the effusion is small")."""
_SAME_SIZE = 1.3
"""Largest ratio of two measures of one finding in one report ("1.8 cm" here, "2 cm" there)."""


def find_statements(text: str) -> list[Statement]:
    """Return every statement in the order of the text, one a mention."""
    return [
        replace(statement, start=statement.start + start, end=statement.end + start)
        for start, sentence in sentences(text)
        for statement in _read(sentence)
    ]


def read_statements(text: str) -> tuple[Statement, ...]:
    """Return what a report states, each finding once, however often it is spoken of.

    Mentions of one concept that do not contradict each other in side, zone, degree and size are one finding; within a
    sentence so are a concept and the more general word for it ("an opacity, consistent with pneumonia").
    """
    found: list[Statement] = []
    for start, sentence in sentences(text):
        here = len(found)
        for statement in _read(sentence):
            placed = replace(statement, start=statement.start + start, end=statement.end + start)
            index = next((i for i, old in enumerate(found) if _one_finding(old, placed, i >= here)), None)
            if index is None:
                found.append(placed)
            else:
                found[index] = _joined(found[index], placed)
    return tuple(found)


@lru_cache(maxsize=20_000)
def _read(sentence: str) -> tuple[Statement, ...]:
    """Return the statements of a lower-cased sentence; cached because reports repeat their sentences."""
    events, mentions = read_sentence(sentence, FINDING_GRAMMAR)
    if not mentions:
        return ()
    spans = _spans(events, mentions, len(sentence))
    changes = _changes(sentence, mentions, spans)
    return tuple(
        _statement(sentence, events, mention, span, changes.get(index))
        for index, (mention, span) in enumerate(zip(mentions, spans, strict=True))
    )


def _spans(events: Sequence[Event], mentions: Sequence[Mention], length: int) -> list[tuple[int, int]]:
    """Return, for each mention, from where to where the words belong to it.

    Two mentions part at their last joint; without one, a place between them is that of the first.
    """
    cuts = [0]
    for left, right in pairwise(mentions):
        gap = [event for event in events if event.start >= left.end and event.end <= right.start]
        joints = [event.start for event in gap if event.kind in _JOINTS]
        stops = [event.start for event in gap if event.kind == "stop"]
        placed = bool(gap) and gap[0].kind == "place"
        cuts.append(max(left.end, stops[0] if stops else joints[-1] if joints else right.start if placed else left.end))
    cuts.append(length)
    return [(start, max(end, mention.end)) for (start, end), mention in zip(pairwise(cuts), mentions, strict=True)]


def _statement(
    sentence: str, events: Sequence[Event], mention: Mention, span: tuple[int, int], change: Change | None
) -> Statement:
    name = OF_OBSERVATION.get(mention.observation, mention.observation)
    concept = CONCEPTS[name]
    words = sentence[span[0] : span[1]]
    device = concept.observation == "Support Devices"
    return Statement(
        concept=name,
        state=mention.state,
        side=(mention.side or _side_within(sentence[mention.start : mention.end])) if concept.sided else None,
        zones=_zones(sentence, mention, span) if concept.zoned else (),
        severity=mention.severity or _severity_after(events, mention, span[1]),
        size_mm=None if device else _size_mm(words),
        change=change,
        position=_position(words) if device else None,
        start=mention.start,
        end=mention.end,
    )


def _side_within(words: str) -> Side | None:
    """Return the side named by a mention's own words ("enlarged right hilum")."""
    named = set(words.split()) & {"left", "right", "bilateral"}
    if not named:
        return None
    return "left" if named == {"left"} else "right" if named == {"right"} else "bilateral"


def _zones(sentence: str, mention: Mention, span: tuple[int, int]) -> tuple[Zone, ...]:
    before, after = sentence[span[0] : mention.end], sentence[mention.end : span[1]]
    for words in (before, after):
        named = tuple(zone for zone, pattern in ZONES if pattern.search(words))
        if named:
            return named
    return ()


def _severity_after(events: Sequence[Event], mention: Mention, end: int) -> Severity | None:
    """Return a degree that is said after its mention ("the effusion is small", "edema, mild")."""
    for event in events:
        if event.start >= mention.end and event.end <= end and event.kind in SEVERITIES:
            return event.kind if event.start - mention.end <= _NEAR else None  # type: ignore[return-value]
        if event.start >= mention.end and event.kind in SIDES:
            return None
    return None


def _size_mm(words: str) -> float | None:
    """Return the largest measure in millimetres; of a range ("2 to 3 cm") too."""
    match = SIZE.search(words)
    if match is None:
        return None
    largest = max(float(number) for number in SIZE_NUMBER.findall(match["sizes"]))
    return largest * (10 if match["unit"].startswith("c") else 1)


def _position(words: str) -> Position | None:
    return next((position for position, pattern in POSITIONS if pattern.search(words)), None)


def _changes(sentence: str, mentions: Sequence[Mention], spans: Sequence[tuple[int, int]]) -> dict[int, Change]:
    """Return what is said of earlier exams, by index of the mention it goes with: the one in whose words it stands."""
    found: dict[int, Change] = {}
    for reference in find_prior_references(sentence):
        within = [i for i, span in enumerate(spans) if span[0] <= reference.start < span[1]]
        index = within[0] if within else len(mentions) - 1
        change = CHANGES.get(reference.kind) or _direction(sentence[reference.start : reference.end])
        if change == "compared":  # "larger than on the prior study" may name the exam alone
            change = _direction(sentence[slice(*spans[index])])
        if index not in found or _CHANGE_ORDER.index(change) < _CHANGE_ORDER.index(found[index]):
            found[index] = change
    return found


def _direction(words: str) -> Change:
    return "increased" if WORSE.search(words) else "decreased" if BETTER.search(words) else "compared"


def _one_finding(old: Statement, new: Statement, same_sentence: bool) -> bool:
    if old.state is not new.state and State.NEGATIVE in (old.state, new.state):
        return False
    related = old.concept in generalisations(new.concept) or new.concept in generalisations(old.concept)
    if old.concept != new.concept and not (related and same_sentence and old.state is new.state):
        return False
    if old.state is State.NEGATIVE:
        return True
    sides = old.side is None or new.side is None or old.side == new.side
    zones = not old.zones or not new.zones or bool(set(old.zones) & set(new.zones))
    degree = old.severity is None or new.severity is None or old.severity == new.severity
    return sides and zones and degree and _same_size(old.size_mm, new.size_mm)


def _same_size(a: float | None, b: float | None) -> bool:
    return not a or not b or max(a, b) <= _SAME_SIZE * min(a, b)


def _joined(old: Statement, new: Statement) -> Statement:
    """Return one finding of two mentions: the stronger state, the more specific concept, all that either names."""
    specific = new.concept if old.concept in generalisations(new.concept) else old.concept
    return replace(
        old,
        concept=specific,
        state=max(old.state, new.state, key=_STRENGTH.__getitem__),
        side=old.side or new.side,
        zones=old.zones or new.zones,
        severity=old.severity or new.severity,
        size_mm=old.size_mm or new.size_mm,
        change=old.change or new.change,
        position=old.position or new.position,
    )
