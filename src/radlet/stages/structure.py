"""Stage `structure`: a language model works on the texts of an ingest run; what the guard lets in goes to `build`.

Leaves ``texts.parquet``, ``kept_aside.jsonl`` and ``summary.json``; refused answers themselves are under ``private/``.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TextIO

from pydantic import Field, SerializeAsAny, field_validator
from rich.console import Console
from rich.table import Table

from radlet.core.config import StageConfig, load_config
from radlet.core.console import Progress, make_console
from radlet.core.errors import RunError
from radlet.core.runs import Run, check_stage, open_run, write_atomically
from radlet.data.manifests import STUDIES, read_studies, write_records
from radlet.data.structured import TEXTS, StructuredText
from radlet.llm.endpoint import BudgetConfig, ModelConfig, ServerConfig, check_host
from radlet.llm.jobs import JOBS
from radlet.llm.jobs.base import Job

_MODE = "output.json"


class StructureConfig(StageConfig):
    """Configuration of `structure`."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | {"server", "budget"}

    ingest: Path
    """Run directory of `ingest`."""
    jobs: tuple[SerializeAsAny[Job], ...] = Field(min_length=1)
    """What is done to the texts, in this order: tables ``[[jobs]]`` with a ``kind`` and the settings of that job."""
    model: ModelConfig
    """The model that is asked."""
    server: ServerConfig = ServerConfig()
    """The server that is asked."""
    budget: BudgetConfig = BudgetConfig()
    """When to stop asking."""
    max_reasks: int = Field(default=1, ge=0, le=10)
    """How often a refused answer is asked for again, with the reason."""

    @field_validator("jobs", mode="before")
    @classmethod
    def _of_their_kinds(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [
            load_config(JOBS[str(each.get("kind"))], None, **each) if isinstance(each, dict) else each for each in value
        ]


def run(config: StructureConfig, console: Console | None = None) -> Path:
    """Structure the texts and return the run directory; what an equal run finished before is left as it is.

    Raises:
        DataError: The ingest run is not usable.
        PrivacyError: The server is not on this machine and the recipe does not allow its host.
        RunError: The server gives no usable answer, the budget is spent, or too many questions stay without an answer.
    """
    console = console or make_console()
    check_host(config.server)
    check_stage(config.ingest, "ingest", STUDIES)
    run = open_run(config, "structure", {"ingest": config.ingest})
    if run.finished:
        console.print(f"structure: already done, nothing to do: {run.path}", soft_wrap=True)
        return run.path
    summary, traffic = _structure(config, run, console)
    write_atomically(run.path / "summary.json", json.dumps(summary, indent=2) + "\n")
    run.finish()
    _print_summary(console, summary)
    console.print(f"requests sent by this command: {traffic}")
    console.print(f"structure: {run.path}", soft_wrap=True)
    return run.path


def _structure(config: StructureConfig, run: Run, console: Console) -> tuple[dict[str, Any], int]:
    """Do the work and return the counts, and how many requests it took this time."""
    from radlet.llm.answers import AnswerCache
    from radlet.llm.client import StoppedError
    from radlet.llm.structuring import Settings, open_structurer

    settings = Settings(config.server, config.model, config.budget, config.jobs, config.max_reasks)
    total = json.loads((config.ingest / "summary.json").read_text(encoding="utf-8")).get("studies")
    with (
        AnswerCache(config.runs_dir / ".cache" / "answers.sqlite") as cache,
        open_structurer(settings, cache) as worker,
    ):
        try:
            mode = worker.find_mode(_known_mode(run))
            write_atomically(run.path / _MODE, json.dumps({"output": mode}) + "\n")
            outcomes = worker.work(read_studies(config.ingest))
            counts = _write(config, run, Progress(console).track(outcomes, "structure", total))
        except StoppedError as error:
            raise RunError(
                f"{run.path}: stopped, {error}. {error.advice}; the same command goes on from what was answered."
            ) from None
    return {"model": config.model.name, "output": mode, **counts}, worker.client.budget.num_requests


def _known_mode(run: Run) -> Any:
    """Return how the server was held to a form when this run began: a resumed run asks the same questions."""
    file = run.path / _MODE
    return json.loads(file.read_text(encoding="utf-8"))["output"] if file.is_file() else None


def _write(config: StructureConfig, run: Run, outcomes: Iterable[Any]) -> dict[str, Any]:
    """Write texts and refusals as they come, and return the counts."""
    from radlet.llm.asking import load_prompt

    private = config.runs_dir / "private"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    tally = _Tally()
    with (
        (run.path / "kept_aside.jsonl").open("w", encoding="utf-8") as aside,
        _open_private(private / f"{run.path.name}-refused.jsonl") as texts,
    ):
        write_records(run.path / TEXTS, tally.texts(outcomes, aside, texts))
    prompts = {job.kind: load_prompt(job.kind) for job in config.jobs}
    return {
        **tally.summary(),
        "prompts": {kind: {"version": each.version, "digest": each.digest} for kind, each in prompts.items()},
    }


def _open_private(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


class _Tally:
    """Counts by job, gathered while the outcomes pass by."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._studies: Counter[str] = Counter()
        self._num_tokens = 0

    def texts(self, outcomes: Iterable[Any], aside: TextIO, private: TextIO) -> Iterator[StructuredText]:
        """Pass the texts on; write refusals without their text to `aside`, the texts themselves to `private`."""
        for outcome in outcomes:
            self._counts.update(outcome.counts)
            self._num_tokens += outcome.num_tokens
            for refusal in outcome.refusals:
                row = {"id": refusal.study_id, "job": refusal.job, "section": refusal.section}
                row |= {"attempt": refusal.attempt, "reasons": list(refusal.reasons)}
                sizes = {"source_chars": refusal.num_chars, "answer_chars": len(refusal.text)}
                aside.write(json.dumps({**row, **sizes}) + "\n")
                private.write(json.dumps({**row, "text": refusal.text}, ensure_ascii=False) + "\n")
            self._studies.update(studies=1, studies_with_texts=outcome.text is not None)
            if outcome.text is not None:
                yield outcome.text

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON types; tokens are those of all answers used, asked for now or before."""
        jobs: dict[str, dict[str, Any]] = {}
        for (job, name), count in sorted(self._counts.items()):
            refused, _, reason = name.partition(": ")
            if reason:
                jobs.setdefault(job, {}).setdefault("refused_by_reason", {})[reason] = count
            else:
                jobs.setdefault(job, {})[refused] = count
        return {"studies": 0, "studies_with_texts": 0, **self._studies, "tokens": self._num_tokens, "jobs": jobs}


_COLUMNS = ("asked", "accepted", "accepted_when_asked_again", "by_rule", "left", "too_long")


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    table = Table(title=f"structure: {summary['studies_with_texts']} of {summary['studies']} studies have new texts")
    table.add_column("job")
    for column in _COLUMNS:
        table.add_column(column.replace("_", " "), justify="right")
    for job, counts in summary["jobs"].items():
        table.add_row(job, *(str(counts.get(column, 0)) for column in _COLUMNS))
    console.print(table)
    for job, counts in summary["jobs"].items():
        for reason, count in counts.get("refused_by_reason", {}).items():
            console.print(f"{job}: {count} answers refused: {reason}")
