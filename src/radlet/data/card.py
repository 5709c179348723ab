"""The data card of a built set: what came in, what was left out and why, and what the examples hold.

`CardCounts` gathers while the examples pass by, in memory that does not grow with their number; `build` adds what the
run directories tell. A card holds counts, names of labels and reasons: no text, id, path or pixel of a study.
"""

from collections import Counter
from typing import Any

from radlet.core.records import OBSERVATIONS, SECTIONS, SPLITS, Example, Record, State, Study
from radlet.core.tallies import Tally
from radlet.data.examples import Share
from radlet.data.sections import parse_sections

_NUM_BINS = 24


class Lengths(Record):
    """How long texts are, in words."""

    texts: int
    median: int
    p95: int
    longest: int
    bin_words: int
    """Width of a bin."""
    bins: tuple[int, ...]
    """Number of texts in each bin; the first starts at 0, the last takes all longer ones."""


class SectionCount(Record):
    """A section over the whole set."""

    studies: int
    """Studies that have it."""
    words_median: int


class LabelCount(Record):
    """A label in one split."""

    known: int
    present: int


class SourceNote(Record):
    """Where the set comes from."""

    kind: str | None
    """Name of the source in the registry; None when the ingest run does not tell."""
    terms: str | None
    """Access and licence, where the source states them."""
    pseudonymised: bool


class Flow(Record):
    """What became of the raw items."""

    refused: int
    """Items (films, rows, reports) that `ingest` refused."""
    refused_by_reason: dict[str, int]
    films: int
    items_without_any_film: int
    """Items of which nothing was left."""
    studies: int
    without_target: dict[str, dict[str, int]]
    """Reason -> split -> studies kept without a text to write."""


class CopiesOverSplits(Record):
    """Films or reports that are much the same and yet stand in different splits."""

    groups: int
    pairs: int


class Leakage(Record):
    """What was checked to stand in one split only; a set that leaks is not built."""

    patients: int
    studies: int
    films: int
    in_several_splits: int = 0
    copies: dict[str, CopiesOverSplits] | None = None
    """Check of a quality run -> copies that it found and that stay; None without such a run."""


class PriorReferences(Record):
    """How often findings, impression and caption refer to an earlier exam."""

    texts: int
    rate_before: float | None
    """Share of the texts that refer to one, as they came; None where there is no text."""
    rate_after: float | None
    """The same, as the examples have them."""
    kept: int
    """Sentences that refer to one and were left as they are."""


class DataCard(Record):
    """A built set in numbers; ``card.json``."""

    name: str
    section: str
    """The section that became the target."""
    source: SourceNote
    flow: Flow
    splits: dict[str, dict[str, int]]
    """Split -> patients, studies, films, targets."""
    sections: dict[str, SectionCount]
    observations: dict[str, dict[str, dict[str, int]]]
    """Split -> observation -> state -> targets."""
    labels: dict[str, dict[str, LabelCount]]
    """Label -> split -> counts."""
    views: dict[str, dict[str, int]]
    """View -> split -> films."""
    questions: dict[str, dict[str, int]] = {}
    """Topic of the questions ("" where the set names none) -> kind of answer -> questions."""
    prior_references: PriorReferences
    report_words: Lengths | None
    indication_words: Lengths | None
    leakage: Leakage
    quality: dict[str, Any] | None = None
    """What a quality run rejected, flagged and found twice; None without one."""
    hashes: dict[str, str]
    config: dict[str, Any]
    """How `build` was set, without folders."""
    radlet: str


class CardCounts(Tally):
    """Counts of the examples, gathered while they pass by."""

    section_words: dict[str, Counter[int]] = {}
    """Section -> words -> studies, before cleaning."""
    report_words: Counter[int] = Counter()
    indication_words: Counter[int] = Counter()
    states: dict[str, dict[str, Counter[State]]] = {}
    """Split -> observation -> state -> targets."""
    labels: dict[str, dict[str, Counter[int]]] = {}
    """Split -> label -> value -> studies."""
    views: dict[str, Counter[str]] = {}
    """View -> split -> films."""
    reasons: dict[str, Counter[str]] = {}
    """Reason -> split -> examples without a target."""
    questions: dict[str, Counter[str]] = {}
    """Topic -> kind of answer -> questions."""

    def add(self, study: Study, example: Example, share: Share, reason: str | None) -> None:
        """Count one example of a study, with what it adds to it; `reason`: why it has no target."""
        split = example.split
        if share.first:
            self._add_study(study, example)
        for name, state in example.observations.items():
            self.states.setdefault(split, {}).setdefault(name, Counter())[state] += 1
        for film in share.films:
            self.views.setdefault(example.views[film] or "unknown", Counter())[split] += 1
        if reason:
            self.reasons.setdefault(reason, Counter())[split] += 1

    def _add_study(self, study: Study, example: Example) -> None:
        """Count what all examples of a study share."""
        for name, words in _section_words(study).items():
            self.section_words.setdefault(name, Counter())[words] += 1
        for question in study.questions:
            self.questions.setdefault(question.topic or "", Counter())[question.kind] += 1
        if example.report:
            self.report_words[len(example.report.split())] += 1
        if example.indication:
            self.indication_words[len(example.indication.split())] += 1
        for name, value in example.labels.items():
            self.labels.setdefault(example.split, {}).setdefault(name, Counter())[value] += 1

    def card(
        self, summary: dict[str, Any], ingested: dict[str, Any], about: dict[str, Any], hashes: dict[str, str]
    ) -> DataCard:
        """Return the card.

        Args:
            summary: What `build` counted, for its ``summary.json``.
            ingested: The ``summary.json`` of the ingest run; {} when it has none.
            about: `name`, `section`, `source`, `config` and `radlet` of the card.
            hashes: Digests by what they are of.
        """
        numbers = {
            split: {name: row[name] for name in ("patients", "studies", "films", "targets")}
            for split, row in summary["splits"].items()
        }
        totals = {name: sum(row[name] for row in numbers.values()) for name in ("patients", "studies", "films")}
        return DataCard(
            **about,
            flow=Flow(
                refused=ingested.get("rejected", 0),
                refused_by_reason=ingested.get("rejected_by_reason", {}),
                films=totals["films"],
                items_without_any_film=ingested.get("items_without_any_film", 0),
                studies=totals["studies"],
                without_target={name: dict(counts) for name, counts in sorted(self.reasons.items())},
            ),
            splits=numbers,
            sections={
                name: _section_count(self.section_words.get(name, Counter()))
                for name in dict.fromkeys((*SECTIONS, *self.section_words))
            },
            observations={split: _by_observation(self.states[split]) for split in SPLITS if split in self.states},
            labels=_by_label(self.labels),
            views={name: dict(counts) for name, counts in sorted(self.views.items())},
            questions={topic: dict(sorted(kinds.items())) for topic, kinds in sorted(self.questions.items())},
            prior_references=PriorReferences(
                **{name: summary["prior_references"][name] for name in PriorReferences.model_fields}
            ),
            report_words=lengths(self.report_words),
            indication_words=lengths(self.indication_words),
            leakage=Leakage(**totals, copies=(summary.get("quality") or {}).get("in_several_splits")),
            quality=summary.get("quality"),
            hashes=hashes,
        )


def lengths(words: Counter[int]) -> Lengths | None:
    """Return the lengths of texts from how many texts have each number of words; None where there is no text.

    The bins reach the 99th percentile, so that one endless text does not flatten the picture.
    """
    if not words:
        return None
    width = max(1, -(-(quantile(words, 0.99) + 1) // _NUM_BINS))
    bins = Counter[int]()
    for length, texts in words.items():
        bins[min(length // width, _NUM_BINS - 1)] += texts
    return Lengths(
        texts=words.total(),
        median=quantile(words, 0.5),
        p95=quantile(words, 0.95),
        longest=max(words),
        bin_words=width,
        bins=tuple(bins[index] for index in range(max(bins) + 1)),
    )


def quantile(words: Counter[int], share: float) -> int:
    """Return the smallest length that at least `share` of the texts do not exceed; 0 of no texts."""
    passed = 0
    for length, texts in sorted(words.items()):
        passed += texts
        if passed >= share * words.total():
            return length
    return 0


def _section_words(study: Study) -> dict[str, int]:
    """Return the words of each section that the study has, before cleaning."""
    sections = {**(parse_sections(study.report) if study.report else {}), **study.sections}
    told = {name: sections.get(name, "") for name in SECTIONS} | {"caption": study.caption or ""}
    return {name: words for name, text in told.items() if (words := len(text.split()))}


def _section_count(words: Counter[int]) -> SectionCount:
    return SectionCount(studies=words.total(), words_median=quantile(words, 0.5))


def _by_observation(states: dict[str, Counter[State]]) -> dict[str, dict[str, int]]:
    return {
        name: {state.value: count for state, count in sorted(states.get(name, Counter[State]()).items())}
        for name in OBSERVATIONS
    }


def _by_label(counts: dict[str, dict[str, Counter[int]]]) -> dict[str, dict[str, LabelCount]]:
    by_split = {split: counts[split] for split in SPLITS if split in counts}
    names = dict.fromkeys(name for values in by_split.values() for name in values)
    return {
        name: {
            split: LabelCount(known=values[name].total(), present=values[name][1])
            for split, values in by_split.items()
            if name in values
        }
        for name in names
    }
