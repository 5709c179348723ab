"""Which films a command was asked about: single files, folders, and JSONL manifests."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from radlet.core.errors import DataError

_FILM_SUFFIXES = {".png", ".jpg", ".jpeg", ".dcm", ""}


@dataclass(frozen=True)
class FilmEntry:
    """One film to be read.

    Attributes:
        entry_id: The manifest's id, or the file's name.
        path: The film.
        indication: Why the study was made, if known.
    """

    entry_id: str
    path: Path
    indication: str | None = None


def list_films(files: Iterable[Path], indication: str | None = None) -> Iterator[FilmEntry]:
    """Yield the films that files, folders (searched to the bottom) and JSONL manifests stand for.

    Raises:
        DataError: A path does not exist, or a manifest row cannot be read; the message names file and line.
    """
    for file in files:
        if file.is_dir():
            paths = sorted(path for path in file.rglob("*") if path.is_file())
            yield from (
                FilmEntry(str(path.relative_to(file)), path, indication)
                for path in paths
                if path.suffix.lower() in _FILM_SUFFIXES and not path.name.startswith(".")
            )
        elif file.suffix == ".jsonl":
            yield from _manifest(file, indication)
        elif file.is_file():
            yield FilmEntry(file.name, file, indication)
        else:
            raise DataError(f"{file}: does not exist. Give a film, a folder of films or a JSONL manifest.")


def _manifest(manifest: Path, indication: str | None) -> Iterator[FilmEntry]:
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{manifest}: cannot be read ({error.__class__.__name__}).") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            image = Path(str(row["image"]))
        except (json.JSONDecodeError, KeyError, TypeError):
            message = f'{manifest}, line {number}: is no JSON object with an "image" path.'
            raise DataError(message) from None
        path = image if image.is_absolute() else manifest.parent / image
        yield FilmEntry(str(row.get("id", image.name)), path, row.get("indication") or indication)
