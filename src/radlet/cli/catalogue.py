"""The command that tells which published models radlet knows and which of them are here."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from radlet.core.console import Progress, make_console
from radlet.core.errors import ConfigError, UnknownNameError

commands = typer.Typer()

_MARKS = {
    "missing": "[dim]○ missing[/]",
    "incomplete": "[yellow]◐ incomplete[/]",
    "here": "[green]● here[/]",
    "as recorded": "[green]✔ as recorded[/]",
    "changed": "[bold red]✘ changed[/]",
}
_KINDS = {
    "tower": "vision towers",
    "language_model": "language models",
    "report_model": "report models",
    "labeller": "labellers",
}


@commands.command(rich_help_panel="Use a model")
def models(
    name: Annotated[str | None, typer.Argument(help="Weights, or a prompt family.", show_default=False)] = None,
    weights: Annotated[
        Path | None,
        typer.Option(envvar="RADLET_WEIGHTS", help="Folder that holds weights, a folder a name.", show_default=False),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Hold every file against its recorded sha256.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Note the sha256 of every file that is here, in DIR/weights.json.")
    ] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Write JSON lines.")] = False,
) -> None:
    """List the published weights and prompt families that radlet knows, and which weights are on disk.

    Nothing is downloaded: place weights in a folder of their name, and give a recipe their path.
    """
    from radlet.models.weight_records import record_weights, weight_records

    if weights is not None and not weights.is_dir():
        raise ConfigError(f"--weights {weights}: is no folder. Give the folder that holds a folder for each name.")
    if (record or verify) and weights is None:
        raise ConfigError("--record and --verify need --weights DIR, the folder that holds the weights.")
    if record and weights is not None:
        digests = record_weights(weights, Progress())
        make_console().print(f"  {sum(map(len, digests.values()))} files recorded in {weights / 'weights.json'}")
    if name is not None:
        _show_one(name, weights, verify, jsonl)
        return
    rows = [_row(known, weights, verify) for known in weight_records()]
    if jsonl:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        _show_table(rows, weights)
        _show_families()


def _row(name: str, weights: Path | None, verify: bool) -> dict[str, Any]:
    """Return one record with what is here of it."""
    from radlet.models.weight_records import look_up, read_record, weight_record

    row: dict[str, Any] = {"name": name, **weight_record(name).model_dump(mode="json")}
    if weights is not None:
        found = look_up(weights, name, read_record(weights), verify=verify)
        row |= {"state": found.state, "detail": found.detail}
    return row


def _show_table(rows: list[dict[str, Any]], weights: Path | None) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("name", "what", "GB", "licence"):
        table.add_column(column, justify="right" if column == "GB" else "left", overflow="fold")
    if weights is not None:
        table.add_column("here", overflow="fold")
    for kind, words in _KINDS.items():
        table.add_section()
        table.add_row(f"[bold cyan]{words}[/]")
        for row in (one for one in rows if one["kind"] == kind):
            cells = [f"  {row['name']}", row["title"], f"{row['size_gb']:.2g}", f"[dim]{row['licence']}[/]"]
            here = [f"{_MARKS[row['state']]} {row['detail']}"] if weights is not None else []
            table.add_row(*cells, *here)
    console = make_console(stderr=False)
    console.print(table)
    if weights is None:
        console.print("[dim]--weights DIR (or RADLET_WEIGHTS) also tells what of them is on disk.[/]")


def _show_families() -> None:
    from rich import box
    from rich.table import Table

    from radlet.models.templates import prompt_templates

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("prompt family", "of", "token ids held against"):
        table.add_column(column, overflow="fold")
    for name, template in prompt_templates().items():
        table.add_row(name, template.models, f"[dim]{template.checked}[/]")
    make_console(stderr=False).print(table)


def _show_one(name: str, weights: Path | None, verify: bool, jsonl: bool) -> None:
    from rich.markup import escape

    from radlet.core.registry import nearest
    from radlet.models.templates import prompt_templates
    from radlet.models.weight_records import weight_records

    templates = prompt_templates()
    if name not in weight_records() and name not in templates:
        raise UnknownNameError(f"No weights are called '{name}'.{nearest(name, [*weight_records(), *templates])}")
    row = _row(name, weights, verify) if name in weight_records() else {"name": name, **templates[name].model_dump()}
    if jsonl:
        typer.echo(json.dumps(row, ensure_ascii=False))
        return
    console = make_console(stderr=False)
    console.print(f"[bold]{escape(name)}[/]")
    for key, value in row.items():
        if key == "name" or value in ("", None):
            continue
        shown = repr(value) if key in ("template", "answer") and name in templates else _plain(value)
        console.print(f"  [dim]{key:<15}[/]{escape(shown)}", soft_wrap=True)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one).replace("|", " or ") for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{file} {digest}" for file, digest in value.items()) or "not recorded"
    return str(value)
