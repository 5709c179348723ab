"""Published weights by name: licence, preprocessing, where to get them; and what of them lies in a folder here."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import DataError, UnknownNameError
from radlet.core.registry import nearest
from radlet.core.runs import sha256_file, write_atomically

LOCAL_RECORD = "weights.json"
"""In the folder of weights: digests of the files that were there when they were recorded."""

State = Literal["missing", "incomplete", "here", "as recorded", "changed"]
Digests = Mapping[str, Mapping[str, str]]
"""Name of the weights -> file -> sha256."""


class WeightRecord(Config):
    """What is known of one publication."""

    title: str
    """What it is."""
    kind: Literal["tower", "language_model", "report_model", "labeller"]
    """What it can be used as."""
    publisher: str
    """Who publishes it."""
    repository: str
    """Under which name."""
    licence: str
    """Its licence, as the publisher names it."""
    size_gb: float
    """Size on disk, about."""
    family: str = ""
    """``model_type`` of its configuration, as transformers has it."""
    template: str = ""
    """Prompt family it was tuned on."""
    preprocessing: str = ""
    """How it wants films."""
    files: tuple[str, ...]
    """Patterns of files that its folder must hold."""
    sha256: dict[str, str] = {}
    """Digests of its files, where they are known for certain."""
    note: str = ""
    """What else to know."""


@dataclass(frozen=True)
class Found:
    """What lies in the folder of one publication.

    Attributes:
        state: "here" is complete without any digest to hold it against; "changed" is another model too.
        detail: What is missing or changed; empty else.
    """

    state: State
    detail: str = ""


@lru_cache(maxsize=1)
def weight_records() -> dict[str, WeightRecord]:
    """Return every record by name."""
    table = tomllib.loads((files("radlet.models") / "weights.toml").read_text(encoding="utf-8"))
    return {name: WeightRecord.model_validate(entry) for name, entry in table.items()}


def weight_record(name: str) -> WeightRecord:
    """Return the record of that name.

    Raises:
        UnknownNameError: There is none.
    """
    known = weight_records()
    if name not in known:
        raise UnknownNameError(f"No weights are called '{name}'.{nearest(name, list(known))}")
    return known[name]


def look_up(folder: Path, name: str, recorded: Digests, *, verify: bool = False) -> Found:
    """Say what of a publication lies under ``folder/name``.

    Args:
        folder: Folder of weights.
        name: Of the publication.
        recorded: From `read_record`.
        verify: Hold the digest of every file against the record; else no file is read.
    """
    record, own = weight_record(name), folder / name
    if not own.is_dir():
        return Found("missing")
    absent = [pattern for pattern in record.files if not any(any(own.glob(one)) for one in pattern.split("|"))]
    absent += _absent_shards(own)
    if absent:
        return Found("incomplete", f"no {', no '.join(pattern.replace('|', ' or ') for pattern in absent)}")
    if other := _other_model(own, record.family):
        return Found("changed", other)
    digests = {**recorded.get(name, {}), **record.sha256}
    if not verify or not digests:
        return Found("here")
    wrong = [
        file for file, digest in digests.items() if not (own / file).is_file() or sha256_file(own / file) != digest
    ]
    return Found("changed", ", ".join(sorted(wrong))) if wrong else Found("as recorded")


def _other_model(folder: Path, family: str) -> str:
    """Return how config.json tells of another kind of model, or nothing; open_clip's folders have none."""
    path = folder / "config.json"
    if not (family and path.is_file()):
        return ""
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type", family)
    except (ValueError, AttributeError):
        return "config.json cannot be read"
    # A tower published by itself, and LLaVA in its authors' own layout, name themselves longer than their family.
    if model_type in (family, f"{family}_vision_model", f"{family}_llama"):
        return ""
    return f"config.json is of a {model_type}, not a {family}"


def _absent_shards(folder: Path) -> list[str]:
    """Return the files of weights that an index names and the folder lacks: a download that was broken off."""
    absent: set[str] = set()
    for index in folder.glob("*.index.json"):
        try:
            named = {str(file) for file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return [f"readable {index.name}"]
        # Weights that are published in two formats are complete in one.
        kind = index.name.removesuffix(".index.json")
        if not (folder / kind).is_file() and any((folder / file).is_file() for file in named):
            absent |= {file for file in named if not (folder / file).is_file()}
    return sorted(absent)


def read_record(folder: Path) -> Digests:
    """Return the digests that were recorded in a folder of weights; none when nothing was.

    Raises:
        DataError: The record is damaged.
    """
    path = folder / LOCAL_RECORD
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): {str(k): str(v) for k, v in digests.items()} for name, digests in content.items()}
    except (ValueError, AttributeError):
        raise DataError(f"{path}: is damaged. Delete it and record anew with radlet models --record.") from None


def record_weights(folder: Path, progress: Progress) -> Digests:
    """Write the digest of every file of every publication under `folder` into its record, and return them."""
    present = [name for name in weight_records() if (folder / name).is_dir()]
    paths = {name: sorted(path for path in (folder / name).rglob("*") if path.is_file()) for name in present}
    digests: dict[str, dict[str, str]] = {name: {} for name in present}
    every = [(name, path) for name, own in paths.items() for path in own]
    for name, path in progress.track(every, "files", len(every)):
        digests[name][path.relative_to(folder / name).as_posix()] = sha256_file(path)
    write_atomically(folder / LOCAL_RECORD, json.dumps(digests, indent=1, sort_keys=True) + "\n")
    return digests
