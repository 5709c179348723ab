"""Commands that turn published checkpoints into what radlet reads."""

from pathlib import Path
from typing import Annotated

import typer

from radlet.cli.arguments import check_folder

commands = typer.Typer(name="import", no_args_is_help=True, help="Turn published checkpoints into what radlet reads.")


@commands.command(name="chexbert")
def import_chexbert_command(
    weights: Annotated[Path, typer.Argument(help="The published chexbert.pth.", show_default=False)],
    bert: Annotated[
        Path, typer.Option(help="Folder with config.json and vocab.txt of bert-base-uncased.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("chexbert"),
) -> None:
    """Turn the CheXbert labeller's weights into a folder that the labeller of kind chexbert reads."""
    from radlet.models.importers.chexbert import import_chexbert

    check_folder(out)
    import_chexbert(weights, bert, out)
    typer.echo(str(out))
