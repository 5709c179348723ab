"""What one worker of `build` does: make the examples of one row group of the studies, and count what it made.

A shard leaves two files in the run's journal, the report last; a shard that has its report is done and is passed over
when a killed run goes on. The examples of all shards, one after the other, are those of the studies in their order.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor
from pathlib import Path
from typing import Any

from radlet.core.records import SPLITS, Example, Record, Study
from radlet.core.runs import write_atomically
from radlet.core.tallies import Tally
from radlet.data.assembly import ExampleSettings, make_examples, missing_target
from radlet.data.card import CardCounts
from radlet.data.examples import Share, shares
from radlet.data.manifests import STUDIES, read_records, write_records
from radlet.data.priors import PriorTally
from radlet.data.quality.selection import read_selection
from radlet.data.structured import lay_over
from radlet.data.supervision import Poisoned


@dataclass(frozen=True, kw_only=True)
class BuildShard:
    """One row group of the studies and where its examples go.

    Attributes:
        settings: How a study becomes an example.
        seed: Decides splits that nobody published.
        ingest: Run directory of the studies.
        selection: File that tells which of their films stay out; None lets all through.
        structure: Run directory of texts that take the place of theirs; None leaves all as they are.
        images_dir: Folder that the studies' image paths are relative to, as the examples shall name it.
        journal: Folder of the run's shards.
        index: Of the row group.
    """

    settings: ExampleSettings
    seed: int
    ingest: Path
    selection: Path | None
    structure: Path | None
    images_dir: str
    journal: Path
    index: int

    @property
    def examples(self) -> Path:
        """The examples of this shard."""
        return self.journal / f"{self.index:06d}.parquet"

    @property
    def report(self) -> Path:
        """What was counted and listed; written last."""
        return self.journal / f"{self.index:06d}.json"


class SplitCounts(Tally):
    """Counts of the examples of one split; patients are counted over all shards together."""

    numbers: Counter[str] = Counter()
    target_words: Counter[int] = Counter()

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON types."""
        words = self.target_words
        mean = sum(length * texts for length, texts in words.items()) / max(words.total(), 1)
        return {
            **{name: self.numbers[name] for name in ("studies", "films", "targets")},
            "target_words_mean": round(mean, 1) if words else None,
            "target_words_p95": percentile(words, 0.95) if words else None,
        }


class ShardCounts(Tally):
    """Everything that `build` counts, gathered while the examples pass by."""

    splits: dict[str, SplitCounts] = {}
    without_target: Counter[str] = Counter()
    """Reason -> examples."""
    rejected: Counter[str] = Counter()
    """Reason -> studies of which no example could be made."""
    known: dict[str, Counter[str]] = {}
    """Label -> split -> studies of which it is known."""
    present: dict[str, Counter[str]] = {}
    priors: PriorTally = PriorTally()
    card: CardCounts = CardCounts()

    def add(self, study: Study, example: Example, share: Share, reason: str | None) -> None:
        """Count one example of a study, with what it adds to it; `reason`: why it has no target."""
        own = self.splits.setdefault(example.split, SplitCounts())
        own.numbers.update(studies=share.first, films=len(share.films), targets=example.target is not None)
        if example.target:
            own.target_words[len(example.target.split())] += 1
        if reason:
            self.without_target[reason] += 1
        for name, value in example.labels.items() if share.first else ():
            self.known.setdefault(name, Counter())[example.split] += 1
            self.present.setdefault(name, Counter())[example.split] += value
        self.card.add(study, example, share, reason)

    def summary(self, patients: Mapping[str, int]) -> dict[str, Any]:
        """Return the counts as JSON types; a prevalence is a share of the studies whose label is known.

        Args:
            patients: ``split -> number of patients``.
        """
        splits = {split: self.splits.get(split, SplitCounts()) for split in SPLITS}
        return {
            "splits": {split: {"patients": patients[split], **own.summary()} for split, own in splits.items()},
            "targets": sum(own.numbers["targets"] for own in splits.values()),
            "without_target_by_reason": dict(self.without_target.most_common()),
            "rejected_by_reason": dict(self.rejected.most_common()),
            "labels": {
                name: {
                    split: {"known": known[split], "prevalence": round(self.present[name][split] / known[split], 4)}
                    for split in SPLITS
                    if known[split]
                }
                for name, known in self.known.items()
            },
            "prior_references": self.priors.summary(),
        }


class ShardReport(Record):
    """What a shard leaves beside its examples: what was counted, and the studies that are listed by id."""

    counts: ShardCounts
    without_target: tuple[dict[str, str], ...]
    rejected: tuple[dict[str, str], ...]


def build_shard(shard: BuildShard, poisoned: Poisoned) -> Iterator[str | None]:
    """Make the examples of a shard; yields as `supervision` asks. Studies in `poisoned` are refused unread."""
    if shard.report.exists():
        return
    worker = _Worker(shard)
    examples: list[Example] = []
    for study in _studies(shard):
        if study.study_id in poisoned:
            worker.reject(study, poisoned[study.study_id])
            continue
        yield study.study_id
        examples += worker.examples(study)
        yield None
    write_records(shard.examples, examples)
    write_atomically(shard.report, worker.report().model_dump_json())


def _studies(shard: BuildShard) -> list[Study]:
    """Return the shard's studies as the runs between `ingest` and `build` have them."""
    studies = list(read_records(shard.ingest / STUDIES, Study, shard.index))
    if shard.selection:
        selection = read_selection(shard.selection, [image.image_id for study in studies for image in study.images])
        studies = [kept for study in studies if (kept := selection.apply(study))]
    return lay_over(studies, shard.structure) if shard.structure else studies


def read_report(shard: BuildShard) -> ShardReport:
    """Return what a finished shard left beside its examples."""
    return ShardReport.model_validate_json(shard.report.read_bytes())


def percentile(counts: Counter[int], share: float) -> float:
    """Return a quantile of values from how often each occurs, interpolated linearly as numpy does."""
    values = sorted(counts)
    ends = list(accumulate(counts[value] for value in values))
    position = share * (ends[-1] - 1)
    low, high = (values[bisect_right(ends, index)] for index in (floor(position), ceil(position)))
    return float(low + (high - low) * (position - floor(position)))


class _Worker:
    """Makes examples and keeps count of them."""

    def __init__(self, shard: BuildShard) -> None:
        self._shard = shard
        self._counts = ShardCounts()
        self._without_target: list[dict[str, str]] = []
        self._rejected: list[dict[str, str]] = []

    def examples(self, study: Study) -> list[Example]:
        shard, counts = self._shard, self._counts
        examples = make_examples(study, shard.settings, shard.seed, shard.images_dir, counts.priors)
        for example, share in shares(examples):
            reason = missing_target(study, example)
            if reason:
                self._without_target.append({"id": example.example_id, "reason": reason})
            counts.add(study, example, share, reason)
        return examples

    def reject(self, study: Study, reason: str) -> None:
        self._rejected.append({"id": study.study_id, "reason": reason})
        self._counts.rejected[reason] += 1

    def report(self) -> ShardReport:
        return ShardReport(
            counts=self._counts, without_target=tuple(self._without_target), rejected=tuple(self._rejected)
        )
