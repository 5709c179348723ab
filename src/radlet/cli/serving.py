"""Commands that serve a model."""

from pathlib import Path
from typing import Annotated

import typer

from radlet.cli.arguments import Overrides
from radlet.core.console import make_console

commands = typer.Typer()


@commands.command(rich_help_panel="Use a model")
def serve(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint, run of finetune, export, or folder of a demo.", show_default=False)
    ],
    overrides: Overrides = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML with the settings of the service.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of films and database.")] = None,
    encoder: Annotated[Path | None, typer.Option(help="Run of pretrain: searches similar studies.")] = None,
    examples: Annotated[Path | None, typer.Option(help="Run of build: what is searched.")] = None,
    name: Annotated[str | None, typer.Option(help="What clients call the model.")] = None,
) -> None:
    """Open the reading room: pages, an HTTP API that OpenAI's clients speak, on this machine alone."""
    from radlet.core.config import load_config
    from radlet.stages.serve import ServeRecipe, run
    from radlet.stages.served import Served

    served = Served.given(checkpoint, encoder, examples, name)
    is_demo = served.checkpoint != checkpoint
    own = {"port": port, "data_dir": data_dir or (checkpoint / "reading_room" if is_demo else None)}
    settings = [f"{key}={value}" for key, value in own.items() if value is not None]
    run(served, load_config(ServeRecipe, recipe, [*settings, *(overrides or [])]), make_console())
