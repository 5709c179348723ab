"""Commands that give drafts and signed reports to other systems: the DICOM node, its outbox, and files."""

from pathlib import Path
from typing import Annotated

import typer

from radlet.cli.arguments import Overrides, actor
from radlet.core.console import make_console

_WIDE = 240
commands = typer.Typer()
outbox = typer.Typer(no_args_is_help=True, help="See what waits to be delivered, and send dead letters again.")
commands.add_typer(outbox, name="outbox", rich_help_panel="Use a model")

DataDir = Annotated[Path, typer.Argument(help="Folder of the store: data_dir of node or serve.", show_default=False)]
Database = Annotated[str | None, typer.Option(help="URL of the database, where it is not in that folder.")]


@commands.command(rich_help_panel="Use a model")
def node(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint, run of finetune, export, or folder of a demo.", show_default=False)
    ],
    overrides: Overrides = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML with the settings of the node.")] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Run of pretrain: tells films that are unlike those of the examples.")
    ] = None,
    examples: Annotated[Path | None, typer.Option(help="Run of build: the films that others are held against.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called in what it writes.")] = None,
) -> None:
    """Open the DICOM node: films come in by C-STORE, drafts go out as SR, Secondary Capture and PDF."""
    from radlet.core.config import load_config
    from radlet.pacs.settings import PacsConfig
    from radlet.stages.node import run
    from radlet.stages.served import Served

    served = Served.given(checkpoint, encoder, examples, name)
    run(served, load_config(PacsConfig, recipe, overrides), make_console())


@commands.command(rich_help_panel="Use a model")
def export_report(
    data_dir: DataDir,
    study: Annotated[str, typer.Argument(help="Identifier on the worklist, or Study Instance UID.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    kind: Annotated[str, typer.Option(help="text_sr, comprehensive_sr, capture, pdf, fhir or hl7.")] = "text_sr",
    checkpoint: Annotated[
        Path | None, typer.Option(help="The model that wrote the draft: adds the regions where it looked.")
    ] = None,
    signed_for: Annotated[
        str | None,
        typer.Option(
            metavar="ORGANIZATION", help="The signed report in place of the draft, and for whom its signer answers."
        ),
    ] = None,
    database: Database = None,
) -> None:
    """Write the newest draft of a study, or its signed report, to a file: a DICOM object, FHIR R4B, HL7 version 2."""
    from radlet.stages.node import export, open_store

    with open_store(data_dir, database) as store:
        content = export(store, study, kind, actor(), checkpoint, signed_for)
    out.write_bytes(content)
    what = "a signed report" if signed_for else "an unverified AI draft"
    make_console().print(f"{out}: {kind}, {what}", markup=False, soft_wrap=True)


@outbox.command("list")
def list_(data_dir: DataDir, database: Database = None) -> None:
    """List deliveries that are waiting or were given up, in their order."""
    from rich import box
    from rich.table import Table

    from radlet.reading.outbox import Outbox, OutboxSettings
    from radlet.stages.node import open_store

    with open_store(data_dir, database) as store:
        rows = Outbox(store, OutboxSettings()).rows()
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("delivery", "study", "kind", "to", "state", "attempts", "next attempt (UTC)", "last error"):
        table.add_column(column, overflow="fold")
    for row in rows:
        if row.state != "sent":
            when = f"{row.next_at:%Y-%m-%d %H:%M:%S}" if row.state == "waiting" else ""
            cells = (row.id, row.study_id, row.kind, row.destination, row.state, str(row.attempts), when)
            table.add_row(*cells, row.last_error or "")
    console = make_console(stderr=False)
    if not console.is_terminal:
        # Each delivery is one line, whose identifier other commands take.
        console.width = _WIDE
    console.print(table)
    console.print(f"{sum(row.state == 'sent' for row in rows)} delivered, {table.row_count} not")


@outbox.command()
def retry(
    data_dir: DataDir,
    delivery: Annotated[str | None, typer.Argument(help="One delivery; else all dead letters.")] = None,
    database: Database = None,
) -> None:
    """Let what was given up be sent again by the node."""
    from radlet.reading.outbox import Outbox, OutboxSettings
    from radlet.stages.node import open_store

    with open_store(data_dir, database) as store:
        count = Outbox(store, OutboxSettings()).retry(delivery, actor())
    make_console().print(f"{count} to be sent again")
