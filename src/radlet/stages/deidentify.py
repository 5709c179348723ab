"""Stage `deidentify`: a DICOM tree in, the same films without identifiers out; reports too, where a table has them.

Leaves ``dicom/``, ``reports.csv``, ``rejected.jsonl``, ``quarantine.jsonl`` and ``summary.json``. `ingest` reads the
first two with the source `dicom_tree`, and these two can be passed on; ``config.json`` tells the raw paths.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from radlet.core.config import StageConfig
from radlet.core.errors import DataError
from radlet.core.runs import Run, open_run, write_atomically
from radlet.data.burned_in import require_reader
from radlet.data.confidentiality import ProfileOptions
from radlet.data.deidentified_tree import FILMS, TreeShard, deidentify_shard
from radlet.data.deidentify import Names
from radlet.data.extra import require
from radlet.data.ingestion import short_reason
from radlet.data.journals import JOURNAL, read_journal
from radlet.data.names import require_model
from radlet.data.pseudonyms import load_or_make_key
from radlet.data.sources.dicom_tree import DicomTreeSource
from radlet.stages.executors import ExecutorSettings, run_tasks
from radlet.stages.raw_listing import forget, list_shown, make_folders


class DeidentifyConfig(StageConfig, ExecutorSettings):
    """Configuration of `deidentify`."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | set(ExecutorSettings.model_fields)

    source: DicomTreeSource
    """The DICOM tree, and the table of its reports where there is one."""
    profile: ProfileOptions = ProfileOptions()
    """Options of the confidentiality profile."""
    burned_in_text: Literal["ignore", "quarantine"] = "quarantine"
    """quarantine: films that carry text which may tell who the patient is are listed and not written."""
    names: Names = "rules"
    """How names are found in reports: by rules alone, or by rules and a model of the English language."""
    file_timeout_s: float = Field(default=120.0, gt=0)
    """A film that takes longer is refused and its process replaced."""
    max_rejected_share: float = Field(default=0.5, ge=0, le=1)
    """The run fails when more than this share of the files was refused or quarantined."""
    pseudonym_key_file: Path | None = None
    """Secret from which pseudonyms are made; without it, ``private/pseudonym.key`` under `runs_dir`, made at need."""


def run(config: DeidentifyConfig, console: Console | None = None) -> Path:
    """De-identify the tree and return the run directory; what an equal run finished before is left as it is.

    Raises:
        DataError: The tree cannot be read, no film is usable, or too many were refused.
        ConfigError: A package of the extra `deidentify` is missing.
    """
    console = console or Console(stderr=True)
    _require_packages(config)
    run = open_run(config, "deidentify")
    if run.finished:
        console.print(f"deidentify: already done, nothing to do: {run.path}", soft_wrap=True)
        return run.path
    shards = _shards(config, run, console)
    _write_films(config, shards, console)
    summary = _write_lists(config, run, shards)
    _check(config, run, summary)
    forget(run.path, _listing_dir(config, run))
    run.finish()
    _print_summary(console, summary)
    console.print(f"deidentify: {run.path}", soft_wrap=True)
    return run.path


def _require_packages(config: DeidentifyConfig) -> None:
    require("dicomanonymizer")
    if config.burned_in_text == "quarantine":
        require_reader()
    if config.names == "rules_and_model" and config.source.reports:
        require_model()


def _shards(config: DeidentifyConfig, run: Run, console: Console) -> list[TreeShard]:
    make_folders(run.path, (JOURNAL, FILMS), _listing_dir(config, run))
    private = config.runs_dir / "private"
    private.mkdir(mode=0o700, exist_ok=True)
    key_file = config.pseudonym_key_file or private / "pseudonym.key"
    load_or_make_key(key_file, may_make=config.pseudonym_key_file is None)
    pieces = list_shown(config.source, _listing_dir(config, run), "deidentify", console)
    return [
        TreeShard(
            source=config.source.model_dump_json(),
            seed=config.seed,
            index=index,
            num_shards=len(pieces),
            run_dir=run.path.resolve(),
            key_file=key_file.resolve(),
            finder=(private / f"{run.path.name}-rejected.jsonl").resolve(),
            raw_ids=False,
            check_text=config.burned_in_text == "quarantine",
            listing=piece,
            options=config.profile.model_dump_json(),
            names=config.names,
        )
        for index, piece in enumerate(pieces)
    ]


def _listing_dir(config: DeidentifyConfig, run: Run) -> Path:
    """Return where the listing stands until the run is finished: it holds raw ids and reports."""
    return (config.runs_dir / "private").resolve() / f"{run.path.name}-listing"


def _write_films(config: DeidentifyConfig, shards: list[TreeShard], console: Console) -> None:
    columns = (SpinnerColumn(), TextColumn("deidentify: {task.completed:.0f} films"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        run_tasks(deidentify_shard, shards, config, config.file_timeout_s, lambda number: progress.advance(bar, number))


def _write_lists(config: DeidentifyConfig, run: Run, shards: list[TreeShard]) -> dict[str, Any]:
    """Write what was refused and quarantined and the reports, and return the counts."""
    reasons: dict[str, Counter[str]] = {"rejected": Counter(), "quarantine": Counter()}
    with (
        (run.path / "rejected.jsonl").open("w", encoding="utf-8") as rejected,
        (run.path / "quarantine.jsonl").open("w", encoding="utf-8") as quarantine,
    ):
        for entry in (entry for line in _journals(shards) for entry in line["rejected"]):
            kind = "quarantine" if entry.pop("quarantined", False) else "rejected"
            reasons[kind][short_reason(entry["reason"])] += 1
            (quarantine if kind == "quarantine" else rejected).write(json.dumps(entry, ensure_ascii=False) + "\n")
    if config.source.reports:
        _write_reports(run.path / "reports.csv", list(config.source.reports.columns), _studies(shards))
    summary = {
        **_counts(_studies(shards)),
        **{kind: counter.total() for kind, counter in reasons.items()},
        **{f"{kind}_by_reason": dict(counter.most_common()) for kind, counter in reasons.items()},
    }
    write_atomically(run.path / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _journals(shards: list[TreeShard]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        yield from read_journal(shard.journal)


def _studies(shards: list[TreeShard]) -> Iterator[dict[str, Any]]:
    yield from (line["study"] for line in _journals(shards) if line["study"])


def _counts(studies: Iterator[dict[str, Any]]) -> dict[str, Any]:
    attributes: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    patients = set()
    for study in studies:
        patients.add(study["patient"])
        attributes.update(study["attributes"])
        numbers.update(studies=1, reports=bool(study["texts"]), films=study["films"])
    names = ("studies", "reports", "films")
    return {
        "patients": len(patients),
        **{name: numbers[name] for name in names},
        "attributes": dict(attributes.most_common()),
    }


def _write_reports(path: Path, columns: list[str], studies: Iterator[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["StudyInstanceUID", *columns])
        table.writeheader()
        table.writerows({"StudyInstanceUID": study["uid"], **study["texts"]} for study in studies if study["texts"])


def _check(config: DeidentifyConfig, run: Run, summary: dict[str, Any]) -> None:
    lost, films = summary["rejected"] + summary["quarantine"], summary["films"]
    reasons = {**summary["rejected_by_reason"], **summary["quarantine_by_reason"]}
    counts = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
    if not films:
        forget(run.path, _listing_dir(config, run))
        raise DataError(f"No film is left ({counts or 'the tree holds none'}). See {run.path}/rejected.jsonl.")
    if lost > config.max_rejected_share * (films + lost):
        raise DataError(
            f"{lost} of {films + lost} files were refused or quarantined, more than max_rejected_share="
            f"{config.max_rejected_share:g} allows: {counts}. See {run.path}. Raise the limit, or mend the "
            "files, remove the folder and start again."
        )


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    table = Table(title="deidentify", show_header=False)
    table.add_row("patients", str(summary["patients"]))
    table.add_row("studies", f"{summary['studies']} ({summary['reports']} with a report)")
    table.add_row("films", str(summary["films"]))
    table.add_row("attributes", ", ".join(f"{count} {outcome}" for outcome, count in summary["attributes"].items()))
    for kind in ("rejected", "quarantine"):
        table.add_row("refused" if kind == "rejected" else kind, str(summary[kind]))
        for reason, count in summary[f"{kind}_by_reason"].items():
            table.add_row("", f"{count} x {reason}")
    console.print(table)
