"""Commands about drift: what a model was made with, and whether a reading room still sees the like."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radlet.core.console import Progress, make_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from radlet.reading.drift.report import ComparedMeasure, DriftReport, Group

commands = typer.Typer(
    name="drift", no_args_is_help=True, help="Do films and drafts still look like those a model was made with?"
)

_HEIGHTS = " ▁▂▃▄▅▆▇█"
Recipe = Annotated[Path | None, typer.Option(help="TOML of radlet serve, for its settings.", show_default=False)]


@commands.command()
def reference(
    checkpoint: Annotated[
        Path, typer.Argument(help="As it is served: checkpoint, run, export, or folder of a demo.", show_default=False)
    ],
    examples: Annotated[
        Path | None,
        typer.Option(help="Run of build that it was trained on; by default the one that its run names."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default beside the checkpoint, where serve finds it.")
    ] = None,
    recipe: Recipe = None,
    films: Annotated[int, typer.Option(min=1, help="Studies of the train split to measure, at most.")] = 2000,
    drafts: Annotated[int, typer.Option(min=0, help="Studies of the other splits to draft, at most.")] = 400,
    seed: Annotated[int, typer.Option(help="Of the choice among more.")] = 0,
) -> None:
    """Measure the films a model was trained on, and drafts of others; write the counts as its reference card."""
    from radlet.core.config import load_config
    from radlet.reading.drift.placing import place_beside
    from radlet.reading.drift.reference import Sample, make_reference
    from radlet.reading.served_model import ServedModel
    from radlet.serving.settings import ServeConfig
    from radlet.stages.served import Served, examples_of

    demo = Served.of_demo(checkpoint)
    served = demo or Served(checkpoint, examples=examples)
    build = examples or served.examples or examples_of(served.checkpoint)
    gate = load_config(ServeConfig, recipe).room.gate
    model = ServedModel.load(served.checkpoint, served.name)
    card = make_reference(model, build, gate, Sample(films, drafts, seed), Progress())
    place = out or place_beside(served.checkpoint)
    card.write(place)
    make_console().print(
        f"{card.films:,} films and {card.reports:,} drafts in {len(card.measures)} measures.",
        markup=False,
        soft_wrap=True,
    )
    typer.echo(str(place))


@commands.command()
def show(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of films and database, as radlet serve has it.", show_default=False)
    ] = None,
    recipe: Recipe = None,
    days: Annotated[int | None, typer.Option(min=1, help="Studies that came in so many days.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also the measures that do not alarm.")] = False,
) -> None:
    """Hold what a reading room has seen against its model's reference card; exit 1 where anything has changed."""
    import json

    from radlet.core.config import load_config
    from radlet.core.errors import ConfigError
    from radlet.reading.drift.placing import card_of
    from radlet.reading.drift.report import report_drift
    from radlet.serving.settings import ServeConfig
    from radlet.stages.node import open_store

    given = {"data_dir": str(data_dir) if data_dir else None, "drift.days": days}
    config = load_config(ServeConfig, recipe, [f"{key}={json.dumps(one)}" for key, one in given.items() if one])
    with open_store(config.data_dir, config.database) as store:
        card = card_of(config.data_dir)
        if card is None:
            raise ConfigError(
                f"{config.data_dir} holds no reference card. Make one (radlet drift reference CHECKPOINT) and start "
                "radlet serve, which puts it in force."
            )
        report = report_drift(store, card, config.drift)
    _print(report, make_console(stderr=False), everything)
    if any(group.alarms for group in report.groups):
        raise typer.Exit(1)


def _print(report: "DriftReport", console: "Console", everything: bool) -> None:
    from rich.markup import escape

    if report.reference:
        console.print(
            f"[bold]{escape(report.reference.model)}[/]  [dim]made with {report.reference.films:,} films, "
            f"{report.reference.reports:,} drafts; the last {report.days} days; a group alarms falsely in "
            f"{report.false_alarm_rate:.3g} of all looks[/]",
            soft_wrap=True,
        )
    for group in report.groups:
        name = escape(group.scanner) if group.scanner else "all scanners"
        console.print(f"\n[bold cyan]{name}[/]  {group.films:,} studies  {_verdict(group)}", soft_wrap=True)
        shown = [one for one in group.measures if everything or one.alarm]
        if shown:
            console.print(_table(shown))


def _verdict(group: "Group") -> str:
    if not group.enough:
        return "[dim]○ too few to tell[/]"
    if group.alarms:
        return f"[bold red]▲ {len(group.alarms)} of {len(group.measures)} measures have changed[/]"
    return f"[green]● as in the reference ({len(group.measures)} measures)[/]"


def _table(measures: "list[ComparedMeasure]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("", "measure", "reference", "seen", "PSI", "limit"):
        table.add_column(column, justify="right" if column in ("PSI", "limit") else "left", no_wrap=True)
    table.add_column("most changed", overflow="fold")
    for one in sorted(measures, key=lambda one: (not one.alarm, one.kind, -one.psi / max(one.limit, 1e-9))):
        mark = "[bold red]▲[/]" if one.alarm else "[green]●[/]"
        bars = (f"[dim]{_bars(one.expected)}[/]", _bars(one.seen))
        table.add_row(mark, one.name, *bars, f"{one.psi:.3f}", f"{one.limit:.3f}", _most_changed(one))
    return table


def _bars(shares: tuple[float, ...]) -> str:
    return "".join(_HEIGHTS[min(round(share * 2 * 8), 8) or (share > 0)] for share in shares)


def _most_changed(one: "ComparedMeasure") -> str:
    """Return the bin whose share has changed most, with both shares."""
    bin_ = max(range(len(one.seen)), key=lambda index: abs(one.seen[index] - one.expected[index]))
    if one.labels:
        what = one.labels[bin_].lower()
    else:
        edges = one.edges or ()
        what = f"{edges[bin_]:.3g} … {edges[bin_ + 1]:.3g}"
    return f"{what}: {100 * one.expected[bin_]:.0f} → {one.seen[bin_]:.0%}"
