"""Tidy a section of a report into text worth learning to write; `build` applies it to every section.

In this order: white space becomes single spaces, list numbering goes, spacing after full stops is mended, and the
placeholders that de-identification left behind (``XXXX``, ``___``, ``[**...**]``) are dealt with sentence by sentence.
A model trained on placeholders writes placeholders; a model trained on the stumps they leave writes stumps. So a
placeholder whose word is beyond doubt is replaced by it, one that can go without harm goes, and a sentence that
cannot stand without its lost words goes as a whole. The labels of a target are read after cleaning, so they
describe what the model is really asked to write.
"""

import re

_PLACEHOLDER = r"(?:\[\*\*[^\]]{0,60}\*\*\]|\bX{3,8}\b|\b_{2,20}\b|_{3,20})"
_HOLE = "\u25a1"
"""Stands for a placeholder while a sentence is mended; it occurs in no report."""

_NUMBERING = re.compile(r"(?:^|(?<=[.!?:;]\s)|(?<=[.!?]))\s*\(?\d{1,2}[.)]\s*(?=[A-Za-z\u25a1])")
_LINE_NUMBERING = re.compile(r"(?m)^[ \t]*(?:\(?\d{1,2}[.)]|[-*\u2022])[ \t]*(?=\S)")
_GLUED_STOP = re.compile(r"(?<=[a-z\u25a1])([.!?])(?=[A-Z][a-z]*[ ,.])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\u25a1\d])")
_WORD = re.compile(r"\w+")

_CERTAIN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"\b([xX])-{_HOLE}"), r"\1-ray"),
    (re.compile(rf"(?i)\bno {_HOLE} of\b"), "no evidence of"),
    (re.compile(rf"(?i)\bcostophrenic {_HOLE}"), "costophrenic angle"),
    (re.compile(rf"(?i)\blymph {_HOLE}"), "lymph nodes"),
)
"""Placeholders whose lost word is beyond doubt."""

_JOINTS = "of|in|on|to|from|with|by|for|at|than|and|or"
_VERBS = "is|are|was|were|has|have"
_HEADLESS = re.compile(rf"^(?:the |an? )?{_HOLE}(?:[ ,]+{_HOLE})*[ ,]+(?:{_JOINTS}|{_VERBS})\b", re.IGNORECASE)
"""The lost word was the subject, or what the next word hangs on."""
_DANGLING = re.compile(rf"\b(?:the|an?|no|be|been|{_JOINTS}|{_VERBS})(?: {_HOLE})+\s*(?:[.,;!?]|$)", re.IGNORECASE)
"""The lost word was what a preposition, an article or a verb leads to."""
_MOSTLY_LOST_SHARE = 0.3


def clean_text(text: str) -> str:
    """Return one section as single-spaced sentences without numbering and placeholders; may be empty.

    Cleaning what is clean changes nothing. Words other than placeholders are only ever dropped with their whole
    sentence, as the opening of this module says.
    """
    text = _LINE_NUMBERING.sub("", text.replace(_HOLE, " "))
    text = re.sub(_PLACEHOLDER, _HOLE, text)
    text = _tidy(text)
    text = _GLUED_STOP.sub(r"\1 ", _NUMBERING.sub(" ", text))
    sentences = [_mend(sentence) for sentence in _SENTENCE_END.split(_tidy(text))]
    return _tidy(" ".join(sentence for sentence in sentences if _WORD.search(sentence)))


def _mend(sentence: str) -> str:
    """Return a sentence without its placeholders, or nothing when it cannot do without them."""
    if _HOLE not in sentence:
        return sentence
    for pattern, word in _CERTAIN:
        sentence = pattern.sub(word, sentence)
    num_holes = sentence.count(_HOLE)
    if num_holes > _MOSTLY_LOST_SHARE * (num_holes + len(_WORD.findall(sentence))):
        return ""
    if _HEADLESS.search(sentence) or _DANGLING.search(sentence):
        return ""
    rest = _tidy(sentence.replace(_HOLE, " "))
    return rest[:1].upper() + rest[1:]


def _tidy(text: str) -> str:
    """Mend what joining and dropping leave: runs of white space and full stops, stops that stand alone."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([.,;!?])", r"\1", text)
    text = re.sub(r"([,;])[,;]+", r"\1", text)
    text = re.sub(r"[,;]*([.!?])(?:\s*[.,;](?!\d))+", r"\1", text)
    return text.strip(" ,;\u2022")
