"""Stage `build`: studies in, training examples out; sections, cleaned text, labels, patient-level splits.

Leaves ``examples.parquet``, ``without_target.jsonl``, ``rejected.jsonl`` and ``summary.json``. Training and `evaluate`
read them. The data card beside them, ``card.json`` and ``card.html``, is for people.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from radlet import __version__
from radlet.core.config import StageConfig
from radlet.core.errors import DataError
from radlet.core.records import SPLITS
from radlet.core.runs import (
    Run,
    check_made_from_ingest,
    check_stage,
    open_run,
    run_digest,
    sha256_file,
    write_atomically,
)
from radlet.data.assembly import ExampleSettings, split_of
from radlet.data.building import BuildShard, ShardCounts, build_shard, read_report
from radlet.data.card import CardCounts, SourceNote
from radlet.data.journals import JOURNAL
from radlet.data.manifests import EXAMPLES, STUDIES, count_row_groups, join_records
from radlet.data.names import require_model
from radlet.data.quality.selection import FILMS, write_selection
from radlet.data.sources import SOURCES
from radlet.data.splits import check_leakage
from radlet.data.structured import TEXTS
from radlet.stages.executors import ExecutorSettings, run_tasks

_UPSTREAM = ("ingest", "quality", "structure")
"""Fields that hold run directories."""
_SELECTION = "selection.parquet"
"""In the journal: which films stay out."""
_STUDY_TIMEOUT_S = 300.0
"""A study whose report takes longer to read is refused; the longest reports take milliseconds."""


class BuildConfig(StageConfig, ExampleSettings, ExecutorSettings):
    """Configuration of `build`."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | set(ExecutorSettings.model_fields)

    ingest: Path
    """Run directory of `ingest`."""
    quality: Path | None = None
    """Run directory of `quality`, made of the same ingest run: films that it rejects stay out."""
    structure: Path | None = None
    """Run directory of `structure`, whose texts take the place of the studies' own."""


def run(config: BuildConfig, console: Console | None = None) -> Path:
    """Build the examples and return the run directory; what an equal run finished before is left as it is.

    Raises:
        DataError: The ingest run is not usable, no study has a target, or a patient is in two splits.
    """
    console = console or Console(stderr=True)
    _check_upstream(config)
    inputs = {name: path for name in _UPSTREAM if (path := getattr(config, name))}
    run = open_run(config, "build", inputs)
    if run.finished:
        console.print(f"build: already done, nothing to do: {run.path}", soft_wrap=True)
        return run.path
    if config.names == "rules_and_model":
        require_model()
    shards = _shards(config, run)
    left_out = _select(config, run.path / JOURNAL / _SELECTION)
    _work(config, shards, console)
    join_records(run.path / EXAMPLES, (shard.examples for shard in shards))
    counts = _gather(run, shards)
    patients = check_leakage(run.path / EXAMPLES)
    summary = {"section": config.section, **counts.summary(patients), "quality": left_out}
    _check(config, summary)
    write_atomically(run.path / "summary.json", json.dumps(summary, indent=2) + "\n")
    shutil.rmtree(run.path / JOURNAL)
    _write_card(config, run, counts.card, summary)
    run.finish()
    _print_summary(console, summary)
    console.print(f"build: {run.path}", soft_wrap=True)
    return run.path


def _check_upstream(config: BuildConfig) -> None:
    check_stage(config.ingest, "ingest", STUDIES)
    if config.quality:
        check_made_from_ingest(config.quality, "quality", FILMS, config.ingest)
    if config.structure:
        check_made_from_ingest(config.structure, "structure", TEXTS, config.ingest)


def _shards(config: BuildConfig, run: Run) -> list[BuildShard]:
    journal = run.path.resolve() / JOURNAL
    journal.mkdir(exist_ok=True)
    ingest = config.ingest.resolve()
    return [
        BuildShard(
            settings=ExampleSettings.model_validate(config.model_dump(include=set(ExampleSettings.model_fields))),
            seed=config.seed,
            ingest=ingest,
            selection=journal / _SELECTION if config.quality else None,
            structure=config.structure.resolve() if config.structure else None,
            images_dir=Path(os.path.relpath(ingest, run.path.resolve())).as_posix(),
            journal=journal,
            index=index,
        )
        for index in range(count_row_groups(ingest / STUDIES))
    ]


def _select(config: BuildConfig, path: Path) -> dict[str, Any] | None:
    """Write which films stay out by the word of the quality run; return the counts."""
    if config.quality is None:
        return None
    return write_selection(
        config.quality, lambda member: split_of(member.patient_id, member.split, config, config.seed), path
    )


def _work(config: BuildConfig, shards: list[BuildShard], console: Console) -> None:
    columns = (SpinnerColumn(), TextColumn("build: {task.completed:.0f} studies"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        run_tasks(build_shard, shards, config, _STUDY_TIMEOUT_S, lambda number: progress.advance(bar, number))


def _gather(run: Run, shards: list[BuildShard]) -> ShardCounts:
    """Write the lists of all shards, one after the other, and return the counts of all."""
    counts = ShardCounts()
    with (
        (run.path / "without_target.jsonl").open("w", encoding="utf-8") as without_target,
        (run.path / "rejected.jsonl").open("w", encoding="utf-8") as rejected,
    ):
        for shard in shards:
            report = read_report(shard)
            counts.absorb(report.counts)
            without_target.writelines(json.dumps(row) + "\n" for row in report.without_target)
            rejected.writelines(json.dumps(row) + "\n" for row in report.rejected)
    return counts


def _check(config: BuildConfig, summary: dict[str, Any]) -> None:
    """Refuse examples that teach nothing. A set without any report is one of labels, for the encoder alone."""
    reports = not set(summary["without_target_by_reason"]) <= {"no report", "no questions", "no caption"}
    if not summary["targets"] and (reports or not summary["labels"]):
        raise DataError(
            f"{config.ingest}: no study has a section '{config.section}'. Choose another, or give reports; for a set "
            "of labels without any report, set labels = 'source'."
        )


def _write_card(config: BuildConfig, run: Run, counts: CardCounts, summary: dict[str, Any]) -> None:
    """Write the data card. It tells the run's digest, so it does not count towards it."""
    from radlet.evaluation.data_page import render_data_card

    hashes = {
        "ingest": run_digest(config.ingest),
        **({"quality": run_digest(config.quality)} if config.quality else {}),
        **({"structure": run_digest(config.structure)} if config.structure else {}),
        "build": run.output_digest(),
        EXAMPLES: sha256_file(run.path / EXAMPLES),
    }
    about = {
        "name": config.name,
        "section": config.section,
        "source": _source_note(config.ingest),
        "config": config.model_dump(mode="json", exclude={*_UPSTREAM, "runs_dir"}),
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
    for reason, count in summary["rejected_by_reason"].items():
        console.print(f"{count} studies refused: {reason}")
    for reason, count in summary["without_target_by_reason"].items():
        console.print(f"{count} examples kept without a text to write: {reason}")
    if summary["quality"]:
        rejected, dropped = summary["quality"]["films_rejected"], summary["quality"]["studies_dropped"]
        console.print(f"left out by quality: {rejected} films, and {dropped} studies that have no other")
        for name, standing in summary["quality"]["in_several_splits"].items():
            if standing["pairs"]:
                console.print(
                    f"leakage: pairs of {name} that stand in two splits: {standing['pairs']}; "
                    'action = "reject" of that check leaves out the one in train'
                )
    priors = summary["prior_references"]
    if priors["texts"]:
        before, after = priors["rate_before"], priors["rate_after"]
        console.print(f"sections that refer to an earlier exam: {before:.1%} before, {after:.1%} after")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
