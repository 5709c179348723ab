"""Commands that bring back what readers made of drafts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from radlet.cli.arguments import actor
from radlet.core.console import make_console

commands = typer.Typer(name="feedback", help="What readers made of drafts, as data to learn from.")


@commands.callback()
def _group() -> None:
    """Keep `export` a command of its own name."""


@commands.command()
def export(
    data_dir: Annotated[Path, typer.Option(help="Folder of the reading room.", show_default=False)],
    out: Annotated[Path, typer.Option(help="New folder to write.", show_default=False)],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only what was signed from this day on (UTC).")
    ] = None,
    database: Annotated[str | None, typer.Option(help="URL of the database; by default SQLite in the folder.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Key of the pseudonyms; by default pseudonym.key in the folder, made if missing."),
    ] = None,
) -> None:
    """Write signed reports as preference pairs and corrections, with films that have no header."""
    from radlet.data.pseudonyms import Pseudonyms, load_or_make_key
    from radlet.reading.feedback import export_feedback
    from radlet.stages.node import open_store

    with open_store(data_dir, database) as store:
        pseudonyms = Pseudonyms(load_or_make_key(key or data_dir / "pseudonym.key", key is None))
        report = export_feedback(store, out, pseudonyms, since.replace(tzinfo=UTC) if since else None, actor())
    console = make_console()
    console.print(
        f"{report['num_preferences']:,} preference pairs and {report['num_corrections']:,} corrections in {out}"
    )
    for reason, count in report["left_out"].items():
        console.print(f"  left out: {count:,} {reason}")
