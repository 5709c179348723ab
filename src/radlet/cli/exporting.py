"""The command that rewrites a checkpoint for another engine."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from radlet.cli.arguments import Checkpoint, check_folder
from radlet.core.console import Progress
from radlet.core.errors import ConfigError
from radlet.core.records import Split

commands = typer.Typer()


@commands.command(rich_help_panel="Use a model")
def export(
    checkpoint: Checkpoint,
    options: Annotated[
        list[str] | None, typer.Argument(help="Options of the engine, key=value: quantization=int4")
    ] = None,
    engine: Annotated[str, typer.Option(help="Engine that is to read it.")] = "openvino",
    out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)] = ...,  # type: ignore[assignment]
    examples: Annotated[
        Path | None, typer.Option(help="Run of build on whose studies the export is judged.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="Patients that are judged.")] = "dev",
    max_studies: Annotated[int, typer.Option(min=1, help="Studies that are judged, at most.")] = 200,
    limit: Annotated[float, typer.Option(min=0.0, help="Largest fall of the clinical score that is let through.")] = (
        0.01
    ),
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Keep the export unjudged; its export.json tells so.")
    ] = False,
) -> None:
    """Rewrite a checkpoint for another engine, and keep the result if it drafts as well.

    Checkpoint and export draft the same studies. Where the clinical score (micro-F1 of the 14 observations; exact
    match of answers) falls by more than the limit, the export is not kept, and the exit status is 2.
    """
    from radlet.stages.export import Trial, run

    if (examples is None) != no_gate:
        raise ConfigError(
            "An export is judged before it is kept: give the studies with --examples BUILD, or say --no-gate, not both."
        )
    if split not in get_args(Split):
        raise ConfigError(f"--split {split}: is none of {', '.join(get_args(Split))}.")
    check_folder(out)
    trial = Trial(examples, split, max_studies, limit) if examples else None  # type: ignore[arg-type]
    typer.echo(str(run(checkpoint, engine, options or [], out, trial, Progress())))
