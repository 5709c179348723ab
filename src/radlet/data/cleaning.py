"""Tidy a section of a report into text worth learning to write; `build` applies it to every section.

In this order: white space becomes single spaces, list numbering goes, spacing after full stops is mended, and the
placeholders that de-identification left behind (``XXXX``, ``___``, ``[**...**]``) are dealt with sentence by sentence.
A model trained on placeholders writes placeholders; a model trained on the stumps they leave writes stumps. So

- a placeholder whose word is beyond doubt is replaced by it ("costophrenic XXXX");
- one that can go without harm goes ("No XXXX consolidation");
- a sentence that cannot stand without its lost words goes as a whole ("XXXX are normal."), unless it states or hedges
  an observation: a target silent about what the film shows would teach silence, so it stays, less its broken tail.

The labels of a target are read after cleaning, so they describe what the model is really asked to write.
"""

import re

from radlet.core.records import State
from radlet.data.observations import find_mentions

_X_RAY = re.compile(r"\b([xX])-X{4,}\b")
_PLACEHOLDER = re.compile(
    r"\[\*\*[^\]]{0,60}\*\*\]|\b(?:[A-Za-z0-9]{1,20}-)?[A-Za-z0-9]{0,3}X{4,}[a-z]{0,3}|X{4,}|_{2,}"
)
_HOLE = "\u25a1"
"""Stands for a placeholder while a sentence is mended; it occurs in no report."""

_NUMBER = r"\(?\d{1,2}[.)](?!\d)"
_NUMBERING = re.compile(rf"(?:^|(?<=[.!?:;]\s)|(?<=[^\d][.!?]))\s*+(?:{_NUMBER}\s*+)++(?=[A-Za-z{_HOLE}])")
_OPEN_ITEM = re.compile(r"(?<=[A-Za-z0-9)])[ \t]*\n\s*(?=(?:\d{1,2}[.)]|[-*\u2022])\s)")
_LINE_NUMBERING = re.compile(rf"(?m)^[ \t]*+(?:(?:{_NUMBER}|[-*\u2022](?=\s|$))[ \t]*+)++")
_GLUED_STOP = re.compile(rf"(?<=[a-z{_HOLE}])([.!?])(?=[A-Z][a-z]*[ ,.])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\u25a1\d])")
_WORD = re.compile(r"\w+")

_CERTAIN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"(?i)\bno {_HOLE} of\b"), "no evidence of"),
    (re.compile(rf"(?i)\b(costophrenic|cardiophrenic) {_HOLE}"), r"\1 angle"),
    (re.compile(rf"(?i)\blymph {_HOLE}"), "lymph nodes"),
    (re.compile(rf"(?i)\bpulmonary {_HOLE}(?= (?:is|are|and|appear)\b)"), "pulmonary vessels"),
)
"""Placeholders whose lost word is beyond doubt."""

_JOINTS = "of|in|on|to|from|with|by|for|at|than|and|or"
_VERBS = "is|are|was|were|has|have"
_HEADLESS = re.compile(
    rf"{_HOLE}[ ,]+(?:{_VERBS}|of|to)\b|^(?:the |an? )?{_HOLE}[ ,]+(?:{_JOINTS})\b"
    rf"|\b(?:{_VERBS})(?: {_HOLE})+ (?:{_JOINTS})\b",
    re.IGNORECASE,
)
"""The lost word was a subject, or what the next word hangs on."""
_DANGLING = re.compile(
    rf"(?:\s(?:the|an?|no|be|been|{_JOINTS}|{_VERBS})(?: {_HOLE})+)+(?=\s*(?:[.,;!?]|$))", re.IGNORECASE
)
"""The lost word was what a preposition, an article or a verb leads to."""
_MOSTLY_LOST_SHARE = 0.3


def clean_text(text: str) -> str:
    """Return one section as single-spaced sentences without numbering and placeholders; may be empty.

    Cleaning what is clean changes nothing. Words other than placeholders are only ever dropped with their whole
    sentence, as the opening of this module says.
    """
    text = text.replace(_HOLE, " ")
    # What one pass joins may need another; nearly all texts are still after the first.
    while (cleaned := _clean_once(text)) != text:
        text = cleaned
    return text


def _clean_once(text: str) -> str:
    text = _LINE_NUMBERING.sub("", _OPEN_ITEM.sub(".\n", text))
    text = _tidy(_PLACEHOLDER.sub(_HOLE, _X_RAY.sub(r"\1-ray", text)))
    text = _tidy(_GLUED_STOP.sub(r"\1 ", _NUMBERING.sub(" ", text)))
    sentences = [_mend(sentence) for sentence in _SENTENCE_END.split(text)]
    return _tidy(" ".join(sentence for sentence in sentences if _WORD.search(sentence)))


def _mend(sentence: str) -> str:
    """Return a sentence without its placeholders, or nothing when it cannot do without them."""
    if _HOLE not in sentence:
        return sentence
    for pattern, word in _CERTAIN:
        sentence = pattern.sub(word, sentence)
    if _cannot_stand(sentence) and not _states_something(sentence):
        return ""
    sentence = _DANGLING.sub("", sentence)
    rest = _tidy(sentence.replace(_HOLE, " "))
    return rest[:1].upper() + rest[1:]


def _cannot_stand(sentence: str) -> bool:
    num_holes = sentence.count(_HOLE)
    mostly_lost = num_holes > _MOSTLY_LOST_SHARE * (num_holes + len(_WORD.findall(sentence)))
    return mostly_lost or bool(_HEADLESS.search(sentence) or _DANGLING.search(sentence))


def _states_something(sentence: str) -> bool:
    return any(mention.state is not State.NEGATIVE for mention in find_mentions(sentence))


def _tidy(text: str) -> str:
    """Mend what joining and dropping leave: runs of white space and full stops, stops that stand alone."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([.,;!?])", r"\1", text)
    text = re.sub(r"([,;])[,;]+", r"\1", text)
    text = re.sub(r"[,;]*([.!?])(?:\s*[.,;](?!\d))+", r"\1", text)
    return text.strip(" ,;\u2022")
