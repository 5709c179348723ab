"""A reader study: pairs of drafts of two systems on one page, read offline by a radiologist who is not told whose.

The page holds films, drafts and the order that chance gave; which side is which system, and which report a case is,
stand in the key alone. The reader's answers come back as JSON (`evaluation.reader_results`).
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows
from radlet.core.records import Prediction, Record
from radlet.data.images import read_film
from radlet.data.manifests import read_examples
from radlet.evaluation.lineage import upstream_runs
from radlet.evaluation.pages import page_environment
from radlet.evaluation.pictures import film_uri
from radlet.evaluation.prediction_files import read_predictions
from radlet.metrics.rule_judge import ERROR_KINDS

PREDICTIONS = "predictions.jsonl"
_DIGEST_CHARS = 16

Side = Literal["A", "B"]


class KeyCase(Record):
    """What a case of the page is."""

    case: int
    id: str
    patient_id: str
    left: Side
    right: Side


class StudyKey(Record):
    """What the page must not tell."""

    version: int = 1
    study: str
    """Digest of the cases on the page; the readers' files carry it too."""
    seed: int
    systems: dict[Side, str]
    cases: tuple[KeyCase, ...]


@dataclass(frozen=True)
class StudyOptions:
    """How the page is made.

    Attributes:
        num_cases: So many cases, drawn by the seed; None: all.
        with_references: Whether the reference report stands beside the drafts.
        film_px: Longer side of the films.
        seed: Of the cases, their order and the sides.
    """

    num_cases: int | None = None
    with_references: bool = False
    film_px: int = 768
    seed: int = 0


@dataclass(frozen=True)
class ReaderStudy:
    """A page with its key."""

    html: str
    key: StudyKey
    num_films: int


def make_study(first: Path, second: Path, options: StudyOptions, progress: Progress | None = None) -> ReaderStudy:
    """Make the page and its key from two files of predictions, or runs of evaluate, with the same ids.

    Raises:
        DataError: A file cannot be read, or the two do not hold the same reports.
    """
    systems = {name: {one.example_id: one for one in read_predictions(_file(name))} for name in (first, second)}
    a, b = systems[first], systems[second] if second != first else {}
    _check_same(a, b, (first, second))
    films = _films(first) | _films(second)
    rng = np.random.default_rng(options.seed)
    names = [list(a)[index] for index in rng.permutation(len(a))][: options.num_cases]
    progress = progress or Progress(quiet=True)
    cases, entries = [], []
    for number, name in enumerate(progress.track(names, "cases", len(names)), start=1):
        swapped = bool(rng.integers(2))
        left, right = (b[name], a[name]) if swapped else (a[name], b[name])
        cases.append(_case(number, left, right, films.get(name), options))
        sides: tuple[Side, Side] = ("B", "A") if swapped else ("A", "B")
        entries.append(KeyCase(case=number, id=name, patient_id=a[name].patient_id, left=sides[0], right=sides[1]))
    study = hashlib.sha256(json.dumps(cases, sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARS]
    key = StudyKey(study=study, seed=options.seed, systems=_names(first, second), cases=tuple(entries))
    return ReaderStudy(_render(study, cases), key, sum(case["film"] is not None for case in cases))


def _file(path: Path) -> Path:
    return path / PREDICTIONS if path.is_dir() else path


def _check_same(a: dict[str, Prediction], b: dict[str, Prediction], paths: tuple[Path, Path]) -> None:
    if not b:
        raise DataError(f"{paths[0]}: is given twice. Give the predictions of two systems.")
    if a.keys() != b.keys():
        raise DataError(
            f"{paths[0]} and {paths[1]} do not hold the same reports: {len(a.keys() - b.keys())} ids are in the first "
            f"alone, {len(b.keys() - a.keys())} in the second alone. Give predictions for one split."
        )
    differing = sum((a[name].reference or "").strip() != (b[name].reference or "").strip() for name in a)
    if differing:
        raise DataError(
            f"{paths[0]} and {paths[1]} have other references for {differing} of {len(a)} ids. Give predictions for "
            "the same reports."
        )


def _names(first: Path, second: Path) -> dict[Side, str]:
    """Return what the systems are called; by their folders too where the files' names are the same."""
    names = [path.name if path.is_dir() else path.stem for path in (first, second)]
    if names[0] == names[1]:
        names = [f"{path.resolve().parent.name}-{name}" for path, name in zip((first, second), names, strict=True)]
    if names[0] == names[1]:
        names = [f"{name}-{number}" for number, name in enumerate(names, start=1)]
    return {"A": names[0], "B": names[1]}


def _films(path: Path) -> dict[str, Path]:
    """Return the film of each report: from the rows of the file, or from the build behind a run of evaluate."""
    if not path.is_dir():
        rows = (row for _, row in read_rows(path, "one JSON object a line"))
        return {str(row["id"]): path.parent / row["image"] for row in rows if isinstance(row.get("image"), str)}
    built = next((run.path for run in upstream_runs(path) if run.role == "examples" and run.path), None)
    if built is None:
        return {}
    return {one.example_id: Path(one.image_paths[0]) for one in read_examples(built) if one.image_paths}


def _case(number: int, left: Prediction, right: Prediction, film: Path | None, options: StudyOptions) -> dict[str, Any]:
    return {
        "case": number,
        "film": None if film is None else _picture(film, options.film_px),
        "reference": left.reference if options.with_references else None,
        "left": left.text,
        "right": right.text,
    }


def _picture(film: Path, size_px: int) -> str | None:
    """Return a film, its aspect kept, as a data URI; None where it cannot be read, which the page then says."""
    try:
        image = Image.fromarray(read_film(film).pixels)
    except DataError:
        return None
    image.thumbnail((size_px, size_px), Image.Resampling.BICUBIC)
    return film_uri(np.asarray(image))


def _render(study: str, cases: Sequence[dict[str, Any]]) -> str:
    script = _source("reader_study.js")
    style = _source("reader_study.css")
    content = {"study": study, "kinds": list(ERROR_KINDS), "cases": list(cases)}
    policy = "; ".join(_policy(script, style))
    return (
        page_environment()
        .get_template("reader_study.html.j2")
        .render(content=content, script=script, style=style, policy=policy, num_cases=len(cases))
    )


def _policy(script: str, style: str) -> Iterator[str]:
    """Yield what the page may do: run its own script, show its own films, and talk to nobody."""
    yield "default-src 'none'"
    yield "img-src data:"
    yield f"script-src {_hash(script)}"
    yield f"style-src {_hash(style)}"
    yield "base-uri 'none'"
    yield "form-action 'none'"


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _source(name: str) -> str:
    return (files("radlet.evaluation") / "templates" / name).read_text(encoding="utf-8")
