"""Find what a report says of an earlier exam, and rewrite a text as the present state; an option of `build`.

A model that sees one exam and learns from "Unchanged small left effusion" learns to invent earlier exams. Words of
comparison go ("Small left effusion."), a sentence that only compares goes as a whole ("No interval change."), and what
has resolved is denied ("No effusion."). A guard reads every sentence before and after: where the observations, their
sides or the numbers of the present would differ, the sentence stays as it was and is counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

from radlet.core.records import Side, State
from radlet.core.tallies import Tally
from radlet.data.observations import find_mentions, label_report
from radlet.data.prior_lexicon import (
    BETWEEN,
    CHANGE_NOUN,
    FINDING,
    FUTURE,
    MANNER,
    PRIOR_EXAM,
    REFERENCE,
    SEEN,
    STRUCTURE,
)

PriorKind = Literal["prior_exam", "unchanged", "new", "resolved", "changed", "seen_before"]
Outcome = Literal["rewritten", "dropped", "kept"]

_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b\d\.)\s+(?=[A-Z\d])|\n+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"\w")
_MAX_SENTENCE = 1000
"""Characters of a sentence that is rewritten; a longer one is text without stops, left so that time is bounded."""
_STAYS = r"(?:unchanged|stable|similar|improved|worsened|worse|better|larger|smaller|progressed|as before|not changed)"
_BE = r"(?:is|are|was|were|appears?|remains?|has been|have been|has|have|looks?)"
_RESPECT = (
    r"(?: in (?:the )?(?:size|appearance|position|extent|contours?|configuration|interval)"
    r"(?:(?:,| and|,? or) (?:size|appearance|position|extent|contours?|configuration))?)?"
)
_END = r"(?=\s*(?:[.,;]|$))"


@dataclass(frozen=True)
class PriorReference:
    """One place of a text that speaks of an earlier exam; `start` and `end` are character offsets into the text."""

    kind: PriorKind
    start: int
    end: int


@dataclass(frozen=True)
class Rewrite:
    """A text as the present state, and what became of each sentence that referred to an earlier exam."""

    text: str
    num_sentences: int
    outcomes: tuple[Outcome, ...]


def find_prior_references(text: str) -> list[PriorReference]:
    """Return every reference to an earlier exam, in the order of the text.

    Advice ("recommend follow-up to document stability") and what every report tells of the past ("prior surgery") are
    none; that there is no earlier exam to compare with is one, since no film shows it.
    """
    return [
        PriorReference(cast("PriorKind", match.lastgroup), match.start() + start, match.end() + start)
        for start, sentence in _sentences(text)
        for match in _references(sentence)
    ]


def remove_prior_references(text: str) -> Rewrite:
    """Rewrite a text as the present state.

    The 14 observations that are read in it, their sides, and the numbers of the present stay as they were. Rewriting
    what was rewritten changes nothing.
    """
    outcomes: list[Outcome] = []
    num_sentences, first = 0, True
    rewritten = text
    while True:
        sentences = [sentence for _, sentence in _sentences(rewritten)]
        done = [_rewrite(sentence) for sentence in sentences]
        if first:
            num_sentences, first = len(sentences), False
            outcomes = [outcome for _, outcome in done if outcome]
        if not any(outcome in ("rewritten", "dropped") for _, outcome in done):
            break
        rewritten = " ".join(sentence for sentence, _ in done if sentence)
    # Sentences were compared one by one; what joining them anew could make of them is checked here.
    if rewritten != text and not _same_reading(text, rewritten):
        return Rewrite(text, num_sentences, tuple("kept" for _ in outcomes))
    return Rewrite(rewritten, num_sentences, tuple(outcomes))


def leave_prior_references(text: str) -> Rewrite:
    """Return a text as it is, with its sentences counted as `remove_prior_references` counts them."""
    sentences = [sentence for _, sentence in _sentences(text)]
    return Rewrite(text, len(sentences), tuple("kept" for sentence in sentences if _references(sentence)))


class PriorTally(Tally):
    """Counts how often texts refer to an earlier exam, before and after."""

    counts: Counter[str] = Counter()

    def add(self, before: str, after: Rewrite) -> None:
        """Count one section of one report."""
        self.counts.update(
            texts=1,
            sentences=after.num_sentences,
            sentences_referring=len(after.outcomes),
            texts_before=bool(after.outcomes),
            texts_after=bool(find_prior_references(after.text)),
            rewritten=after.outcomes.count("rewritten") * (after.text != before),
            dropped=after.outcomes.count("dropped"),
            kept=after.outcomes.count("kept"),
            emptied=not after.text,
        )

    def summary(self) -> dict[str, int | float | None]:
        """Return the counts as JSON types; a rate is the share of texts that refer to an earlier exam."""
        counts = self.counts
        rates = {
            f"rate_{when}": round(counts[f"texts_{when}"] / counts["texts"], 4) if counts["texts"] else None
            for when in ("before", "after")
        }
        names = ("texts", "sentences", "sentences_referring", "rewritten", "dropped", "kept", "emptied")
        return {**rates, **{name: counts[name] for name in names}}


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if text[start : match.start()].strip():
            yield start, text[start : match.start()]
        start = match.end()
    if text[start:].strip():
        yield start, text[start:]


def _references(sentence: str) -> list[re.Match[str]]:
    found = list(REFERENCE.finditer(sentence))
    advice = FUTURE.search(sentence) if found else None
    if advice is None:
        return found
    return [match for match in found if match.lastgroup == "prior_exam" or match.end() <= advice.start()]


def _rewrite(sentence: str) -> tuple[str, Outcome | None]:
    """Return a sentence as the present state, and what became of it; empty when nothing of the present is in it."""
    if not _references(sentence):
        return sentence, None
    if len(sentence) > _MAX_SENTENCE:
        return sentence, "kept"
    best = sentence
    while (following := _pass(best)) != best and len(_references(following)) < len(_references(best)):
        best = following
    if best == sentence or not _same_reading(sentence, best) or not _same_numbers(sentence, best):
        return sentence, "kept"
    return best, "rewritten" if best else "dropped"


def _pass(sentence: str) -> str:
    body, stop = _unended(sentence)
    changed = body
    for pattern, replacement in _RULES:
        changed = pattern.sub(replacement, changed)
    if changed == body:
        return sentence
    changed = _tidied(changed, body)
    return changed + (stop or ".") if _says_something(changed) else ""


def _unended(sentence: str) -> tuple[str, str]:
    body = sentence.strip()
    stripped = body.rstrip(".!? ")
    return stripped, body[len(stripped) :].strip()[:1]


def _says_something(changed: str) -> bool:
    """Tell whether words are left that state the present, rather than name what every chest has."""
    if not _WORD.search(changed):
        return False
    if find_mentions(changed):
        return True
    words = re.sub(_EMPTY, " ", STRUCTURE.sub(" ", changed), flags=re.IGNORECASE)
    return bool(re.search(r"[A-Za-z]{3}", words))


_EMPTY = (
    r"\b(?:the|and|are|was|were|there|has|have|been|with|for|from|but|both|bilateral|left|right|overall|appears?"
    r"|present|seen|noted|acute|interval|significant|evidence|upper|lower|normal(?= appearance)|allowing|differences?"
    r"|technique|available|patient|again|otherwise|since|significantly|grossly|which|not|that|remains?|also|exams?|no"
    r"|films?|studies|basilar|bibasilar|comparisons?|previous|prior|compared|change[sd]?)\b"
)
"""Words that state nothing of the present without others."""


def _tidied(text: str, before: str) -> str:
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\(\s*\)", "", text)
    text = re.sub(r"(?i)\b(?:and|but) (?=with(?:out)?\b)", "", text)
    text = re.sub(r"\s+([.,;:)])", r"\1", text)
    text = re.sub(r"([,;])(?:\s*[,;])+", r"\1", text)
    text = re.sub(r"(?:[,;:]|\s(?:and|but|or|with|which|that|in|of|to|the|an?))+\s*$", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:[,;:.]|(?:and|but|or|of|in|with|which)\s)+\s*", "", text.strip(), flags=re.IGNORECASE)
    text = re.sub(r"(\d[.)])\s*[,;]\s*", r"\1 ", text).strip()
    pairs = set(re.findall(r"\b(an? \w+)", before, flags=re.IGNORECASE))
    text = re.sub(
        r"\b(an?) (\w+)", lambda m: m.group() if m.group() in pairs else _article(m), text, flags=re.IGNORECASE
    )
    return re.sub(r"^(\d{1,2}[.)] )?([a-z])", lambda m: (m[1] or "") + m[2].upper(), text)


def _article(match: re.Match[str]) -> str:
    article = "an" if re.match(r"(?i)[aeio]|u(?!n(?:i[^n]|e))", match[2]) else "a"
    return f"{article.capitalize() if match[1][0] == 'A' else article} {match[2]}"


def _deny(match: re.Match[str]) -> str:
    subject = re.sub(r"(?i)^(?:the|an?|this|these)\s+", "", match["subject"].strip())
    subject = re.sub(rf"(?i)\b(?:previously|formerly)(?: {SEEN})? ", "", subject)
    return f"No {subject[:1].lower()}{subject[1:]}" if subject[1:2].islower() else f"No {subject}"


def _present(match: re.Match[str]) -> str:
    """Replace what is said to be stable by its presence, unless it is a part that every chest has."""
    if match["be"].lower() not in ("has", "have") and _GROWN.search(
        match[0]
    ):  # "the AP diameter is increased" tells a state
        return match[0]
    subject = match["subject"].strip(" ,")
    finding = any(mention.state is not State.NEGATIVE for mention in find_mentions(subject))
    verb = re.search(rf"(?i)\b(?:{_BE}|there|no|without)\b", subject)
    if verb or (STRUCTURE.search(subject) and not finding):
        return subject
    plural = match["be"].lower() in ("are", "were", "have", "have been", "appear", "remain")
    return f"{subject} {'are' if plural else 'is'} present"


_GROWN = re.compile(r"(?i)(?:in|de)creased|enlarged|grown")
_PREP = r"(?:(?:since|from|than|to|on|with|in|as|per|of|at) )"
_Replacement = str | Callable[[re.Match[str]], str]


def _rule(pattern: str, replacement: _Replacement = "") -> tuple[re.Pattern[str], _Replacement]:
    return re.compile(pattern, re.IGNORECASE), replacement


_RULES = (
    _rule(rf"^(?P<subject>[^,;]{{3,80}}?) (?:has|have|is|are) (?:now |since |completely )?(?:resolved"
    rf"|cleared){_END}", _deny),
    _rule(rf"^(?P<subject>[^,;]{{3,80}}?) (?:is|are) no longer {SEEN}{_END}", _deny),
    _rule(r"\bno residual\b", "no"),
    _rule(
        rf"^(?:there (?:is|are|has been|have been) )?(?:(?:interval|complete) )*resolution of"
        rf" (?:the )?(?:previously {SEEN} )?",
        "no ",
    ),
    _rule(
        r"^(?:there (?:is|are) )?no (?:(?:direct|prior|previous|recent|outside|comparison"
        r"|chest)s? ?)+(?:[a-z-]{3,12} ?)?"
        r"(?:(?:is|are|were) )?(?:currently )?(?:available)? ?(?:for (?:direct )?comparison)?$"
    ),
    _rule(
        r"^(?:correlat\w+|(?:prior |previous )?comparison)\b[a-z ,-]{0,60}"
        r"(?:prior|previous|old|would be|could be|recommended)[a-z ,-]{0,60}$"
    ),
    _rule(
        rf",? (?:with|and|showing) (?:(?:interval|slight|some|mild|significant|no|further"
        rf"|partial) )*{CHANGE_NOUN}{_END}"
    ),
    _rule(r" ?\b(?:from|to|with|since) comparison(?=[.,;]|$)"),
    _rule(
        rf",? ?\b(?:when |as )?(?:in comparison|compar(?:ed|ison|ing)(?: is made)?) (?:to|with) (?:{PRIOR_EXAM}"
        rf"|[^,.;]{{0,60}})"
    ),
    _rule(rf",? ?\b(?:(?:which|that) (?:is|are|was|were) )?not (?:\w{{1,12}}ly )?{SEEN} (?:on|in) {PRIOR_EXAM}"),
    _rule(rf",? ?\b(?:in )?(?:the )?absence of {PRIOR_EXAM}"),
    _rule(rf",? ?\b(?:(?:there (?:is|are) )?no )?{_PREP}?{_PREP}?{PRIOR_EXAM}(?: (?:is"
    rf"|are) available)?(?= ?(?:[.,;)]|$|and\b|with\b|without\b|but\b|which\b|there\b|compatible\b))"),
    _rule(rf"\bsince (?:(?:19|20)\d\d|\d{{1,2}}/\d{{1,2}}(?:/\d{{2,4}})?){_END}"),
    _rule(rf"^(?:once )?again,? {SEEN} (is|are)\b", r"there \1"),
    _rule(rf"\b(?:is|are|was|were) (?:once )?again {SEEN} (?=to|with)", r"is "),
    _rule(r"^redemonstrated (is|are)\b", r"there \1"),
    _rule(r"\b(is|are) (?:again )?re-?demonstrated\b", r"\1 seen"),
    _rule(r"\b(?:there (?:is|are) )?re-?demonstration of (?:the |an? )?"),
    _rule(r",? ?\b(?:once )?again\b,? ?", " "),
    _rule(rf"\b(?:previously|formerly)(?: {SEEN})? (?=[a-z])"),
    _rule(rf",? ?\bas (?:{SEEN} )?(?:before|previously(?: {SEEN})?)\b"),
    _rule(
        rf"\b(?:no|without)(?: (?:significant|definite|substantial|appreciable|interval|gross|major|large)){{0,3}}"
        rf" (?:interval )?changes?(?: in (?:the )?(?:appearance of (?:the )?|size of (?:the )?)?| of (?:the )?"
        rf"|{_END}| {_PREP}|$)"
    ),
    _rule(
        rf"\b(?:there (?:is|are|has been|have been) )?(?:an? )?{MANNER}(?:(?:stable|slight|mild|interval"
        rf"|significant|marked"
        rf"|unchanged|continued|minimal|moderate|similar|progressive|partial|near|(?:near[- ])?complete)(?:,)? )*"
        rf"(?:{CHANGE_NOUN}(?: ?/ ?{CHANGE_NOUN})?|persistence|stability) (?:in|of) (?:the )?(?:(?:size|extent"
        rf"|amount) of (?:the )?)?"
        rf"(?=[a-z /-]{{0,60}}{FINDING})"
    ),
    _rule(r"\b(?:stable|unchanged|similar|grossly stable)(?:[- ]appearing| (?:in )?appearance of(?: the)?) ?"),
    _rule(r",? ?\bin the interval,? ?", " "),
    _rule(r"\b(has|have) (?:since )?(?:developed"
    r"|appeared)\b", lambda m: "is seen" if m[1].lower() == "has" else "are seen"),
    _rule(rf"(?<!short )(?<!short term )\binterval (?!follow|radiograph|imaging|exam|study|{CHANGE_NOUN})(?=[a-z])"),
    _rule(
        rf"^(?P<subject>(?:\d{{1,2}}[.)] )?[^,;]{{3,120}}?),? (?P<be>{_BE}) {MANNER}(?:{_STAYS}|increased"
        rf"|decreased|enlarged|grown)"
        rf"{_RESPECT}{_END}",
        _present,
    ),
    _rule(rf"\b(?:is|are) {_STAYS} and (?=(?:likely |probably )?(?:represents?|may|could)\b)"),
    _rule(rf"[,;]? ?\b(?:and |but |which (?:is|are|appears?|remains?) )?{MANNER}{_STAYS}{_RESPECT}{_END}"),
    _rule(r"\bremains\b(?! of)(?= [a-z])", "is"),
    _rule(r"\bremain\b(?= [a-z])", "are"),
    _rule(r"\bpersists(?= (?:in|at)\b|$)", "is present"),
    _rule(r"\bpersist(?= (?:in|at)\b|$)", "are present"),
    _rule(r"(?<=[a-z] )re-?demonstrated(?=,|$)", "seen"),
    _rule(r"\bstill (?=present|seen|noted|visible|evident|there|enlarged)"),
    _rule(
        rf"\b{MANNER}(?:(?:stable|unchanged|persistent(?:ly)?|continued|continues to|new(?:ly)?|improved"
        rf"|improving|worsened|worsening"
        rf"|recurrent|resolving|pre-?existing|enlarging|growing|(?:in|de)creasing|re-?demonstrated)(?:,| and"
        rf"| or| but|/)? )+(?=[a-z0-9])"
    ),
    _rule(rf"\b(?:in|de)creased (?=(?:in size and )?{BETWEEN}{FINDING}\b)"),
    _rule(rf"\b(?:in|de)creased (?:size|amount|extent) of (?:the )?(?=[a-z ]{{0,40}}{FINDING})"),
)  # fmt: skip


def _same_reading(before: str, after: str) -> bool:
    return label_report(before) == label_report(after) and _sides(before) == _sides(after)


def _sides(text: str) -> set[tuple[str, State, Side | None]]:
    return {(mention.observation, mention.state, mention.side) for mention in find_mentions(text)}


def _same_numbers(before: str, after: str) -> bool:
    """Tell whether no number is lost but those of earlier exams, and none is new."""
    present = re.sub(rf"(?i)\b(?:{PRIOR_EXAM})", " ", before)
    kept, numbers = Counter(_NUMBER.findall(after)), Counter(_NUMBER.findall(present))
    if not after:
        return not _NUMBER.search(re.sub(r"^\s*\d{1,2}[.)]", "", present))
    return kept == numbers
