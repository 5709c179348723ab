"""What stages say on the terminal: where they work, what trains, that there is nothing to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def announce_start(console: "Console", stage: str, run_dir: Path) -> None:
    """Say that a stage begins, and where its run directory is."""
    console.print(f"[bold cyan]{stage}[/]  [dim]{run_dir}[/]")


def announce_finished(console: "Console", stage: str, run_dir: Path) -> Path:
    """Say that an equal run had finished before; return its directory."""
    console.print(f"[bold cyan]{stage}[/]  [green]already done[/] with this recipe and these inputs  [dim]{run_dir}[/]")
    return run_dir


def announce_trainable(console: "Console", counts: Mapping[str, tuple[int, int]]) -> None:
    """Show, part by part, how many parameters train and how many are frozen."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    table.add_column("  part")
    table.add_column("parameters", justify="right")
    table.add_column("")
    for part, (trainable, total) in counts.items():
        state = "[green]trains[/]" if trainable == total else f"[green]{trainable:,} train[/]"
        table.add_row(f"  {part}", f"{total:,}", state if trainable else "[dim]frozen[/]")
    console.print(table)
