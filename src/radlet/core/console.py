"""The terminal: one console for messages and one way to show that long work is going on.

Everything goes to standard error, so that standard output carries results alone. Where nobody watches (a file, a
pipe), a progress display becomes a line now and then.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 20.0


def make_console(stderr: bool = True) -> "Console":
    """Return the console for messages, on standard error, or the one for tables of results, on standard output."""
    from rich.console import Console  # noqa: PLC0415 - the terminal library loads when something is shown

    return Console(stderr=stderr, highlight=False)


class Progress:
    """Show how far a piece of work is."""

    def __init__(self, console: "Console | None" = None, quiet: bool = False) -> None:
        self.console = console or make_console()
        self._quiet = quiet

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, showing `what` and how many of `total` are done."""
        if self._quiet or not self.console.is_terminal:
            yield from self._track_by_lines(items, what, total)
            return
        from rich import progress as bars  # noqa: PLC0415

        columns = (
            bars.TextColumn("[dim]{task.description:>12}"),
            bars.BarColumn(bar_width=32),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=self.console, transient=True) as display:
            yield from display.track(items, total=total, description=what)

    def _track_by_lines(self, items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
        last = time.monotonic()
        for done, item in enumerate(items):
            if not self._quiet and time.monotonic() - last > _SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                self.console.print(f"  {what}: {done}/{total or '?'}")
                sys.stderr.flush()
            yield item
