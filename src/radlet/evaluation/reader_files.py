"""The files of a reader study: page and key out, the readers' files in, preference and counts out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from radlet.core.runs import write_atomically
from radlet.evaluation.reader_results import expert_counts, preference_lines, preferences, read_results
from radlet.evaluation.reader_study import ReaderStudy, Side

_SIDES: tuple[Side, ...] = ("A", "B")


def write_study(study: ReaderStudy, page: Path, key: Path) -> Iterator[str]:
    """Write page and key, and yield what is to be said of them."""
    for path, text in ((page, study.html), (key, study.key.model_dump_json(indent=1) + "\n")):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    yield f"{len(study.key.cases)} cases, {study.num_films} with a film; keep the page where the films are kept"
    yield f"page for the readers: {page}"
    yield f"key, which readers must not see: {key}"


def sum_up(results: Sequence[Path], key_path: Path, folder: Path, seed: int) -> Iterator[str]:
    """Sum up what readers saved, write it and their counts, and yield what is to be said of it.

    Raises:
        DataError: As `read_results` and `preferences`.
    """
    key, read = read_results(results, key_path)
    summary = preferences(key, read, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "preferences.json", summary.model_dump_json(indent=2) + "\n")
    yield from preference_lines(summary)
    yield str(folder / "preferences.json")
    for side in _SIDES:
        rows = expert_counts(key, read, side)
        path = folder / f"counts-{key.systems[side]}.jsonl"
        if rows:
            write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
            yield f"counts for judge-study: {path}"
