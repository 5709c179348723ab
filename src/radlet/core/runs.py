"""Run directories: what a stage leaves behind, complete or not at all.

    runs/align/tiny-4ca5e76d/   config.json  inputs.json  environment.json  metrics.jsonl  ...outputs...
                                outputs.json (size and sha256 of every file)  DONE (written last, atomically)

The name carries a digest of the configuration and of the upstream runs, so the same work always finds the same folder:
a finished one is not done again, an unfinished one is resumed. While a process writes into it, it holds the lock of the
file ``.lock`` there.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path
from typing import Any

from radlet import __version__
from radlet.core.config import StageConfig, resolved_json
from radlet.core.errors import DataError, RunError
from radlet.core.locks import lock_file

DONE = "DONE"
_LOCK = ".lock"
_BOOKKEEPING = {DONE, _LOCK, "outputs.json", "environment.json", "card.json", "card.html"}
"""Files about the run, which do not count towards its digest; the data card tells that digest."""
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".dcm"}
_held: dict[Path, int] = {}
"""Locks of this process: run directory -> descriptor. A process may open its own unfinished run again."""


class Run:
    """One run directory, open for writing until `finish` is called.

    Attributes:
        path: The directory.
        finished: True when an equal run had already finished; the stage should return at once.
    """

    def __init__(self, path: Path, finished: bool) -> None:
        self.path = path
        self.finished = finished

    def log(self, **values: Any) -> None:
        """Append one row to ``metrics.jsonl``; numbers and ids only, never text of a patient."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def output_digest(self) -> str:
        """Return the digest that the run would finish with now."""
        digest = hashlib.sha256()
        for text in self._listing():
            digest.update(text.encode())
        return digest.hexdigest()

    def finish(self) -> None:
        """List every output with its digest and write ``DONE``, last and atomically."""
        write_atomically(self.path / "outputs.json", self._listing())
        write_atomically(self.path / DONE, _done(sha256_file(self.path / "outputs.json")))
        self.finished = True
        _unlock(self.path)

    def _listing(self) -> Iterator[str]:
        """Yield the text of ``outputs.json`` in parts: a run may hold millions of films."""
        yield "{"
        between = ""
        for name in _files(self.path):
            file = self.path / name
            if name not in _BOOKKEEPING and file.suffix != ".tmp":
                entry = {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
                yield f"{between}\n {json.dumps(name)}: {json.dumps(entry, indent=1).replace(chr(10), chr(10) + ' ')}"
                between = ","
        yield "\n}" if between else "}"


def open_run(config: StageConfig, stage: str, inputs: Mapping[str, Path] | None = None) -> Run:
    """Make or find the run directory of `stage` for this configuration and these upstream runs.

    Args:
        config: The resolved configuration. Its name and folder do not count towards the digest.
        stage: Name of the stage; becomes the parent folder.
        inputs: Upstream run directories by the name of the configuration field that holds them. Their contents count
            towards the digest, not their paths, so that a moved run is still the same run.

    Raises:
        DataError: An upstream run is missing, unfinished or was changed after it finished, or this run was.
        RunError: The directory cannot be made, or another process is writing into it.
    """
    upstream = {
        name: {"path": str(path.resolve()), "digest": run_digest(path)} for name, path in (inputs or {}).items()
    }
    digests = {name: entry["digest"] for name, entry in upstream.items()}
    identity = config.model_dump(mode="json", exclude={*config.without_effect, *(inputs or {})})
    key = sha256_text(json.dumps([stage, identity, digests], sort_keys=True))[:8]
    path = config.runs_dir / stage / f"{config.name}-{key}"
    if (path / DONE).exists():
        run_digest(path)
        return Run(path, finished=True)
    _lock(path)
    if (path / DONE).exists():  # by a process that held the lock until now
        _unlock(path)
        run_digest(path)
        return Run(path, finished=True)
    write_atomically(path / "config.json", resolved_json(config))
    write_atomically(path / "inputs.json", json.dumps(upstream, indent=2, sort_keys=True) + "\n")
    write_atomically(path / "environment.json", json.dumps(_environment(), indent=2, sort_keys=True) + "\n")
    return Run(path, finished=False)


def run_digest(path: Path) -> str:
    """Return the digest of a finished run after checking that its files are still the ones it finished with.

    Films are checked by size alone: hashing an archive at every start would cost more than the stage.

    Raises:
        DataError: The run is missing, unfinished or was changed.
    """
    if not (path / DONE).is_file():
        state = "is not finished" if path.is_dir() else "does not exist"
        raise DataError(f"{path}: this run {state}. Give the folder of a finished run (it holds a file named {DONE}).")
    remedy = "Delete the folder and run its stage again."
    listing = path / "outputs.json"
    digest = sha256_file(listing) if listing.is_file() else ""
    if (path / DONE).read_bytes() != _done(digest).encode():
        raise DataError(f"{path}: outputs.json is not the one this run finished with. {remedy}")
    for name, entry in _listed(listing):
        file = path / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            raise DataError(f"{path}: '{name}' is missing or was changed after the run finished. {remedy}")
        if file.suffix.lower() not in _IMAGE_SUFFIXES and sha256_file(file) != entry["sha256"]:
            raise DataError(f"{path}: '{name}' was changed after the run finished. {remedy}")
    return digest


def check_stage(path: Path, stage: str, output: str) -> None:
    """Refuse a finished run that is not one of a stage; `open_run` refuses those that are not finished.

    Args:
        path: Run directory.
        stage: Name of the stage, for the message.
        output: File that a run of this stage leaves, and one of no other.

    Raises:
        DataError: The run does not hold the file.
    """
    if (path / DONE).is_file() and not (path / output).is_file():
        raise DataError(f"{path}: is no run of {stage}, for it holds no {output}. Give the folder of one.")


def check_made_from_ingest(path: Path, stage: str, output: str, ingest: Path) -> None:
    """Refuse a run that is not one of a stage, or was made from another ingest run.

    Raises:
        DataError: As `run_digest` and `check_stage`, or the ingest run is another one.
    """
    run_digest(path)
    check_stage(path, stage, output)
    upstream = json.loads((path / "inputs.json").read_text(encoding="utf-8")).get("ingest", {})
    if upstream.get("digest") != run_digest(ingest):
        raise DataError(f"{path}: was made from another ingest run than {ingest}. Run {stage} on this one.")


def write_atomically(path: Path, content: str | bytes | Iterable[str], writer: str = "") -> None:
    """Write a file so that a reader sees the old or the new content, never a part, also after the machine was killed.

    One writer at a time may write a path, unless each has a name.

    Args:
        path: The file.
        content: Its text, the parts of its text, or its bytes.
        writer: Of whoever writes beside others. Without, what a killed process left is written over by the next.
    """
    temporary = path.with_name(f".{path.name}{writer and f'.{writer}'}.tmp")
    parts = (content,) if isinstance(content, str | bytes) else content
    try:
        with temporary.open("wb") as file:
            file.writelines(part.encode() if isinstance(part, str) else part for part in parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    # The new name too must be on the disk.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _files(path: Path, folder: str = "") -> Iterator[str]:
    """Yield the names of all files under a run directory, relative to it, in the order of their text.

    One folder's names are held at a time.
    """
    with os.scandir(path / folder) as entries:
        names = sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)
    for name in names:
        if name.endswith("/"):
            yield from _files(path, folder + name)
        elif (path / folder / name).is_file():
            yield folder + name


def _listed(listing: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the entries of an ``outputs.json``, which `Run.finish` writes four lines each."""
    with listing.open(encoding="utf-8", newline="\n") as file:
        next(file)
        while (entry := "".join(islice(file, 4))).startswith(" "):
            yield from json.loads(f"{{{entry.rstrip().rstrip(',')}}}").items()


def _lock(path: Path) -> None:
    """Make the run directory and hold its lock until `_unlock`, or until the process ends."""
    if path.resolve() in _held and (path / _LOCK).exists():
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(
            f"{path}: the run directory cannot be made ({type(error).__name__}). Give a runs_dir that is a folder, or "
            "can become one, and may be written to."
        ) from None
    if not lock_file(descriptor, wait=False):
        os.close(descriptor)
        raise RunError(f"{path}: is being written by another process. Wait until it ends, or stop it, and try again.")
    _held[path.resolve()] = descriptor


def _unlock(path: Path) -> None:
    (path / _LOCK).unlink(missing_ok=True)
    descriptor = _held.pop(path.resolve(), None)
    if descriptor is not None:
        os.close(descriptor)


def _done(digest: str) -> str:
    return json.dumps({"digest": digest}) + "\n"


def _environment() -> dict[str, Any]:
    packages: Iterable[tuple[str, str]] = {(d.metadata["Name"] or "?", d.version) for d in distributions()}
    return {
        "radlet": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "num_cpus": os.cpu_count(),
        "packages": dict(sorted(packages)),
    }
