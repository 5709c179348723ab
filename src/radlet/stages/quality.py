"""Stage `quality`: an ingest run in, a verdict on each of its films out; `build` leaves out what it rejects.

Leaves ``films.parquet``, ``flagged.jsonl``, ``duplicates.jsonl``, ``summary.json`` and, for people, ``quality.html``.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SerializeAsAny, field_validator
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from radlet import __version__
from radlet.core.config import StageConfig, load_config
from radlet.core.errors import DataError
from radlet.core.runs import Run, check_stage, open_run, write_atomically
from radlet.data.journals import JOURNAL
from radlet.data.manifests import STUDIES, write_records
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.base import Group, QualityCheck, SetCheck
from radlet.data.quality.judging import UNREADABLE, FilmQuality, Judge, goes_alone
from radlet.data.quality.measuring import QualityShard, measure_shard, measured_studies
from radlet.data.quality.selection import DUPLICATES, FILMS
from radlet.data.quality.showcase import Showcase, count_groups
from radlet.stages.executors import ExecutorSettings, run_tasks

_NUM_SHARDS = 32
"""How finely the work is cut. Fixed, so that a run taken up with other workers finds its journals."""


class QualityConfig(StageConfig, ExecutorSettings):
    """Configuration of `quality`."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | set(ExecutorSettings.model_fields)

    ingest: Path
    """Run directory of `ingest`."""
    checks: dict[str, SerializeAsAny[QualityCheck]] = Field(default_factory=dict, validate_default=True)
    """Settings of the checks by name; every known check runs, with its defaults where nothing is said of it."""
    fill_view: bool = False
    """Give films without a view the one that their pixels show: LATERAL; a frontal film stays open."""
    view_confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Probability from which the pixels count as showing a view."""
    file_timeout_s: float = Field(default=120.0, gt=0)
    """A film that takes longer is rejected as unreadable and its process replaced."""
    max_rejected_share: float = Field(default=0.5, ge=0, le=1)
    """The run fails when more than this share of the films is rejected."""
    num_examples: int = Field(default=24, ge=0, le=500)
    """Films that the page shows of each check."""

    @field_validator("checks", mode="before")
    @classmethod
    def _every_check(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: value if isinstance(value, QualityCheck) else load_config(QUALITY_CHECKS[name], None, **value)
            for name, value in {**{check: {} for check in QUALITY_CHECKS}, **given}.items()
        }


def run(config: QualityConfig, console: Console | None = None) -> Path:
    """Judge the films and return the run directory; what an equal run finished before is left as it is.

    Raises:
        DataError: The ingest run is not usable or holds no film, or too many films were rejected.
    """
    console = console or Console(stderr=True)
    check_stage(config.ingest, "ingest", STUDIES)
    run = open_run(config, "quality", {"ingest": config.ingest})
    if run.finished:
        console.print(f"quality: already done, nothing to do: {run.path}", soft_wrap=True)
        return run.path
    shards = _shards(config, run)
    _measure(config, shards, console)
    with console.status("quality: comparing films and reports"):
        groups = _find_groups(config, run, shards)
    summary, showcase = _judge(config, run, shards, groups)
    _check(config, run, summary)
    _write_page(config, run, summary, showcase)
    shutil.rmtree(run.path / JOURNAL)
    run.finish()
    _print_summary(console, summary)
    console.print(f"quality: {run.path}", soft_wrap=True)
    return run.path


def _shards(config: QualityConfig, run: Run) -> list[QualityShard]:
    (run.path / JOURNAL).mkdir(exist_ok=True)
    checks = {name: check.model_dump_json() for name, check in config.checks.items()}
    return [
        QualityShard(config.ingest.resolve(), run.path.resolve(), index, _NUM_SHARDS, checks, config.view_confidence)
        for index in range(_NUM_SHARDS)
    ]


def _measure(config: QualityConfig, shards: list[QualityShard], console: Console) -> None:
    columns = (SpinnerColumn(), TextColumn("quality: {task.completed:.0f} films"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        run_tasks(measure_shard, shards, config, config.file_timeout_s, lambda number: progress.advance(bar, number))


def _find_groups(config: QualityConfig, run: Run, shards: list[QualityShard]) -> list[Group]:
    scratch = run.path / JOURNAL
    finders = [check.finder(scratch) for check in config.checks.values() if isinstance(check, SetCheck)]
    for study, films in measured_studies(shards):
        # What goes for itself shall not be the copy that stays.
        left = [film for film in films if not goes_alone(config.checks, film)]
        if left or not films:
            for finder in finders:
                finder.add(study, left)
    groups = [group for finder in finders for group in finder.find()]
    with (run.path / DUPLICATES).open("w", encoding="utf-8") as file:
        file.writelines(group.model_dump_json() + "\n" for group in groups)
    return groups


def _judge(
    config: QualityConfig, run: Run, shards: list[QualityShard], groups: list[Group]
) -> tuple[dict[str, Any], Showcase]:
    """Write the verdicts; return their counts and what the page shows."""
    judge = Judge(config.checks, groups, config.fill_view)
    showcase = Showcase(config.checks, groups, config.num_examples)

    def shown(rows: Iterator[FilmQuality]) -> Iterator[FilmQuality]:
        for row in rows:
            showcase.add(row)
            yield row

    with (run.path / "flagged.jsonl").open("w", encoding="utf-8") as listing:
        write_records(run.path / FILMS, shown(judge.rows(measured_studies(shards), listing)))
    set_checks = [name for name, check in config.checks.items() if isinstance(check, SetCheck)]
    summary = {**judge.summary(), "duplicates": count_groups(groups, set_checks)}
    write_atomically(run.path / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary, showcase


def _check(config: QualityConfig, run: Run, summary: dict[str, Any]) -> None:
    films, rejected = summary["films"], summary["films_by_verdict"]["reject"]
    if not films:
        raise DataError(f"{config.ingest}: holds no film. Run ingest on a source that does.")
    if rejected > config.max_rejected_share * films:
        counts = "; ".join(f"{count} x {name}" for name, count in summary["rejected_by_check"].items())
        raise DataError(
            f"{rejected} of {films} films were rejected, more than max_rejected_share={config.max_rejected_share:g} "
            f"allows: {counts}. See {run.path}/flagged.jsonl, change the actions or limits, or raise the share."
        )


def _write_page(config: QualityConfig, run: Run, summary: dict[str, Any], showcase: Showcase) -> None:
    from radlet.evaluation.quality_page import render_quality_page

    about = {"name": config.name, "radlet": __version__, "fill_view": config.fill_view}
    page = render_quality_page(about, summary, config.checks, showcase, config.ingest)
    write_atomically(run.path / "quality.html", page)


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    verdicts = summary["films_by_verdict"]
    table = Table(title="quality")
    for heading, justify in (("check", "left"), ("action", "left"), ("failed", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, counts in summary["checks"].items():
        of = "" if name == UNREADABLE or counts["of"] == "films" else " studies"
        table.add_row(name, counts["action"], f"{counts['failed']}{of}")
    console.print(table)
    console.print(
        f"{summary['films']} films: {verdicts['keep']} kept, {verdicts['flag']} kept and flagged, "
        f"{verdicts['reject']} rejected; {summary['studies_without_film']} studies left without a film"
    )
