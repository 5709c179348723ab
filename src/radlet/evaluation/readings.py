"""What a metric reads of a report: its words, its observations' states, its sides, or all that it states.

Stands between the metrics, which know no text, and the labeller of `data.observations`, which knows no metric. On
synthetic studies the same readings are made from the exact truth.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from radlet.core.labeller import Labeller
from radlet.core.records import OBSERVATIONS, Finding, Side, State
from radlet.data.findings import read_statements
from radlet.data.observations import find_mentions, label_report
from radlet.metrics.base import Reading

_BATCH = 256
"""Texts given to a labeller at once, so that a long file shows its first lines before the last is read."""


def read_reports(texts: Sequence[str], reading: Reading) -> list[Any]:
    """Return the reading of each text; equal texts are read once."""
    read = _READERS[reading]
    known: dict[str, Any] = {}
    for text in texts:
        if text not in known:
            known[text] = read(text)
    return [known[text] for text in texts]


def text_observations(text: str) -> dict[str, State]:
    """Return the labeller's states; a text without a word states nothing, not even that there is no finding."""
    return label_report(text) if text.strip() else {}


def label_texts(reports: Sequence[tuple[str, str]], labeller: Labeller) -> Iterator[tuple[str, dict[str, State]]]:
    """Yield the id of each (id, text) with the states of all 14 observations; a text without a word mentions none."""
    for start in range(0, len(reports), _BATCH):
        batch = reports[start : start + _BATCH]
        read = iter(labeller.label([text for _, text in batch if text.strip()]))
        for report_id, text in batch:
            yield report_id, next(read) if text.strip() else dict.fromkeys(OBSERVATIONS, State.UNMENTIONED)


def text_sides(text: str) -> dict[str, list[Side]]:
    """Return the sides named for each positive observation, one entry a mention."""
    sides: dict[str, list[Side]] = {}
    for mention in find_mentions(text):
        if mention.state is State.POSITIVE and mention.side is not None:
            sides.setdefault(mention.observation, []).append(mention.side)
    return sides


def truth_observations(truth: Sequence[Finding]) -> dict[str, State]:
    """Return the observations that are truly present."""
    return {finding.observation: State.POSITIVE for finding in truth}


def truth_sides(truth: Sequence[Finding]) -> dict[str, list[Side]]:
    """Return the true sides of each observation, one entry a finding.

    A finding without a side makes its observation's side undefined, which is written as bilateral: not judged.
    """
    sides: dict[str, list[Side]] = {}
    for finding in truth:
        sides.setdefault(finding.observation, []).append(finding.side or "bilateral")
    return sides


_READERS: dict[Reading, Callable[[str], Any]] = {
    "text": str,
    "observations": text_observations,
    "sides": text_sides,
    "statements": read_statements,
}
