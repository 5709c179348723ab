"""Stage `build`: studies in, training examples out; sections, cleaned text, labels, patient-level splits.

Leaves ``examples.parquet``, ``without_target.jsonl`` and ``summary.json``. Training and `evaluate` read them. The data
card beside them, ``card.json`` and ``card.html``, is for people.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from radlet import __version__
from radlet.core.config import StageConfig
from radlet.core.errors import DataError
from radlet.core.records import SPLITS, Example
from radlet.core.runs import Run, open_run, run_digest, sha256_file, write_atomically
from radlet.data.assembly import ExampleSettings, make_example, missing_target
from radlet.data.card import CardCounts, SourceNote
from radlet.data.manifests import EXAMPLES, read_records, read_studies, write_records
from radlet.data.priors import PriorTally
from radlet.data.sources import SOURCES
from radlet.data.splits import check_leakage
from radlet.data.structured import structured_studies


class BuildConfig(StageConfig, ExampleSettings):
    """Configuration of `build`."""

    ingest: Path
    """Run directory of `ingest`."""
    structure: Path | None = None
    """Run directory of `structure`, whose texts take the place of the studies' own."""


def run(config: BuildConfig, console: Console | None = None) -> Path:
    """Build the examples and return the run directory; what an equal run finished before is left as it is.

    Raises:
        DataError: The ingest run is not usable, no study has a target, or a patient is in two splits.
    """
    console = console or Console(stderr=True)
    run = open_run(config, "build", {name: path for name in ("ingest", "structure") if (path := getattr(config, name))})
    if run.finished:
        console.print(f"build: already done, nothing to do: {run.path}", soft_wrap=True)
        return run.path
    counts, for_card = _Counts(), CardCounts()
    with Progress(
        SpinnerColumn(), TextColumn("build: {task.completed:.0f} studies"), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        examples = _examples(config, run, counts, for_card)
        write_records(run.path / EXAMPLES, progress.track(examples))
    check_leakage(read_records(run.path / EXAMPLES, Example))
    summary = {"section": config.section, **counts.summary()}
    _check(config, summary)
    write_atomically(run.path / "summary.json", json.dumps(summary, indent=2) + "\n")
    _write_card(config, run, for_card, summary)
    run.finish()
    _print_summary(console, summary)
    console.print(f"build: {run.path}", soft_wrap=True)
    return run.path


def _check(config: BuildConfig, summary: dict[str, Any]) -> None:
    """Refuse examples that teach nothing. A set without any report is one of labels, for the encoder alone."""
    reports = set(summary["without_target_by_reason"]) != {"no report"}
    if not summary["targets"] and (reports or not summary["labels"]):
        raise DataError(
            f"{config.ingest}: no study has a section '{config.section}'. Choose another, or give reports; for a set "
            "of labels without any report, set labels = 'source'."
        )


def _examples(config: BuildConfig, run: Run, counts: "_Counts", for_card: CardCounts) -> Iterator[Example]:
    images_dir = Path(os.path.relpath(config.ingest.resolve(), run.path.resolve())).as_posix()
    with (run.path / "without_target.jsonl").open("w", encoding="utf-8") as file:
        for study in structured_studies(read_studies(config.ingest), config.structure, config.ingest):
            example = make_example(study, config, config.seed, images_dir, counts.priors)
            reason = missing_target(study, example)
            if reason:
                file.write(json.dumps({"id": study.study_id, "reason": reason}) + "\n")
            counts.add(example, reason)
            for_card.add(study, example, reason)
            yield example


def _write_card(config: BuildConfig, run: Run, counts: CardCounts, summary: dict[str, Any]) -> None:
    """Write the data card. It tells the run's digest, so it does not count towards it."""
    from radlet.evaluation.data_page import render_data_card

    hashes = {
        "ingest": run_digest(config.ingest),
        "build": run.output_digest(),
        EXAMPLES: sha256_file(run.path / EXAMPLES),
    }
    about = {
        "name": config.name,
        "section": config.section,
        "source": _source_note(config.ingest),
        "config": config.model_dump(mode="json", exclude={"ingest", "structure", "runs_dir"}),
        "radlet": __version__,
    }
    card = counts.card(summary, _json(config.ingest / "summary.json"), about, hashes)
    write_atomically(run.path / "card.json", card.model_dump_json(indent=2) + "\n")
    write_atomically(run.path / "card.html", render_data_card(card))


def _source_note(ingest: Path) -> SourceNote:
    """Return what a card may tell of the source: its paths and columns may name an institution or a patient."""
    source = _json(ingest / "config.json").get("source", {})
    kind = source.get("kind")
    terms = SOURCES[kind].terms if kind in SOURCES else None
    return SourceNote(kind=kind, terms=terms, pseudonymised=bool(source.get("pseudonymise")))


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


class _Counts:
    """Counts by split, gathered while the examples pass by."""

    def __init__(self) -> None:
        self.priors = PriorTally()
        self._numbers: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        self._patients: dict[str, set[str]] = defaultdict(set)
        self._words: dict[str, list[int]] = defaultdict(list)
        self._reasons: Counter[str] = Counter()
        self._present: dict[str, Counter[str]] = defaultdict(Counter)
        self._known: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, example: Example, reason: str | None) -> None:
        """Count one example; `reason`: why it has no target."""
        split = example.split
        self._patients[split].add(example.patient_id)
        self._numbers[split].update(studies=1, films=len(example.image_paths), targets=example.target is not None)
        if example.target:
            self._words[split].append(len(example.target.split()))
        if reason:
            self._reasons[reason] += 1
        for name, value in example.labels.items():
            self._known[name][split] += 1
            self._present[name][split] += value

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON types; a prevalence is a share of the studies whose label is known."""
        return {
            "splits": {split: self._split(split) for split in SPLITS},
            "targets": sum(numbers["targets"] for numbers in self._numbers.values()),
            "without_target_by_reason": dict(self._reasons.most_common()),
            "labels": {
                name: {
                    split: {"known": known[split], "prevalence": round(self._present[name][split] / known[split], 4)}
                    for split in SPLITS
                    if known[split]
                }
                for name, known in self._known.items()
            },
            "prior_references": self.priors.summary(),
        }

    def _split(self, split: str) -> dict[str, Any]:
        words = self._words[split]
        numbers = self._numbers[split]
        return {
            "patients": len(self._patients[split]),
            **{name: numbers[name] for name in ("studies", "films", "targets")},
            "target_words_mean": round(float(np.mean(words)), 1) if words else None,
            "target_words_p95": float(np.percentile(words, 95)) if words else None,
        }


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    table = Table(title="build")
    table.add_column("")
    for split in SPLITS:
        table.add_column(split, justify="right")
    rows = summary["splits"]
    for name in rows[SPLITS[0]]:
        table.add_row(name.replace("_", " "), *(_cell(rows[split][name]) for split in SPLITS))
    table.add_section()
    for name, shares in summary["labels"].items():
        cells = (f"{shares[split]['prevalence']:.1%}" if split in shares else "-" for split in SPLITS)
        table.add_row(name, *cells)
    console.print(table)
    for reason, count in summary["without_target_by_reason"].items():
        console.print(f"{count} studies kept without a text to write: {reason}")
    priors = summary["prior_references"]
    if priors["texts"]:
        before, after = priors["rate_before"], priors["rate_after"]
        console.print(f"sections that refer to an earlier exam: {before:.1%} before, {after:.1%} after")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
