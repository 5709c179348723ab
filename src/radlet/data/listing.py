"""A source's listing on disk: what a `ListedSource` holds, seen once and cut into pieces that workers of `ingest` read.

Piece after piece and line after line it gives the order of the studies, whatever the number of workers.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from radlet.core.records import Study
from radlet.data.sources.base import ListedSource, RawStudy, Rejected

_NUM_HANDS = 32
"""Items are dealt out as to this many hands of cards, and each hand is cut into pieces."""
_PIECE_ITEMS = 512
"""Items of a piece: what one worker takes on, and what a killed one has to pass over."""


def list_source(source: ListedSource, folder: Path, on_item: Callable[[], None]) -> list[Path]:
    """Write the listing of a source to a folder, complete or not at all, and return its pieces in their order.

    A listing that is there is taken as it is, so that a killed run goes on with what it saw at its beginning.

    Args:
        source: What to list.
        folder: Holds raw ids and paths and the text of reports; made readable by its owner alone.
        on_item: Called for every study or refused item listed.
    """
    if not folder.is_dir():
        unfinished = folder.with_name(folder.name + ".tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        _write_pieces(source, unfinished, on_item)
        unfinished.rename(folder)
    return sorted(folder.iterdir())


def read_piece(path: Path) -> Iterator[RawStudy | Rejected]:
    """Yield the items of a piece."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row = json.loads(line)
            if "study" in row:
                yield RawStudy(Study.model_validate(row["study"]))
            else:
                yield Rejected(row["item_id"], row["reason"])


def _write_pieces(source: ListedSource, folder: Path, on_item: Callable[[], None]) -> None:
    with ExitStack() as stack:
        hands = [stack.enter_context(_Hand(folder, number)) for number in range(_NUM_HANDS)]
        for number, item in enumerate(source.list_studies(folder)):
            row = (
                {"item_id": item.item_id, "reason": item.reason}
                if isinstance(item, Rejected)
                else {"study": item.study.model_dump(mode="json")}
            )
            hands[number % _NUM_HANDS].write(json.dumps(row) + "\n")
            on_item()


class _Hand:
    """Every 32nd item, written to one piece after the other."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number
        self._num_items = 0
        self._pieces = ExitStack()

    def __enter__(self) -> "_Hand":
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.close()

    def write(self, line: str) -> None:
        if self._num_items % _PIECE_ITEMS == 0:
            self._pieces.close()
            path = self._folder / f"{self._number:04d}-{self._num_items // _PIECE_ITEMS:06d}.jsonl"
            self._file = self._pieces.enter_context(path.open("w", encoding="utf-8"))
        self._file.write(line)
        self._num_items += 1
