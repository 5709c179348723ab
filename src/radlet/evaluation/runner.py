"""Collect what each system writes for the same examples, a chunk at a time, so that a killed evaluation goes on.

Every system has one file of JSONL rows `{id, patient_id, reference, prediction}`, the form `radlet score` reads.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.core.runs import write_atomically

Draft = Callable[[Sequence[int]], list[str]]
"""Drafts for some rows of the examples, given by position."""


def draft_all(
    path: Path, examples: Sequence[Example], references: Sequence[str], draft: Draft, progress: Progress
) -> list[str]:
    """Return a draft for every example, reading those already in `path` and appending the rest.

    Raises:
        DataError: `path` holds drafts of other examples, or `draft` returned too few.
    """
    texts = _resume(path, examples)
    # Chunks begin at fixed positions, so that a resumed run drafts the same batches as an uninterrupted one.
    starts = range(len(texts), len(examples), _CHUNK_ROWS)
    for start in progress.track(starts, path.stem, len(starts)):
        rows = range(start, min(start + _CHUNK_ROWS, len(examples)))
        drafted = draft(rows)
        if len(drafted) != len(rows):
            raise DataError(f"{path.stem}: {len(drafted)} drafts for {len(rows)} examples.")
        with path.open("a", encoding="utf-8") as file:
            file.writelines(
                _line(examples[row], references[row], text) for row, text in zip(rows, drafted, strict=True)
            )
        texts += drafted
    return texts


_CHUNK_ROWS = 128


def _line(example: Example, reference: str, text: str) -> str:
    row = {
        "id": example.example_id,
        "patient_id": example.patient_id,
        "reference": reference,
        "prediction": text,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def _resume(path: Path, examples: Sequence[Example]) -> list[str]:
    """Return the drafts of the whole chunks in `path`, after cutting off what a killed run left behind them."""
    if not path.exists():
        return []
    lines = path.read_bytes().decode("utf-8", errors="replace").split("\n")[:-1]
    whole = len(lines) if len(lines) == len(examples) else len(lines) // _CHUNK_ROWS * _CHUNK_ROWS
    write_atomically(path, "".join(line + "\n" for line in lines[:whole]))
    rows = [json.loads(line) for line in lines[:whole]]
    if [row["id"] for row in rows] != [example.example_id for example in examples[:whole]]:
        raise DataError(f"{path.name}: holds drafts of other examples. Delete the unfinished run directory.")
    return [row["prediction"] for row in rows]
