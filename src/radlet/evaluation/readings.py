"""What a metric reads of a report: its words, its observations' states, its sides, or all that it states.

Stands between the metrics, which know no text, and the labeller of `data.observations`, which knows no metric. On
synthetic studies the same readings are made from the exact truth.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from radlet.core.console import Progress
from radlet.core.labeller import Labeller
from radlet.core.records import OBSERVATIONS, Finding, Side, State
from radlet.data.findings import read_statements
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.observations import find_mentions, label_report
from radlet.data.priors import find_prior_references
from radlet.metrics.base import PlacedStatements, Reading

if TYPE_CHECKING:
    from radlet.evaluation.scorers.loading import Scorers

_WORD = re.compile(r"\S+")
_BATCH = 256
"""Texts given to a labeller at once, so that a long file shows its first lines before the last is read."""


class Readings:
    """Readings of reports, each text read once in each way.

    Args:
        labeller: What reads the observations; all else is always read by rules.
        progress: Shows how far a labeller with learned weights is; none: it is not shown.
        scorers: The models of metrics that run one; none: there is no such metric.
    """

    def __init__(
        self,
        labeller: Labeller | None = None,
        progress: Progress | None = None,
        scorers: "Scorers | None" = None,
    ) -> None:
        self.labeller, self.scorers = labeller or RuleLabeller(), scorers
        self._progress = progress or Progress(quiet=True)
        self._known: dict[Reading, dict[str, Any]] = {}

    @property
    def labeller_sha256(self) -> str | None:
        """Digest of the labeller's weights, where it has any."""
        return getattr(self.labeller, "sha256", None)

    def of(self, texts: Sequence[str], reading: Reading) -> list[Any]:
        """Return the reading of each text."""
        known = self._known.setdefault(reading, {})
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if reading == "observations":
            known.update(self._observations(new))
        else:
            known.update((text, _READERS[reading](text)) for text in new)
        return [known[text] for text in texts]

    def _observations(self, texts: Sequence[str]) -> Iterator[tuple[str, dict[str, State]]]:
        """Yield each text with its states; one without a word states nothing, not even that there is no finding."""
        labelled = label_texts([(text, text) for text in texts], self.labeller)
        for text, states in self._progress.track(labelled, "reading reports", len(texts)):
            yield text, states if text.strip() else {}


def read_reports(texts: Sequence[str], reading: Reading) -> list[Any]:
    """Return the reading of each text by the rules; equal texts are read once."""
    return Readings().of(texts, reading)


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


def place_statements(text: str) -> PlacedStatements:
    """Return what a text states, each with the number of words that stand before it."""
    starts = [match.start() for match in _WORD.finditer(text)]
    statements = read_statements(text)
    return PlacedStatements(len(starts), statements, [bisect_left(starts, each.start) for each in statements])


def refers_to_prior(text: str) -> bool:
    """Tell whether a text refers to an earlier exam."""
    return bool(find_prior_references(text))


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
    "sides": text_sides,
    "statements": read_statements,
    "placed_statements": place_statements,
    "priors": refers_to_prior,
}
