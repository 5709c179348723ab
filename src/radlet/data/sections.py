"""Cut a report into its sections; the first thing `build` does with free text.

Headings are recognised by their words, in any case, followed by a colon, a dash or the end of the line. Inside a line
a heading needs a colon and must be in capitals, or begin a sentence with a capital. What belongs to no known heading
stays where it stands, heading and all, so no word of a report is lost apart from the headings themselves:

- without any heading the whole text is `findings`;
- before the first heading: `findings` when it reads like prose, else `technique` (banners, names of exams);
- "FINDINGS AND IMPRESSION" and its like are `findings`; a conclusion is not guessed out of them;
- a wet read or preliminary report is an earlier reading of the same films, so it stands with `comparison`, unless the
  report has no other findings and no impression: then it is `findings`;
- an addendum belongs to the `impression`;
- a section that stands twice is joined by a line break.
"""

import re
from collections.abc import Iterator

from radlet.core.records import SECTIONS

_EARLIER, _BANNER, _OPENING = "earlier reading", "banner", "opening"

_HEADINGS: tuple[tuple[str, str], ...] = (
    ("findings", r"findings?\s*(?:and|&|/)\s*(?:impressions?|conclusions?)"),
    ("findings", r"(?:impressions?|conclusions?)\s*(?:and|&|/)\s*findings?"),
    ("findings", r"(?:radiographic\s+)?findings?|description(?:\s+of\s+findings)?"),
    ("impression", r"(?:final\s+)?impressions?|conclusions?|opinion|summary|addend(?:um|a)"),
    ("indication", r"(?:clinical\s+)?indications?(?:\s+for\s+(?:the\s+)?(?:exam(?:ination)?|study))?"),
    ("indication", r"reason\s+for\s+(?:the\s+|this\s+)?(?:exam(?:ination)?|study)|clinical\s+(?:information|question)"),
    ("history", r"(?:(?:clinical|patient|medical|relevant)\s+)?history"),
    ("technique", r"techniques?|(?:type\s+of\s+)?exam(?:ination)?s?|procedures?|stud(?:y|ies)|views?"),
    ("comparison", r"comparisons?(?:\s+stud(?:y|ies))?|prior\s+(?:exams?|stud(?:y|ies))|compared\s+(?:to|with)"),
    (_EARLIER, r"wet\s+read(?:ing)?|preliminary\s+(?:report|read(?:ing)?|findings)"),
    (_BANNER, r"final\s+report|(?:radiology\s+)?report"),
)
_WORDS = "|".join(f"(?P<h{number}>{words})" for number, (_, words) in enumerate(_HEADINGS))
_DASH = r"[-\u2013\u2014]"
_HEADING = re.compile(
    rf"(?:^[ \t]*(?:\#{{1,4}}[ \t]*|\*\*)?|(?P<inside>(?<=\s)))(?:{_WORDS})(?:\*\*)?"
    rf"(?:[ \t]*(?P<colon>:)(?:\*\*)?|[ \t]+{_DASH}+(?=\s)|{_DASH}+(?=\s)|[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"[.!?:;)\]]\s*$")
_PROSE = re.compile(
    r"\b(?:is|are|was|were|has|have|there|no|normal|clear|seen|unchanged|stable)\b[^\n]{0,300}\.(?:\s|$)"
)


def parse_sections(report: str) -> dict[str, str]:
    """Return the sections that a report has, stripped, keyed and ordered as in `core.records.SECTIONS`.

    A section whose heading stands without any text is left out.
    """
    parts: dict[str, list[str]] = {}
    for name, text in _cut(report.replace("\r\n", "\n").replace("\r", "\n")):
        if text.strip():
            parts.setdefault(name, []).append(text.strip())
    earlier = parts.pop(_EARLIER, [])
    if earlier:
        judged = "findings" in parts or "impression" in parts
        parts.setdefault("comparison" if judged else "findings", []).extend(earlier)
    return {name: "\n".join(parts[name]) for name in SECTIONS if name in parts}


def _cut(report: str) -> Iterator[tuple[str, str]]:
    """Yield (section, text) in the order of the report."""
    headings = [match for match in _HEADING.finditer(report) if _stands(match)]
    name, start = _OPENING, 0
    for match in headings:
        yield _placed(name, report[start : match.start()], bool(headings))
        name = next(_HEADINGS[int(key[1:])][0] for key, value in match.groupdict().items() if key[0] == "h" and value)
        start = match.end()
    yield _placed(name, report[start:], bool(headings))


def _placed(name: str, text: str, has_headings: bool) -> tuple[str, str]:
    """Find a section for text that no heading claims."""
    if name not in (_OPENING, _BANNER):
        return name, text
    return ("findings" if not has_headings or name == _BANNER or _PROSE.search(text) else "technique"), text


def _stands(match: re.Match[str]) -> bool:
    """Tell whether a candidate is a heading rather than words of a sentence."""
    if match.group("inside") is None:
        return True
    if match.group("colon") is None:
        return False
    words = match.group().strip()
    if words.upper() == words:
        return True
    before = match.string[max(0, match.start() - 10) : match.start()]
    return words[0].isupper() and bool(_SENTENCE_END.search(before))
