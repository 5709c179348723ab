"""Manifests: records in Parquet files, written and read in batches; what stages hand to one another.

Plain fields become plain columns that any tool can query; nested ones become columns of JSON text.
"""

import json
import os
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from radlet.core.errors import DataError
from radlet.core.records import Example, Record, Study

STUDIES = "studies.parquet"
EXAMPLES = "examples.parquet"

_BATCH_ROWS = 1024
_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

R = TypeVar("R", bound=Record)


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write records of one class to a Parquet file, complete or not at all, and return how many they were.

    At most 1,024 records are held at a time. No records make a file without columns, which reads as no records.
    """
    remaining = iter(records)
    first = next(remaining, None)
    schema = _schema(type(first)) if first else pa.schema([])
    rest = chain([first] if first else [], remaining)
    temporary = path.with_name(path.name + ".tmp")
    count = 0
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while batch := list(islice(rest, _BATCH_ROWS)):
            writer.write_batch(pa.RecordBatch.from_pylist([_row(record, schema) for record in batch], schema=schema))
            count += len(batch)
    temporary.replace(path)
    return count


def join_records(path: Path, parts: Iterable[Path]) -> None:
    """Write the records of several files, one after the other, to one file, complete or not at all.

    One row group is held at a time. The file is the one that `write_records` writes of the same records, as long as
    every part but the last holds whole row groups.
    """
    temporary = path.with_name(path.name + ".tmp")
    with ExitStack() as stack:
        writer = None
        for part in parts:
            with _open(part) as file:
                if not file.schema_arrow.names:  # no records
                    continue
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(temporary, file.schema_arrow, compression="zstd"))
                for batch in file.iter_batches(_BATCH_ROWS):
                    writer.write_batch(batch)
    if writer is None:
        write_records(path, ())
    else:
        temporary.replace(path)


def count_row_groups(path: Path) -> int:
    """Return how many parts a file has that `read_records` reads one by one.

    Raises:
        DataError: The file is missing or is not Parquet.
    """
    with _open(path) as file:
        return int(file.num_row_groups)


def read_columns(path: Path, names: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield some columns of a file in batches: ``name -> values``, nested fields as JSON text.

    Raises:
        DataError: The file is missing or is not Parquet.
    """
    with _open(path) as file:
        if file.schema_arrow.names:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(names)):
                yield batch.to_pydict()


def read_records(path: Path, cls: type[R], row_group: int | None = None) -> Iterator[R]:
    """Yield the records of a Parquet file that `write_records` wrote, in order; all of them, or one row group's.

    Raises:
        DataError: The file is missing, is not Parquet, or holds another kind of record.
    """
    nested = [name for name in cls.model_fields if _plain_type(cls.model_fields[name].annotation) is None]
    with _open(path) as file:
        groups = range(file.num_row_groups) if row_group is None else [row_group]
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=list(groups)):
            for row in batch.to_pylist():
                yield _record(path, cls, row, nested)


def read_studies(run_dir: Path) -> Iterator[Study]:
    """Yield the studies of a finished ingest run; image paths are relative to `run_dir`."""
    return read_records(run_dir / STUDIES, Study)


def read_examples(run_dir: Path) -> list[Example]:
    """Return the examples of a finished build run, with absolute image paths."""
    base = run_dir.resolve()
    return [
        example.model_copy(
            update={"image_paths": tuple(os.path.normpath(base / image) for image in example.image_paths)}
        )
        for example in read_records(run_dir / EXAMPLES, Example)
    ]


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path}: is not a readable Parquet file ({type(error).__name__}). Give a finished run's."
        ) from None


def _schema(cls: type[Record]) -> pa.Schema:
    return pa.schema(
        [(name, _plain_type(field.annotation) or pa.string()) for name, field in cls.model_fields.items()],
        metadata={"radlet_record": cls.__name__},
    )


def _plain_type(annotation: Any) -> Any:
    """Return the Arrow type of a plain field (``str``, ``int | None``, words ...), None for a nested one."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        kinds = {_plain_type(part) for part in get_args(annotation) if part is not type(None)}
        return kinds.pop() if len(kinds) == 1 else None
    if origin is Literal:
        return pa.string()
    return _PLAIN.get(annotation)


def _row(record: Record, schema: pa.Schema) -> dict[str, Any]:
    row = record.model_dump(mode="json")
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in row.items()
        if name in schema.names
    }


def _record(path: Path, cls: type[R], row: dict[str, Any], nested: list[str]) -> R:
    for name in nested:
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    try:
        return cls.model_validate(row)
    except ValidationError as error:
        # The error's own text quotes the values, which may be a patient's.
        fields = ", ".join(sorted({str(item["loc"][0]) for item in error.errors(include_input=False) if item["loc"]}))
        raise DataError(
            f"{path}: does not hold records of the kind {cls.__name__} (wrong: {fields}). Run its stage again."
        ) from None
