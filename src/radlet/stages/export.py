"""`radlet export`: a checkpoint in; a folder that another engine reads, judged beside the checkpoint, out.

The folder appears whole or not at all: everything is written beside it and moved into place at the end. It is a
finished run, so that `evaluate` takes it as its checkpoint. An export whose score falls too far leaves nothing but
``rejected.json``.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radlet.core.config import load_config
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError
from radlet.core.locks import lock_file
from radlet.core.records import Split
from radlet.core.registry import nearest
from radlet.core.runs import DONE, Run, run_digest, write_atomically
from radlet.evaluation.export_gate import gate_examples, judge_export
from radlet.inference.drafter import Drafter
from radlet.inference.exporters import EXPORTERS
from radlet.inference.exports import (
    Export,
    Gate,
    Source,
    checkpoint_digest,
    file_digests,
    is_export,
    read_export,
    write_export,
    write_frame,
)
from radlet.models.devices import pick_device
from radlet.models.report_model import CARD, ReportModel, checkpoint_folder, load_report_model

if TYPE_CHECKING:
    from rich.table import Table

REJECTED = "rejected.json"


@dataclass(frozen=True)
class Trial:
    """What an export is judged on.

    Attributes:
        examples: Run of `build`.
        split: Its patients that are judged.
        max_studies: So many studies at most.
        limit: Largest fall of the clinical score that is let through.
    """

    examples: Path
    split: Split = "dev"
    max_studies: int = 200
    limit: float = 0.01


def run(
    checkpoint: Path, engine: str, options: Sequence[str], out: Path, trial: Trial | None, progress: Progress
) -> Path:
    """Write, judge and keep an export; without a trial it is kept unjudged, which its ``export.json`` tells.

    Args:
        checkpoint: Checkpoint folder, or the run that holds one.
        engine: Name of an exporter.
        options: Its options, ``key=value``.
        out: Folder to make.
        trial: What it is judged on.
        progress: Shows how far it is.

    Raises:
        CheckpointError: The engine cannot serve the model, or the clinical score falls by more than the limit.
        ConfigError: An option is wrong, or the folder is taken.
    """
    if engine not in EXPORTERS:
        raise ConfigError(f"--engine {engine}: no engine of that name reads exports.{nearest(engine, list(EXPORTERS))}")
    exporter = load_config(EXPORTERS[engine], None, list(options))
    if is_export(checkpoint):
        raise CheckpointError(f"{checkpoint}: is an export already. Give the checkpoint that it was made from.")
    _check_free(out)
    folder = checkpoint_folder(checkpoint)
    report_model = load_report_model(folder)
    examples = gate_examples(trial.examples, report_model.card, trial.split, trial.max_studies) if trial else []
    with _place_beside(out) as writing:
        exporter.write(report_model, writing, progress)
        write_frame(report_model, writing)
        export = Export(
            engine=engine,
            options=exporter.model_dump(mode="json"),
            source=Source(path=checkpoint.resolve(), digest=checkpoint_digest(folder)),
            num_image_tokens=report_model.num_image_tokens,
            max_positions=exporter.max_positions(report_model),
            end_token_ids=report_model.end_token_ids,
            files=file_digests(writing),
        )
        write_export(export, writing)
        if trial:
            report_model.model.to(pick_device())
            gate = _judge(report_model, writing, examples, trial, progress)
            export = export.model_copy(update={"gate": gate})
            if not gate.passed:
                _reject(export, gate, out)
        write_export(export, writing)
        _finish(checkpoint, writing)
        shutil.rmtree(out, ignore_errors=True)  # empty, or an earlier rejection
        writing.replace(out)
    return out


def gate_table(gate: Gate) -> "Table":
    """Return the comparison as a table for the terminal."""
    from rich.table import Table

    interval = "too few cases" if gate.low is None else f"{gate.low:+.4f} to {gate.high:+.4f}"
    table = Table("gate", gate.metric, box=None, pad_edge=True)
    table.add_row("studies", f"{gate.num_studies} of the {gate.split} split")
    table.add_row("checkpoint", f"{gate.checkpoint:.4f}")
    table.add_row("export", f"{gate.exported:.4f}")
    table.add_row("difference", f"{gate.exported - gate.checkpoint:+.4f}  (95 % {interval})")
    table.add_row("allowed", f"{-gate.limit:+.4f}")
    table.add_row("equal drafts", f"{gate.equal_drafts} of {gate.num_drafts}")
    return table


@contextmanager
def _place_beside(out: Path) -> Iterator[Path]:
    """Give an empty folder that no other process writes into; what is left in it at the end is deleted.

    Raises:
        ConfigError: Another process is exporting to `out`.
    """
    writing, lock = out.with_name(f".{out.name}.writing"), out.with_name(f".{out.name}.lock")
    out.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        # Where another export ended just now, what is locked here may be its file, which is gone.
        if not (lock_file(held.fileno(), wait=False) and _still_there(lock, held.fileno())):
            raise ConfigError(f"--out {out}: another process is exporting to it. Wait for it, or give another name.")
        try:
            _check_free(out)  # by now another export may stand there
            shutil.rmtree(writing, ignore_errors=True)  # of a killed export
            writing.mkdir()
            yield writing
        finally:
            shutil.rmtree(writing, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _still_there(path: Path, number: int) -> bool:
    """Say whether a path names the open file of that number."""
    try:
        return path.stat().st_ino == os.fstat(number).st_ino
    except FileNotFoundError:
        return False


def _judge(report_model: ReportModel, folder: Path, examples: Sequence[Any], trial: Trial, progress: Progress) -> Gate:
    gate = judge_export(Drafter(read_export(folder)), Drafter(report_model), examples, trial.limit, progress)
    progress.console.print(gate_table(gate))
    return gate


def _reject(export: Export, gate: Gate, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / REJECTED, export.model_dump_json(indent=2) + "\n")
    raise CheckpointError(
        f"{out}: the export is not kept. Its {gate.metric} is {gate.exported:.4f}, the checkpoint's "
        f"{gate.checkpoint:.4f}: a fall of {gate.fall:.4f}, and {gate.limit:g} is allowed. Export with more bits, or "
        f"allow more (--limit). The comparison is in {REJECTED}."
    )


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - {REJECTED}):
        raise ConfigError(f"--out {out}: is there already. Give the name of a folder that is not, or delete it.")


def _finish(checkpoint: Path, folder: Path) -> None:
    """Make the folder a finished run, which names the run that it was made from if that is one."""
    inputs = {}
    if (checkpoint / DONE).is_file() and not (checkpoint / CARD).is_file():
        inputs["checkpoint"] = {"path": str(checkpoint.resolve()), "digest": run_digest(checkpoint)}
    write_atomically(folder / "inputs.json", json.dumps(inputs, indent=2, sort_keys=True) + "\n")
    Run(folder, finished=False).finish()
