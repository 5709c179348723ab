"""List a source before its shards are given out, and show how far it is; for `ingest` and `deidentify`.

The listing may stand outside of the run directory, where it is private; it lives and dies with the run's journal.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from radlet.data.journals import JOURNAL
from radlet.data.listing import list_source
from radlet.data.sources.base import ListedSource


def list_shown(source: ListedSource, folder: Path, stage: str, console: Console) -> list[Path]:
    """Return the pieces of the source's listing in `folder`, made now or before the run was killed."""
    columns = (SpinnerColumn(), TextColumn(f"{stage}: {{task.completed:.0f}} studies listed"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        return list_source(source, folder, lambda: progress.advance(bar))


def make_folders(run_dir: Path, folders: Sequence[str], listing: Path) -> None:
    """Make the folders of a run, one of which is its journal.

    Where the run begins, a listing that one of the same name left behind goes: the raw data may be others by now.
    """
    if not (run_dir / JOURNAL).is_dir():
        shutil.rmtree(listing, ignore_errors=True)
    for folder in folders:
        (run_dir / folder).mkdir(exist_ok=True)


def forget(run_dir: Path, listing: Path) -> None:
    """Remove the listing and the journal of a run that ended, or of which nothing is worth going on with."""
    shutil.rmtree(listing, ignore_errors=True)
    shutil.rmtree(run_dir / JOURNAL, ignore_errors=True)
