"""Journals: what a worker has finished, one JSON line an item, so that a killed run goes on where it stopped.

`ingest` and `quality` keep one a shard. A line is written after its item is done; a worker that takes a shard up again
skips what the journal holds, so that the end is the same as of an uninterrupted run.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

JOURNAL = "journal"
"""Folder of an unfinished run in which its shards keep what they have done."""


def recover_lines(journal: BinaryIO) -> Iterator[bytes]:
    """Yield the whole lines of a journal open for appending, then cut off one that a kill left unfinished."""
    journal.seek(0)
    # Bytes: a kill may leave half a character, and reports may hold line ends other than the line feed.
    while (line := journal.readline()).endswith(b"\n"):
        yield line
    if line:
        journal.seek(-len(line), os.SEEK_END)
        journal.truncate()


def append_line(journal: BinaryIO, row: dict[str, Any]) -> None:
    """Write one line, and hand it to the operating system, so that a kill of the process cannot lose it."""
    journal.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    journal.flush()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a finished journal."""
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)
