"""List a source before its shards are given out, and show how far it is; for `ingest` and `deidentify`."""

from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from radlet.data.listing import list_source
from radlet.data.sources.base import ListedSource


def list_shown(source: ListedSource, folder: Path, stage: str, console: Console) -> list[Path]:
    """Return the pieces of the source's listing in `folder`, made now or before the run was killed."""
    columns = (SpinnerColumn(), TextColumn(f"{stage}: {{task.completed:.0f}} studies listed"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        return list_source(source, folder, lambda: progress.advance(bar))
