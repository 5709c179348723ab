"""The guard: what a rewritten text may not change against the text it was made from.

Compared are what both state (`llm.statements`), their numbers, sides, degrees, denials and words. Each difference
has a reason, one word for the counts. The guard is strict rather than clever: a faithful text that it cannot prove
faithful is refused too, and the rule's result stands.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from radlet.data.priors import find_prior_references, remove_prior_references
from radlet.llm.numbers import ENGLISH_WORDS, find_numbers
from radlet.llm.statements import (
    Statement,
    count_hedges,
    count_negations,
    count_severities,
    count_sides,
    find_statements,
)

Reasons = tuple[str, ...]

_SMALL_WORDS = (
    "a an the of in on at to and or with is are was were be been being there this that these those has have had it its"
    " as by for from which also seen noted present identified evident visualized demonstrated shown observed appear"
    " appears appearing visible show shows remain remains no not without left right both"
)
_GLUE = frozenset([*_SMALL_WORDS.split(), *ENGLISH_WORDS])
"""Words that carry no finding of their own, or are compared by rules of their own."""
_COMPARISON_WORDS = (
    "prior previous previously earlier last comparison compared comparing exam examination study film radiograph since"
    " interval change changed unchanged stable new again increased decreased improved improvement worsened resolved"
    " persistent appearance significant significantly slightly now still continue continued than so similar size"
)
_COMPARING = frozenset(_COMPARISON_WORDS.split())
_WORD = re.compile(r"[a-z\u00df-\u00ff]+")
_LEAST_LIKE = 0.7
"""Share of letters that a mended word has in common with the broken one."""


def compare_statements(source: set[Statement], output: set[Statement]) -> Reasons:
    """Return the reasons why what `output` states is not what `source` states."""
    reasons: set[str] = set()
    before, after = _by_finding(source), _by_finding(output)
    if after.keys() - before.keys():
        reasons.add("observation_added")
    if before.keys() - after.keys():
        reasons.add("observation_lost")
    for finding in before.keys() & after.keys():
        reasons |= _differences(before[finding], after[finding])
    return tuple(sorted(reasons))


def compare_words(source: str, output: str) -> Reasons:
    """Return the reasons why the words of `output` are not those of `source`, small words left aside."""
    before, after = _content(source), _content(output)
    return (*(["words_added"] if after - before else []), *(["words_lost"] if before - after else []))


def check_rewrite(source: str, output: str) -> Reasons:
    """Return the reasons why a text does not say what its source says; none when it does."""
    if not _WORD.search(output.lower()):
        return ("empty",)
    reasons = set(compare_statements(find_statements(source), find_statements(output)))
    reasons |= set(compare_words(source, output))
    if find_numbers(source) != find_numbers(output):
        reasons.add("number_changed")
    if count_sides(source) != count_sides(output):
        reasons.add("side_changed")
    if count_severities(source) != count_severities(output):
        reasons.add("severity_changed")
    if count_negations(source) != count_negations(output):
        reasons.add("negation_changed")
    if count_hedges(source) != count_hedges(output):
        reasons.add("certainty_changed")
    return tuple(sorted(reasons))


def check_present_state(source: str, output: str) -> Reasons:
    """Return the reasons why a text is not its source as the present state.

    It must say what the source says, or what the rules make of the source, where words of comparison have gone; and
    nothing of an earlier exam may be left. Empty is right for a source that states nothing but a comparison.
    """
    if not output and find_prior_references(source) and not (find_statements(source) or find_numbers(source)):
        return ()
    left = ("prior_reference_left",) if find_prior_references(output) else ()
    candidates = [_check_without_comparison(source, reference, output) for reference in _present_readings(source)]
    return tuple(sorted({*min(candidates, key=len), *left}))


def check_mended(source: str, output: str) -> Reasons:
    """Return the reasons why a text is not its source with broken words mended.

    Words may be joined, parted, completed and spelt anew; none may come, go or become another, and what could be read
    before must be read the same after.
    """
    if not _WORD.search(output.lower()):
        return ("empty",)
    reasons = _check_blocks(source.split(), output.split())
    if find_numbers(source) != find_numbers(output):
        reasons.add("number_changed")
    if count_sides(source) - count_sides(output):
        reasons.add("side_changed")
    if count_severities(source) - count_severities(output):
        reasons.add("severity_changed")
    if count_negations(source) > count_negations(output):
        reasons.add("negation_changed")
    before, after = find_statements(source), find_statements(output)
    known = {statement.finding for statement in before}
    reasons |= set(compare_statements(before, {statement for statement in after if statement.finding in known}))
    return tuple(sorted(reasons))


def _present_readings(source: str) -> list[str]:
    ruled = remove_prior_references(source).text
    return [source, ruled] if ruled and ruled != source else [source]


def _check_without_comparison(source: str, reference: str, output: str) -> set[str]:
    """Check against one reading of the source; words that compare may go, all others stay."""
    reasons = set(check_rewrite(reference, output)) - {"words_added", "words_lost"}
    if _content(output) - _content(source):
        reasons.add("words_added")
    if _content(_without_comparison(reference)) - _COMPARING - _content(output):
        reasons.add("words_lost")
    return reasons


def _without_comparison(text: str) -> str:
    """Return a text without the places that refer to an earlier exam."""
    for place in reversed(find_prior_references(text)):
        text = f"{text[: place.start]} {text[place.end :]}"
    return text


def _check_blocks(source: list[str], output: list[str]) -> set[str]:
    """Compare word by word: each stretch that differs must be the same letters, but for some."""
    reasons: set[str] = set()
    matcher = SequenceMatcher(None, [word.lower() for word in source], [word.lower() for word in output], False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        before, after = _letters(source[start:end]), _letters(output[other_start:other_end])
        if kind == "equal" or before == after:
            continue
        if not before or not after:
            reasons.add("words_lost" if before else "words_added")
        elif SequenceMatcher(None, before, after, False).ratio() < _LEAST_LIKE or _grown(before, after):
            reasons.add("words_changed")
    return reasons


def _grown(before: str, after: str) -> bool:
    """Tell whether more letters came or went than a broken word lacks."""
    return abs(len(before) - len(after)) > max(4, len(before) // 3)


def _letters(words: Iterable[str]) -> str:
    return "".join(character for character in "".join(words).lower() if character.isalnum())


def _content(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _GLUE and len(word) > 1}


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _by_finding(statements: set[Statement]) -> dict[str, set[Statement]]:
    found: dict[str, set[Statement]] = {}
    for statement in statements:
        found.setdefault(statement.finding, set()).add(statement)
    return found


def _differences(before: set[Statement], after: set[Statement]) -> set[str]:
    """Compare two texts in one finding, state by state."""
    if {each.state for each in before} != {each.state for each in after}:
        return {"negation_changed"}
    reasons: set[str] = set()
    for state in {each.state for each in before}:
        old, new = ([each for each in side if each.state is state] for side in (before, after))
        if _sides(old) != _sides(new):
            reasons.add("side_changed")
        elif _degrees(old) != _degrees(new):
            reasons.add("severity_changed")
    return reasons


def _sides(statements: list[Statement]) -> set[str]:
    """Return the sides that are told; a mention without side repeats one that has it."""
    return {side for each in statements for side in _each_side(each)}


def _each_side(statement: Statement) -> tuple[str, ...]:
    if statement.side == "bilateral":
        return "left", "right"
    return (statement.side,) if statement.side else ()


def _degrees(statements: list[Statement]) -> set[tuple[str, str]]:
    """Return degree and side together, so that two sides cannot trade theirs."""
    return {(each.severity, side) for each in statements if each.severity for side in _each_side(each) or ("",)}
