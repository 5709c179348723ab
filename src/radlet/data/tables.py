"""Tables as institutions keep them (CSV, TSV, JSON, JSONL, Parquet), read as rows of plain values for the sources."""

import csv
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from radlet.core.errors import DataError

Row = dict[str, Any]


def read_table(path: Path) -> Iterator[Row]:
    """Yield the rows of a table; the format is told by the suffix. Empty text and NaN become None.

    Raises:
        DataError: The file is missing, its suffix is unknown, or its content is not what the suffix says.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: '{path.suffix}' is not a known kind of table. Allowed: {', '.join(_READERS)}. Convert the table."
        )
    try:
        for row in reader(path):
            yield {name: _plain(value) for name, value in row.items()}
    except (OSError, UnicodeDecodeError, ValueError, TypeError, AttributeError, csv.Error, pa.ArrowException) as error:
        # Only the kind of the error is told: its text may quote a row.
        raise DataError(
            f"{path}: cannot be read as {path.suffix} ({type(error).__name__}). "
            "Check that the file exists, is UTF-8 and is what its suffix says."
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _read_csv(path: Path) -> Iterator[Row]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            row.pop(None, None)  # cells beyond the header
            yield row


def _read_json(path: Path) -> Iterator[Row]:
    yield from json.loads(path.read_text(encoding="utf-8"))


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())


def _read_parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1024):
            yield from batch.to_pylist()


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
