"""Take identifiers out of report text before it becomes text to learn; `build` applies it to every section.

Rules, not a model: what stands behind a label ("Patient:", "MRN:", "DOB:"), a title or a word of communication
("Dr.", "discussed with"), and what has the form of a date, a time, a telephone number, an address or a record number.
A name that stands alone in a sentence is not found, so a site should still de-identify its reports by its own means;
this is the net below it.

A sentence that only tells who was called goes as a whole. One that states an observation stays, less the identifier:
a target silent about what the film shows would teach silence. Text without identifiers is returned as it is.
"""

import re
from functools import partial
from typing import Literal

from radlet.data.observations import find_mentions

_PHYSICIAN, _PATIENT, _DAY, _DETAIL, _PERSON, _PLACE = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"
"""Stand for what was found while its sentence is mended; characters for private use, which no report holds."""
_MARK = re.compile(f"[{_PHYSICIAN}-{_PLACE}]")

# XXXX and its like are what an earlier de-identification left; `radlet.data.cleaning` deals with them.
_UPPER = "A-Z" + "".join(chr(code) for code in range(0xC0, 0x250) if chr(code).isupper())
_LOWER = "a-z" + "".join(chr(code) for code in range(0xC0, 0x250) if chr(code).islower())
_WORD = (
    r"(?!X{3,}|(?:Drs?|Mrs?|Ms|Miss|The|These|This|There|No)\b)"
    rf"[{_UPPER}](?:[{_LOWER}]|['\u2019-][{_UPPER}{_LOWER}]|(?<=Mc)[A-Z])+"
)
_INITIAL = r"[A-Z]\."
_PARTICLE = r"(?:van|von|de|der|den|del|della|di|la|le|bin|al)"
_MIXED = rf"(?:(?:{_INITIAL}|{_PARTICLE})[ \t]+){{0,3}}{_WORD}(?:[ \t]+(?:{_INITIAL}|{_PARTICLE}|{_WORD})(?!\w)){{0,3}}"
_NO_NAME = (
    r"(?:A[NST]|AND|WAS|IS|BY|ON|OF|IN|TO|VIA|WITH|FOR|WHO|HAS|HAD|CALLED|NOTIFIED|INFORMED|PAGED|REGARDING|ABOUT|THE"
    r"|MRN|DOB|SEX|AGE|DATE|EXAM|STUDY|FINDINGS|IMPRESSION|INDICATION|HISTORY|TECHNIQUE|COMPARISON)\b"
)
_CAPITALS = (
    rf"(?!X{{3,}}|{_NO_NAME})[{_UPPER}][{_UPPER}'\u2019-]+"
    rf"(?:[ \t]+(?!X{{3,}}|{_NO_NAME})[{_UPPER}][{_UPPER}'\u2019-]*\.?\b){{0,2}}"
)
_NAME = rf"(?:{_MIXED}|{_CAPITALS})(?:,[ \t]*(?:{_MIXED}|{_CAPITALS}))?"
_DEGREE = r"(?:M\.?D|D\.?O|R\.?N|N\.?P|Ph\.?D|MBBS|FRCR)\b\.?"

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DATE = (
    r"(?<![\d./-])(?:\d{1,2}([/.-])\d{1,2}\1(?:\d{4}|\d{2})|\d{4}([/.-])\d{1,2}\2\d{1,2})(?![\d/-]|\.\d)"
    rf"|\b(?i:{_MONTH})[ \t]+\d{{1,2}}(?:st|nd|rd|th)?(?:,?[ \t]+\d{{4}})?\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?[ \t-]+(?i:{_MONTH})(?:,?[ \t-]+\d{{4}}\b|(?!\w))"
    rf"|\b(?i:{_MONTH}|may)[ \t]+(?:\d{{1,2}},?[ \t]+)?\d{{4}}\b"
    r"|\b(?i:may)[ ]+\d{1,2}(?:st|nd|rd|th),?(?:[ ]+\d{4})?\b"
    r"|(?<=dated )\d{1,2}/\d{1,2}\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?[ ]of[ ](?i:{_MONTH}|may)(?:,?[ ]+\d{{4}}\b|(?!\w))"
    r"|(?<![\d.])(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d|\.\d)"
)
_TIME = (
    r"\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:[ \t]*(?i:[ap]\.?m\b|hours|hrs))?(?![\d:])"
    r"|\b\d{1,2}[ \t]*(?i:[ap]\.?m\b)|\b[0-2]\d[0-5]\d[ \t]*(?i:hours|hrs)\b"
)
_PHONE_LABEL = r"(?i:telephone|phone|tel|telefax|fax|pager|beeper|cell|mobile|ext(?:ension)?)"
_PHONE = (
    rf"\b{_PHONE_LABEL}\b(?:[.:#]|[ ](?:number|no\.?|is|at))*[ ]*(?:\+?\(?\d[\d() .-]{{2,18}}\d)\b"
    r"|(?<![\w.+])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}\b"
    r"|(?<![\w.])(?:\+?1[ .-])?(?:\(\d{3}\)[ ]?|\d{3}[ .-])\d{3}[ .-]\d{4}\b"
    r"|(?<![\w.])(?:\+?\d{1,3}[ .-])?(?:\(\d{3}\)[ ]?|\d{3}[ .-])\d{3}[.-]\d{4}\b|(?<![\w.])\d{3}-\d{2}-\d{4}\b"
)
_ADDRESS = r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:https?://|www\.)\S+"
_STREET = (
    rf"\b(?:P\.?[ ]?O\.?[ ]Box[ ]\d+|\d{{1,5}}[A-Z]?[ ](?:(?:[NSEW]\.?|North|South|East|West)[ ])?(?:{_WORD}[ ]){{1,3}}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Boulevard|Blvd|Drive|Dr|Court|Ct|Way|Place|Pl|Terrace|Square|Highway"
    r"|Parkway|Pkwy|Close|Crescent)\b\.?)(?:,?[ ](?:Apt|Apartment|Suite|Ste|Unit|Floor|\#)\.?[ ]?[\w-]+)?"
    rf"(?:,[ ](?:{_WORD}[ ]?){{1,3}})?(?:,[ ][A-Z]{{2}}[ ]\d{{5}}(?:-\d{{4}})?)?"
)
_INSTITUTION = (
    r"\b(?!(?:Outside|Referring|This|Our|The|In|At|From)\b)"
    rf"(?:(?:St\.?|Saint|{_WORD})(?:[ ](?:of|the|and|&|{_WORD})){{0,4}}[ ])"
    r"(?:University[ ]Hospital|Hospital|Medical[ ]Cent(?:er|re)|Clinic|Infirmary|Health[ ]System|Healthcare|Hospice"
    r"|University|(?:Imaging|Health|Cancer|Trauma|Surgery|Rehabilitation)[ ]Cent(?:er|re)|Medical[ ]Group"
    r"|Nursing[ ]Home"
    r"|Radiology[ ](?:Associates|Group))\b"
)
_OTHER_SCRIPT = r"[\u0370-\u1cff\u1f00-\u1fff\u2e80-\ud7ff\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufefc]"
_NUMBER_LABEL = (
    r"MRN|MR[ ]?#|SSN|patient[ ]ID|acc(?=\.?[ ]?(?:#|no\b))|ID(?=[ ]?[:#])|(?:study|exam|order)[ ](?:ID|number)"
    r"|(?:medical[ ]record|accession|account|NHS|hospital|chart|encounter|visit|case|requisition)"
    r"(?:[ ](?:number|no\.?|\#))|accession|medical[ ]record|account|NHS"
)
_PERSON_LABEL = r"(?:(?i:patient(?:'?s)?)[ ]+)?(?i:name)|(?i:patient)|PT"
_SIGNER_LABEL = (
    r"(?i:(?:dictated|transcribed|electronically signed|signed|approved|verified|interpreted|read|reviewed|reported"
    r"|ordered|requested|referred)[ ]by|attending(?:[ ]physician)?|referring[ ]physician|ordering[ ]physician"
    r"|radiologist|resident|technologist|physician|provider)"
)
_TOLD = (
    r"(?i:discuss(?:ed|ion)|communicated|conveyed|relayed|telephoned|called|notified|informed|paged|reviewed"
    r"|spoke(?:n)?)(?:[ ]+(?i:the|these|this|findings?|results?|verbally|directly|in person|over the phone"
    r"|by telephone|by phone))*"
)

_FOREIGN_WORDS = re.compile(rf"{_OTHER_SCRIPT}{{2,}}(?:[ \u00b7]{_OTHER_SCRIPT}{{2,}}){{0,4}}")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"\b(?:{_PERSON_LABEL})[ \t]*:[ \t]*(?i:(?:mr|mrs|ms|dr)\b\.?[ ]*)?(?:{_NAME})(?:\^\w+)?"), _DETAIL),
    (re.compile(r"\b(?i:DOB|date[ ]of[ ]birth|born(?:[ ]on)?|birth[ ]?date)[ \t]*:?[ \t]*(?:" + _DATE + ")"), _DETAIL),
    (re.compile(rf"\b(?i:{_NUMBER_LABEL})[ \t]*(?:\.?[ ]?no\.?|[:#]|is)*[ \t]*[A-Z]{{0,4}}-?\d[\d-]{{3,}}\b"), _DETAIL),
    (re.compile(rf"\b(?:{_SIGNER_LABEL})[ \t]*:[ \t]*(?i:dr\b\.?[ ]*)?(?:{_NAME})(?:,?[ ]*{_DEGREE})?"), _DETAIL),
    (re.compile(rf"\b(?:{_MIXED}),[ \t]*{_DEGREE}"), _PHYSICIAN),
    (
        re.compile(rf"\b(?i:drs)\b\.?\s+(?:{_MIXED}|{_CAPITALS})(?:(?:,|[ ](?i:and))+[ ]+(?:{_MIXED}|{_CAPITALS}))*"),
        _PHYSICIAN + "s",
    ),
    (
        re.compile(
            rf"\b(?i:dr|doctor|prof(?:essor)?|nurse)\b\.?\s+(?:{_MIXED}|{_CAPITALS})"
            rf"(?:(?:,|[ ]and|[ ]or)[ \t]+(?i:drs?\b\.?[ ]+)?{_MIXED})*(?:,?[ ]+{_DEGREE})?"
        ),
        _PHYSICIAN,
    ),
    (re.compile(rf"\b(?:[Pp]hysician|[Rr]esident|[Tt]echnologist|[Aa]ttending)[ ]+(?:{_MIXED})"), _PHYSICIAN),
    (re.compile(rf"(\b{_TOLD}\s+(?i:with|to|by)[ ]+)(?:{_MIXED})"), rf"\1{_PHYSICIAN}"),
    (re.compile(rf"(\b(?i:signed|dictated|transcribed)[ ]+by[ ]+)(?:{_MIXED})"), rf"\1{_PHYSICIAN}"),
    (
        re.compile(rf"\b(?:Mr|Mrs|Ms|Miss|MR|MRS|MS)\b\.?[ ]+(?:{_MIXED})|\b(?:MR|MRS|MS)\.[ ]+(?:{_CAPITALS})"),
        _PATIENT,
    ),
    (
        re.compile(
            rf"\b(?:{_MIXED})(?=[ ](?:was|were|has been|is)[ ](?:notified|informed|paged|called|contacted|told)\b)"
        ),
        _PHYSICIAN,
    ),
    (re.compile(_ADDRESS), _DETAIL),
    (re.compile(_STREET), _DETAIL),
    (re.compile(_INSTITUTION), _PLACE),
    (re.compile(_PHONE), _DETAIL),
    (re.compile(_DATE), _DAY),
    (re.compile(_TIME), _DETAIL),
)
"""In this order: what a label claims first, so that no later rule leaves a stump of it."""

_COMMUNICATION = re.compile(
    r"(?i)\b(?:discuss(?:ed|ion)|communicat(?:ed|ion)|conveyed|relayed|telephoned?|phone|called|notified|informed|paged"
    r"|spoken?|signed|dictated|transcribed|contact(?:ed)?|acknowledged|read back)\b"
)
_BREAK = re.compile(r"((?<=[.!?])\s+|\n\s*\n)")
_MENDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(rf"(?i)\b(compared? (?:to|with)|comparison (?:to|with|is)|since|than(?: on)?) {_DAY}"),
        r"\1 the prior study",
    ),
    (re.compile(rf"(?i)[ \t]*\(?(?:\b(?:dated|from|of|on|in|at|as of|number)[ \t]+)*[{_DAY}{_DETAIL}]\)?"), ""),
    (re.compile(rf"^\s*{_PHYSICIAN}"), "The physician"),
    (re.compile(rf"^\s*{_PATIENT}"), "The patient"),
    (re.compile(rf"^\s*{_PERSON}"), "Someone"),
    (re.compile(rf"^\s*{_PLACE}"), "The institution"),
    (re.compile(_PHYSICIAN), "the physician"),
    (re.compile(_PERSON), "someone"),
    (re.compile(_PLACE), "an institution"),
    (re.compile(_PATIENT), "the patient"),
    (re.compile(r"[ \t]+(?=[.,;])|^[\s.,;:]+(?=\S)"), ""),
)
_TENS = "one|two|three|four|five|six|seven|eight|nine"
_OLD = re.compile(
    rf"\b(?:9[1-9]|1[01]\d|ninety-(?:{_TENS}))(?=[ -]?(?:years?|yrs?|y\.?/?o)\b)"
    r"|(?<=\bage )9[1-9]\b|(?<=\bage: )(?:9[1-9]|1[01]\d)\b|(?<=\baged )(?:9[1-9]|1[01]\d)\b",
    re.IGNORECASE,
)
"""Ages above 89 identify (45 CFR 164.514(b)(2)(i)(C)); they are told as 90, as `radlet.data.pseudonyms` does."""


Names = Literal["rules", "rules_and_model"]
"""How names are found: by what stands around them, or also by a model of the language (`radlet.data.names`)."""


def remove_identifiers(text: str, names: Names = "rules") -> str:
    """Return report text without names, record numbers, dates, times, telephone numbers and addresses.

    Sentences that state an observation are never dropped.
    """
    marked = _MARK.sub(" ", text)
    for pattern, mark in _RULES:
        marked = pattern.sub(partial(_marked, mark=mark), marked)
    marked = _without_other_scripts(marked)
    if names == "rules_and_model":
        marked = _without_found_names(marked)
    marked = _OLD.sub("90", marked)
    if not _MARK.search(marked):
        return marked
    # The breaks between sentences are kept, so that the sentences without identifiers keep their form.
    return "".join(_mend(part) for part in _BREAK.split(marked)).strip()


def _marked(match: re.Match[str], mark: str) -> str:
    """Put a mark in the place of a match, unless it states an observation ("Patient: Cardiomegaly")."""
    return match[0] if find_mentions(match[0]) else match.expand(mark)


def _without_other_scripts(text: str) -> str:
    """Mark words in another script than the Latin one; a text mainly in another script is no text of ours to read."""
    found = _FOREIGN_WORDS.findall(text)
    return text if 2 * sum(map(len, found)) > len(text) else _FOREIGN_WORDS.sub(_PERSON, text)


def _without_found_names(text: str) -> str:
    from radlet.data.names import find_names  # noqa: PLC0415 - needs an extra

    marks = {"person": _PERSON, "place": _PLACE, "number": _DETAIL}
    for span in reversed(find_names(_MARK.sub("X", text))):
        stated = text[span.start : span.end]
        if not find_mentions(stated) and not _MARK.search(stated):
            text = text[: span.start] + marks[span.kind] + text[span.end :]
    return text


def _mend(sentence: str) -> str:
    if not _MARK.search(sentence):
        return sentence
    mended = sentence
    for pattern, words in _MENDS:
        mended = pattern.sub(words, mended)
    only_tells_who = _COMMUNICATION.search(sentence) and not find_mentions(mended)
    return "" if only_tells_who or not re.search(r"\w", mended) else mended
