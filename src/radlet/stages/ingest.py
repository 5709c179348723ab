"""Stage `ingest`: raw studies in, a manifest with decoded and de-identified films out; every refused item is listed.

Leaves ``studies.parquet``, ``images/``, ``masks/``, ``rejected.jsonl`` and ``summary.json``. `build` reads them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializeAsAny, field_validator
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from radlet.core.config import StageConfig, of_its_kind
from radlet.core.errors import DataError
from radlet.core.records import Study
from radlet.core.runs import Run, open_run, write_atomically
from radlet.data.burned_in import require_reader
from radlet.data.distinct import count_distinct
from radlet.data.ingestion import IMAGES, MASKS, Shard, ingest_shard, short_reason
from radlet.data.journals import JOURNAL, read_journal
from radlet.data.manifests import STUDIES, write_records
from radlet.data.pseudonyms import load_or_make_key
from radlet.data.sources import SOURCES
from radlet.data.sources.base import ListedSource, Source
from radlet.stages.executors import ExecutorSettings, run_tasks
from radlet.stages.raw_listing import forget, list_shown, make_folders

_NUM_SHARDS = 32
"""How finely a source without a listing is cut. Fixed: the order must not depend on the number of workers."""


class IngestConfig(StageConfig, ExecutorSettings):
    """Configuration of `ingest`."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | set(ExecutorSettings.model_fields)

    source: SerializeAsAny[Source]
    """Where the studies come from: a table with its ``kind`` and what that source needs."""
    file_timeout_s: float = Field(default=120.0, gt=0)
    """A film that takes longer to decode is refused and its process replaced."""
    burned_in_text: Literal["ignore", "quarantine"] = "ignore"
    """quarantine: refuse films that carry text which may tell who the patient is; needs the extra `deidentify`."""
    max_rejected_share: float = Field(default=0.5, ge=0, le=1)
    """The run fails when more than this share of the films was refused."""
    pseudonym_key_file: Path | None = None
    """Secret from which pseudonyms are made; without it, ``private/pseudonym.key`` under `runs_dir`, made at need."""
    report_paths: bool = False
    """List refused items of a pseudonymised source under their paths instead of pseudonyms; paths may name patients."""

    @field_validator("source", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any) -> Any:
        return of_its_kind(SOURCES, value)


def run(config: IngestConfig, console: Console | None = None) -> Path:
    """Ingest the source and return the run directory; what an equal run finished before is left as it is.

    Raises:
        DataError: The source cannot be read, no study is usable, or too many films were refused.
    """
    console = console or Console(stderr=True)
    run = open_run(config, "ingest")
    if run.finished:
        console.print(f"ingest: already done, nothing to do: {run.path}", soft_wrap=True)
        return run.path
    if config.burned_in_text == "quarantine":
        require_reader()
    shards = _shards(config, run, console)
    _decode(config, shards, console)
    summary = _write_manifest(run, shards)
    _check(config, run, summary)
    forget(run.path, _listing_dir(config, run))
    for empty in (folder for folder in (IMAGES, MASKS) if not any((run.path / folder).iterdir())):
        (run.path / empty).rmdir()
    run.finish()
    _print_summary(console, summary)
    console.print(f"ingest: {run.path}", soft_wrap=True)
    return run.path


def _shards(config: IngestConfig, run: Run, console: Console) -> list[Shard]:
    make_folders(run.path, (JOURNAL, IMAGES, MASKS), _listing_dir(config, run))
    key_file = finder = None
    if config.source.pseudonymise:
        private = _private_dir(config)
        key_file = config.pseudonym_key_file or private / "pseudonym.key"
        load_or_make_key(key_file, may_make=config.pseudonym_key_file is None)
        private.mkdir(mode=0o700, exist_ok=True)
        finder = None if config.report_paths else private / f"{run.path.name}-rejected.jsonl"
    pieces: Sequence[Path | None] = [None] * _NUM_SHARDS
    if isinstance(config.source, ListedSource):
        pieces = list_shown(config.source, _listing_dir(config, run), "ingest", console)
    return [
        Shard(
            source=config.source.model_dump_json(),
            seed=config.seed,
            index=index,
            num_shards=len(pieces),
            run_dir=run.path.resolve(),
            key_file=key_file.resolve() if key_file else None,
            finder=finder.resolve() if finder else None,
            raw_ids=config.report_paths,
            listing=piece,
            check_text=config.burned_in_text == "quarantine",
        )
        for index, piece in enumerate(pieces)
    ]


def _listing_dir(config: IngestConfig, run: Run) -> Path:
    """Return where the listing stands until the run is finished: it holds raw ids, which a source may want private."""
    if config.source.pseudonymise:
        return _private_dir(config).resolve() / f"{run.path.name}-listing"
    return run.path.resolve() / JOURNAL / "listing"


def _private_dir(config: IngestConfig) -> Path:
    return config.runs_dir / "private"


def _decode(config: IngestConfig, shards: list[Shard], console: Console) -> None:
    columns = (SpinnerColumn(), TextColumn("ingest: {task.completed:.0f} films"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        run_tasks(ingest_shard, shards, config, config.file_timeout_s, lambda number: progress.advance(bar, number))


def _write_manifest(run: Run, shards: list[Shard]) -> dict[str, Any]:
    """Write what was refused, then the studies, and return the counts."""
    counts = _Counts()
    with (run.path / "rejected.jsonl").open("w", encoding="utf-8") as file:
        for line in _journals(shards):
            counts.add_rejected(line["rejected"], dropped=line["study"] is None)
            file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in line["rejected"])
    studies = (Study.model_validate(line["study"]) for line in _journals(shards) if line["study"])
    write_records(run.path / STUDIES, counts.counted(studies))
    summary = {"patients": count_distinct(run.path / STUDIES, "patient_id"), **counts.summary()}
    write_atomically(run.path / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _journals(shards: list[Shard]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        yield from read_journal(shard.journal)


class _Counts:
    """Counts of what came in, gathered while the manifest passes by."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._studies: Counter[str] = Counter()
        self._views: Counter[str] = Counter()
        self._splits: Counter[str] = Counter()

    def add_rejected(self, rejected: list[dict[str, str]], dropped: bool) -> None:
        """Count refused items; `dropped`: nothing of their study is left."""
        self._reasons.update(short_reason(entry["reason"]) for entry in rejected)
        self._studies["dropped"] += dropped

    def counted(self, studies: Iterator[Study]) -> Iterator[Study]:
        """Pass the studies on."""
        for study in studies:
            self._studies["kept"] += 1
            self._studies["with_report"] += bool(study.report or study.sections)
            self._studies["questions"] += len(study.questions)
            self._studies["with_caption"] += study.caption is not None
            self._views.update(image.view or "unknown" for image in study.images)
            self._splits[study.split or "open"] += 1
            yield study

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON types."""
        return {
            "studies": self._studies["kept"],
            "studies_with_report": self._studies["with_report"],
            "studies_with_caption": self._studies["with_caption"],
            "questions": self._studies["questions"],
            "studies_by_split": dict(sorted(self._splits.items())),
            "films": self._views.total(),
            "films_by_view": dict(sorted(self._views.items())),
            "rejected": self._reasons.total(),
            "rejected_by_reason": dict(self._reasons.most_common()),
            "items_without_any_film": self._studies["dropped"],
        }


def _check(config: IngestConfig, run: Run, summary: dict[str, Any]) -> None:
    rejected, films = summary["rejected"], summary["films"]
    counts = "; ".join(f"{count} x {reason}" for reason, count in summary["rejected_by_reason"].items())
    if not films:
        forget(run.path, _listing_dir(config, run))
        raise DataError(
            f"No film could be ingested ({counts or 'the source holds none'}). See {run.path}/rejected.jsonl."
        )
    if rejected > config.max_rejected_share * (films + rejected):
        raise DataError(
            f"{rejected} of {films + rejected} films were refused, more than max_rejected_share="
            f"{config.max_rejected_share:g} allows: {counts}. See {run.path}/rejected.jsonl. Raise the limit, or "
            "mend the films, remove the folder and start again."
        )


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    table = Table(title="ingest", show_header=False)
    views = ", ".join(f"{count} {view}" for view, count in summary["films_by_view"].items())
    table.add_row("patients", str(summary["patients"]))
    table.add_row("studies", f"{summary['studies']} ({summary['studies_with_report']} with a report)")
    for name in ("studies_with_caption", "questions"):
        if summary[name]:
            table.add_row(name.replace("_", " "), str(summary[name]))
    table.add_row("films", f"{summary['films']} ({views})")
    table.add_row("refused", str(summary["rejected"]))
    for reason, count in summary["rejected_by_reason"].items():
        table.add_row("", f"{count} x {reason}")
    console.print(table)
