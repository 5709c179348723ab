"""The one reader of line files that users hand in: predictions to score, manifests of films, reports to label.

A line ends at a line feed alone: JSON may hold U+2028 and other line ends inside a string, which `str.splitlines` would
cut. Messages name file and line, and never quote what stands there.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from radlet.core.errors import DataError

STANDARD_INPUT = Path("-")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that hold more than white space, each with its number from 1; ``-`` is standard input.

    Raises:
        DataError: The file cannot be read, or is not UTF-8 (with or without a byte order mark).
    """
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}). Give a file of lines.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text. Save it as UTF-8.") from None
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def parse_rows(path: Path, lines: Iterable[tuple[int, str]], form: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line's number and JSON object.

    Args:
        path: Where the lines come from, for messages.
        lines: As `read_lines` returns them.
        form: What a line should be, for messages.

    Raises:
        DataError: A line is not a JSON object.
    """
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{path}, line {number}: is not JSON. Give {form}.") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: is not a JSON object. Give {form}.")
        yield number, row


def read_rows(path: Path, form: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line's number and JSON object; both errors of `read_lines` and `parse_rows`."""
    yield from parse_rows(path, read_lines(path), form)
