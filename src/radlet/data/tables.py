"""Tables as institutions keep them (CSV, TSV, JSON, JSONL, Parquet, Arrow), read as rows of plain values.

The text formats may be packed with gzip (``.csv.gz``). JSON is read row by row, so a file of gigabytes is no matter,
and as leniently as the published sets need it: bare NaN, and lines of JSON in a file that is called ``.json``.
"""

import csv
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from radlet.core.errors import DataError

Row = dict[str, Any]

_UNREADABLE = (
    OSError, EOFError, UnicodeDecodeError, ValueError, TypeError, AttributeError,
    csv.Error, pa.ArrowException, zlib.error,
)  # fmt: skip
_CHUNK_CHARACTERS = 1 << 16
_BETWEEN_ROWS = " \t\r\n[],"


def read_table(path: Path, keep_undecodable: bool = False) -> Iterator[Row]:
    """Yield the rows of a table; the format is told by the suffix. Empty text and NaN become None.

    Args:
        path: The table.
        keep_undecodable: Go on where text is not UTF-8: its bytes stay as lone surrogates (PEP 383), by which
            `is_undecodable` knows the row. The caller must refuse such rows.

    Raises:
        DataError: The file is missing, its suffix is unknown, or its content is not what the suffix says.
    """
    suffix = table_suffix(path)
    reader = _READERS.get(suffix)
    if reader is None:
        raise DataError(
            f"{path}: '{suffix}' is not a known kind of table. Allowed: {', '.join(_READERS)}. Convert the table."
        )
    try:
        for row in reader(path):
            if not keep_undecodable and is_undecodable(row):
                raise UnicodeError
            yield {name: _plain(value) for name, value in row.items()}
    except _UNREADABLE as error:
        # Only the kind of the error is told: its text may quote a row.
        raise DataError(
            f"{path}: cannot be read as {suffix} ({type(error).__name__}). "
            "Check that the file exists, is UTF-8 and is what its suffix says."
        ) from None


def is_undecodable(row: Row) -> bool:
    """Tell whether a row holds text that is no Unicode: bytes that are not UTF-8, or half a surrogate pair."""
    return _is_broken(row)


def _is_broken(value: Any) -> bool:
    if isinstance(value, dict | list):
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        return any(_is_broken(part) for part in parts)
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def table_suffix(path: Path) -> str:
    """Return the suffix that tells the format, in small letters: ``.csv`` for ``x.csv`` and ``x.CSV.gz``."""
    return Path(path.stem).suffix.lower() if _is_packed(path) else path.suffix.lower()


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open_text(path: Path) -> TextIO:
    if _is_packed(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _read_csv(path: Path) -> Iterator[Row]:
    delimiter = "\t" if table_suffix(path) == ".tsv" else ","
    with _open_text(path) as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            row.pop(None, None)  # cells beyond the header
            yield row


def _read_json(path: Path) -> Iterator[Row]:
    """Yield the objects of an array, or objects one after the other, without holding the file in memory."""
    decoder = json.JSONDecoder()
    with _open_text(path) as file:
        text = file.read(_CHUNK_CHARACTERS).lstrip()
        open_arrays, ended = 0, False
        while True:
            row_text = text.lstrip(_BETWEEN_ROWS)
            between = text[: len(text) - len(row_text)]
            open_arrays += between.count("[") - between.count("]")
            text = row_text
            if not text and ended:
                break
            try:
                row, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                if ended:
                    raise
                # Less than a row is left. Reading as much again keeps long rows from being tried too often.
                chunk = file.read(max(_CHUNK_CHARACTERS, len(text)))
                ended = not chunk
                text += chunk
            else:
                yield row
                text = text[end:]
        if open_arrays:
            raise ValueError  # the file was cut off between two rows


def _read_jsonl(path: Path) -> Iterator[Row]:
    with _open_text(path) as file:
        yield from (json.loads(line) for line in file if line.strip())


def _read_parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1024):
            yield from batch.to_pylist()


def _read_arrow(path: Path) -> Iterator[Row]:
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as batches:
        for batch in batches:
            yield from batch.to_pylist()


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
}
