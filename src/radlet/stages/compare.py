"""`radlet compare A B …`: several systems on the same reports, as one table, one page and one JSON file.

Leaves ``comparison.json`` (numbers, no id of a report) and ``comparison.html`` (with the texts of the reports on which
the systems differ most).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radlet.core.console import Progress
from radlet.core.runs import write_atomically
from radlet.evaluation.compared_systems import align, read_systems, with_baselines
from radlet.evaluation.comparison import ComparisonSettings, compare_systems
from radlet.evaluation.comparison_card import Comparison, Standing
from radlet.evaluation.comparison_page import render_comparison
from radlet.evaluation.readings import Readings
from radlet.evaluation.scorecard import PairedResult, number_text

if TYPE_CHECKING:
    from rich.console import Console

COMPARISON_JSON, COMPARISON_HTML = "comparison.json", "comparison.html"
_TABLE_WIDTH, _METRIC_WIDTH = 100, 28
"""Columns of text that the table takes, and that each further metric takes."""


def run_compare(
    given: Sequence[str],
    out: Path,
    settings: ComparisonSettings,
    baselines: bool,
    console: "Console",
    readings: Readings | None = None,
) -> Comparison:
    """Compare systems, write page and JSON into `out`, and return the numbers.

    Args:
        given: Each ``PATH`` or ``NAME=PATH``, the reference system first.
        out: Folder to write to.
        settings: How they are compared.
        baselines: Whether the baselines of evaluate runs stand beside the systems.
        console: Where to say what is going on.
        readings: What reads the texts; by default the rules.
    """
    systems = read_systems(given)
    lineup = align(systems)
    if lineup is not None and baselines:
        systems = with_baselines(systems)
        lineup = align(systems)
    comparison = compare_systems(systems, lineup, settings, Progress(console), readings)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / COMPARISON_JSON, comparison.model_dump_json(indent=2) + "\n")
    write_atomically(out / COMPARISON_HTML, render_comparison(comparison, lineup))
    announce_notes(comparison, console)
    return comparison


def print_comparison(comparison: Comparison, console: "Console") -> None:
    """Show one row a system, and as many further metrics as the console has room for."""
    from rich.markup import escape
    from rich.table import Table

    head, metrics = comparison.metrics[comparison.headline], comparison.metrics
    room = max(0, (console.width - _TABLE_WIDTH) // _METRIC_WIDTH)
    beside = [name for name, one in metrics.items() if one.direction and name != comparison.headline][:room]
    reports = f"{comparison.num_reports} reports of {comparison.num_patients} patients"
    reports = reports if comparison.num_reports else "scorecards side by side"
    table = Table(title=reports, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("system", overflow="fold")
    columns = (comparison.headline, f"minus {comparison.reference}", "p corr.", "best in")
    for column in (*columns, *beside):
        table.add_column(escape(column), justify="right", no_wrap=True)
    for system in comparison.systems:
        standing, difference = head.standings.get(system.name), head.differences.get(system.name)
        others = [metrics[name].standings.get(system.name) for name in beside]
        table.add_row(
            f"[bold]{escape(system.name)}[/]" if system.name == head.best else escape(system.name),
            "\N{EN DASH}" if standing is None else _interval(standing),
            _difference(difference, head.verdict(difference)),
            "" if difference is None or difference.p_corrected is None else f"{difference.p_corrected:.3f}",
            "" if standing is None or standing.best is None else f"{100 * standing.best:.0f} %",
            *(number_text(None if one is None else one.value) for one in others),
            style="dim" if system.baseline_of else "",
        )
    console.print(table)


def announce_notes(comparison: Comparison, console: "Console") -> None:
    """Say what a reader has to know before any number: reports left out, systems that cannot be tested."""
    from rich.markup import escape

    for note in comparison.notes:
        console.print(f"[bold yellow]note[/]  {escape(note)}", soft_wrap=True)


def _difference(result: PairedResult | None, verdict: str) -> str:
    if result is None:
        return ""
    text = f"{result.difference:+.3f} ({result.low:+.3f}, {result.high:+.3f})"
    colour = {"good": "green", "bad": "red"}.get(verdict)
    return f"[{colour}]{text}[/]" if colour else text


def _interval(standing: Standing) -> str:
    if standing.low is None or standing.high is None:
        return number_text(standing.value)
    return f"{standing.value:.3f} ({standing.low:.3f}, {standing.high:.3f})"
