"""Compare a text with the labels that came with its study, whatever names the source gives them."""

import re
from collections.abc import Mapping

from radlet.core.records import State
from radlet.llm.guard import compare_words
from radlet.llm.numbers import find_numbers
from radlet.llm.statements import find_statements

_ALLOWED = (
    "no evidence of finding findings film chest radiograph x-ray lungs lung focal acute definite any signs sign"
    " abnormality nor"
)
"""Words that a text from labels may have beside theirs."""


def plain_name(name: str) -> str:
    """Return the name of a label as words."""
    return re.sub(r"[_\s]+", " ", name).strip().lower()


def finding_of(name: str) -> str | None:
    """Return the finding that a label's name states, None when the lexicons do not know it."""
    stated = {statement.finding for statement in find_statements(plain_name(name)) if statement.state is State.POSITIVE}
    return stated.pop() if len(stated) == 1 else None


def compare_labels(labels: Mapping[str, int], text: str) -> tuple[str, ...]:
    """Return the reasons why a text and the labels of its study disagree, as far as their names are understood."""
    present = {finding for name, value in labels.items() if value == 1 and (finding := finding_of(name))}
    absent = {finding for name, value in labels.items() if value == 0 and (finding := finding_of(name))} - present
    stated = {each.finding for each in find_statements(text) if each.state is not State.NEGATIVE}
    positive = {each.finding for each in find_statements(text) if each.state is State.POSITIVE}
    return ("labels_disagree",) if present - stated or absent & positive else ()


def check_text_of_labels(present: list[str], absent: list[str], text: str) -> tuple[str, ...]:
    """Return the reasons why a text says more, less or other than a list of labels."""
    reasons: set[str] = set()
    statements = find_statements(text)
    named = {finding_of(name) for name in present} - {None}
    denied = {finding_of(name) for name in absent} - {None}
    affirmed = {each.finding for each in statements if each.state is not State.NEGATIVE}
    negated = {each.finding for each in statements if each.state is State.NEGATIVE}
    words = f" {re.sub(r'[^a-z]+', ' ', text.lower())} "
    unread = [plain_name(name) for name in present if finding_of(name) is None]
    if affirmed - named or negated - denied - named:
        reasons.add("observation_added")
    if named - affirmed - negated or any(f" {re.sub(r'[^a-z]+', ' ', name)} " not in words for name in unread):
        reasons.add("observation_lost")
    if named & negated or denied & affirmed or any(each.state is State.UNCERTAIN for each in statements):
        reasons.add("negation_changed")
    if any(each.side for each in statements):
        reasons.add("side_changed")
    if any(each.severity for each in statements):
        reasons.add("severity_changed")
    if find_numbers(text):
        reasons.add("number_changed")
    known = " ".join([*map(plain_name, [*present, *absent]), _ALLOWED])
    reasons |= set(compare_words(known, text)) & {"words_added"}
    return tuple(sorted(reasons))
