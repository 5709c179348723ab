"""Cut a report into its sections; the first thing `build` does with free text.

`find_spans` covers the whole report, character by character, with headings and the texts under them; `parse_sections`
gathers the texts by section. Headings are recognised by their words, alone or joined ("FINDINGS AND IMPRESSION",
"INDICATION/COMPARISON"), in any case, by how they stand: at the start of a line before a colon, a dash or the line's
end, or in brackets or marks of emphasis; inside a line before a colon, in capitals, with a capital or after the end of
a sentence; and without any mark in capitals, where the words around are not. Which section a text belongs to:

- without any heading the whole report is `findings`;
- before the first heading, and under the name of an exam ("CHEST, TWO VIEWS:"): `findings` when it reads like prose,
  else `technique`;
- of a merged heading `findings` takes all, else the first name: a conclusion is not guessed out of a description;
- a wet read or preliminary report is an earlier reading of the same films, so it stands with `comparison`, unless the
  report has no other findings and no impression: then it is `findings`;
- an addendum belongs to the `impression`;
- what stands under an unknown heading stays, heading and all, in the section before it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Literal

from radlet.core.records import SECTIONS

_EARLIER, _BANNER, _OPENING, _TITLE = "earlier reading", "banner", "opening", "title"
_EXAM = r"(?:exam(?:ination)?s?|stud(?:y|ies))"

# Longer names stand before those they begin with.
_NAMES: dict[str, str] = {
    "findings": r"findings? impressions?|(?:(?:radiographic|additional|incidental|other|pertinent|chest) )?findings?"
    r"(?:\(s\))?|description(?: of findings)?|interpretation|observations?",
    "impression": r"(?:(?:final|overall) )?(?:impressions?(?:\(s\))?|diagnos[ie]s)|conclusions?(?:\(s\))?|opinion"
    r"|summary|assessment|(?:final )?addend(?:um|a)(?: #?\d)?",
    "indication": rf"(?:clinical )?indications?(?:\(s\))?(?: for (?:the )?{_EXAM})?|chief complaint"
    rf"|reason for (?:(?:the|this) )?{_EXAM}|(?:exam(?:ination)? )?reason"
    r"|clinical (?:information|question|details|data|problem|statement)",
    "history": r"(?:(?:clinical|patient|medical|past medical|relevant|brief) )?history(?: of present illness)?|hx",
    "technique": rf"techniques?|(?:type of )?{_EXAM}(?: (?:type|performed|description))?"
    r"|procedures?|views?|projections?",
    "comparison": rf"comparisons?(?:\(s\))?(?: (?:{_EXAM}|films?|dates?))?|(?:prior|previous) (?:{_EXAM}|films?)"
    r"|compared (?:to|with)",
    _EARLIER: r"wet read(?:ing)?(?: version #?\d+)?|provisional findings impression"
    r"|preliminary (?:report|read(?:ing)?|findings|impression)",
    _BANNER: r"final report|(?:radiology )?report",
}
_NAMES = {name: words.replace(" ", r"[ \t]{1,3}") for name, words in _NAMES.items()}
_JOINT = r"(?:[ \t]{1,3}and[ \t]{1,3}|[ \t]{0,3}[&/,+][ \t]{0,3}\n?[ \t]{0,3})"
_ANY = f"(?:{'|'.join(_NAMES.values())})"
_WITH_IMPRESSION = rf"(?:{_JOINT}(?:recommendations?|plan))?"
_DASH = r"[-\u2013\u2014]"
_CLOSING = r"[*_\])>=]"
_HEADING = re.compile(
    r"(?:^(?P<mark>[ \t]{0,40}(?:[#*=_<>\[(\u2022-]{1,6}[ \t]{0,3}|\d{1,2}[.)][ \t]{1,3})?)|(?<=\s))"
    rf"(?P<words>{_ANY}(?:{_JOINT}{_ANY}){{0,2}}){_WITH_IMPRESSION}(?:[ \t]{{0,3}}\([^()\n]{{0,40}}\))?"
    rf"(?:(?P<colon>{_CLOSING}{{0,6}}[ \t]{{0,8}}[:\uff1a]{_CLOSING}{{0,6}})"
    rf"|(?P<dash>[ \t]{{0,8}}{_DASH}{{1,3}}(?=\s))"
    rf"|(?P<closed>{_CLOSING}{{1,6}}(?=\s|$))"
    r"|(?P<line>[ \t]{0,40}$)"
    r"|(?P<stop>\.(?=\s))"
    r"|(?P<bare>(?=[ \t]{1,8}\S)))",
    re.IGNORECASE | re.MULTILINE,
)
_EXAM_TITLE = re.compile(
    r"^[ \t]{0,40}(?![^\n:]{0,90}\b(?:FINDINGS?|IMPRESSION|COMPARISON|HISTORY|INDICATION)\b)"
    r"(?:[A-Z][A-Z0-9,()&/ -]{0,40}\b)?(?:CHEST|VIEWS?|RADIOGRAPHS?|X-?RAYS?)\b[A-Z0-9,()&/ -]{0,40}:",
    re.MULTILINE,
)
_RULE = re.compile(r"^[ \t]{0,40}[_=*-]{8,}[ \t]*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?:;)\]]\s{0,9}$")
_QUALIFIED = re.compile(
    r"\b(?:a|an|the|of|on|in|no|and|or|for|with|by|per|my|our|this|these|those)\s{1,9}$", re.IGNORECASE
)
_WORD_BEFORE = re.compile(r"(\S{1,20})\s{1,9}$")
_WORD_AFTER = re.compile(r"[ \t]{1,8}(\S{1,20})")
_GOES_ON = re.compile(r"(?:of|for|and|or|is|are|was|were|with|to|from|in|on|by|made|as|not|suggests?)\b", re.IGNORECASE)
"""Words after which "FINDINGS" and its like, in capitals and without a mark, were words of a sentence."""
_UNSHOUTED = re.compile(r"X+|AP|PA|CT|CXR|MRI|PET|US|XR|CR|DX")
"""Placeholders and abbreviations, written in capitals in any report."""
_PROSE = re.compile(
    r"\b(?:is|are|was|were|has|have|there|no|normal|clear|seen|unchanged|stable)\b[^\n]{0,300}\.(?:\s|$)"
)


@dataclass(frozen=True)
class Span:
    """A stretch of a report.

    Attributes:
        section: One of `core.records.SECTIONS`.
        kind: Whether it is a heading or what stands under one.
        start: Offset of its first character.
        end: Offset behind its last character.
    """

    section: str
    kind: Literal["heading", "text"]
    start: int
    end: int


@dataclass(frozen=True)
class _Manner:
    """How a report is written: in both cases, and with headings in small letters."""

    mixed_case: bool
    small_headings: bool


def find_spans(report: str) -> list[Span]:
    """Return the spans of a report, in order, without gap or overlap: joined they are the report."""
    # One character for one, so that offsets hold in the report itself.
    text = report.replace("\r\n", " \n").replace("\r", "\n")
    pieces = list(_cut(text))
    judged = any(name in ("findings", "impression") and text[start:end].strip() for name, _, start, end in pieces)
    spans = []
    for name, heading, start, end in pieces:
        section = ("comparison" if judged else "findings") if name == _EARLIER else name
        spans += [Span(section, "heading", heading, start), Span(section, "text", start, end)]
    return [span for span in spans if span.start < span.end]


def parse_sections(report: str) -> dict[str, str]:
    """Return the sections that a report has, stripped, keyed and ordered as in `core.records.SECTIONS`.

    A section whose heading stands without any text is left out; one that stands twice is joined by a line break. Lines
    that only rule off parts of the report are left out too.
    """
    return dict(_gather(report))


@lru_cache(maxsize=1)  # `build` asks twice in a row: for the example, then for the data card
def _gather(report: str) -> tuple[tuple[str, str], ...]:
    parts: dict[str, list[str]] = {}
    for span in find_spans(report):
        text = _RULE.sub("", report[span.start : span.end].replace("\r\n", "\n").replace("\r", "\n")).strip()
        if span.kind == "text" and text:
            parts.setdefault(span.section, []).append(text)
    return tuple((name, "\n".join(parts[name])) for name in SECTIONS if name in parts)


def _cut(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield (section, start of its heading, start of its text, end) in the order of the report."""
    candidates = list(_HEADING.finditer(text))
    manner = _Manner(
        # Headings, names of exams and placeholders take their share of the capitals.
        mixed_case=3 * sum(map(str.islower, text)) > sum(map(str.isupper, text)),
        small_headings=any(
            _at_line_start(match) and match["colon"] and match["words"].islower() for match in candidates
        ),
    )
    standing = {match.start(): match for match in candidates if _stands(match, manner)}
    headings = [(_name(match["words"]), match.start(), match.end()) for match in standing.values()]
    titles = [match for match in _EXAM_TITLE.finditer(text) if match.start() not in standing]
    inside = {place for title in titles for place in range(title.start(), title.end())}
    headings = [heading for heading in headings if heading[1] not in inside]
    headings = sorted(headings + [(_TITLE, title.start(), title.end()) for title in titles], key=itemgetter(1))
    name, heading, start = _OPENING, 0, 0
    for following, begun, ended in headings:
        yield _placed(name, text[start:begun], bool(headings)), heading, start, begun
        name, heading, start = following, begun, ended
    yield _placed(name, text[start:], bool(headings)), heading, start, len(text)


def _placed(name: str, text: str, has_headings: bool) -> str:
    """Find a section for text that no heading claims."""
    if name not in (_OPENING, _BANNER, _TITLE):
        return name
    return "findings" if not has_headings or name == _BANNER or _PROSE.search(text) else "technique"


def _name(words: str) -> str:
    """Return the section of a heading, of several names `findings` or else the first."""
    names = []
    for part in re.split(_JOINT, words, flags=re.IGNORECASE):
        names += [name for name, pattern in _NAMES.items() if re.fullmatch(pattern, part, re.IGNORECASE)]
    return "findings" if "findings" in names else names[0]


def _at_line_start(match: re.Match[str]) -> bool:
    return match["mark"] is not None


def _stands(match: re.Match[str], manner: _Manner) -> bool:
    """Tell whether a candidate is a heading rather than words of a sentence."""
    words, mark = match["words"], match["mark"]
    in_capitals = words.isupper()
    if match["bare"] is not None:
        return in_capitals and manner.mixed_case and _name(words) in SECTIONS and _stands_out(match)
    if mark is None:
        return match["colon"] is not None and (in_capitals or _opens(match, manner))
    if match["stop"] is not None:
        return in_capitals
    if match["closed"] is not None:
        return bool(mark.strip())
    if match["line"] is not None:
        return words[0].isupper() or bool(mark.strip())
    return words[0].isupper() or not mark.strip()


def _opens(match: re.Match[str], manner: _Manner) -> bool:
    """Tell whether a candidate inside a line, not in capitals, begins something rather than going on."""
    before = match.string[max(0, match.start() - 20) : match.start()]
    if _SENTENCE_END.search(before):
        return True
    return (match["words"][0].isupper() or manner.small_headings) and not _QUALIFIED.search(before)


def _stands_out(match: re.Match[str]) -> bool:
    """Tell whether a candidate in capitals without a mark stands among words that are not in capitals."""
    after = _WORD_AFTER.match(match.string, match.end())
    if after is None or (_GOES_ON.match(after[1]) and not after[1].istitle()):
        return False
    before = match.string[max(0, match.start() - 30) : match.start()]
    if _at_line_start(match) or _SENTENCE_END.search(before):
        return True
    word = _WORD_BEFORE.search(before)
    return not _shouted(after[1]) and (after[1].istitle() or word is None or not _shouted(word[1]))


def _shouted(word: str) -> bool:
    """Tell whether a word is written in capitals for no reason of its own."""
    letters = word.strip(",.;:()")
    return len(letters) > 1 and letters.isalpha() and letters.isupper() and not _UNSHOUTED.fullmatch(letters)
