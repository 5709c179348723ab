"""Which films a command was asked about: single files, folders, and JSONL manifests."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from radlet.core.errors import DataError

_FILM_SUFFIXES = {".png", ".jpg", ".jpeg", ".dcm", ".dicom", ""}


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
                FilmEntry(str(path.relative_to(file)), path, indication) for path in paths if _may_be_film(path)
            )
        elif file.suffix == ".jsonl":
            yield from _manifest(file, indication)
        elif file.is_file():
            yield FilmEntry(file.name, file, indication)
        else:
            raise DataError(f"{file}: does not exist. Give a film, a folder of films or a JSONL manifest.")


def _may_be_film(path: Path) -> bool:
    # Archives name DICOM files after their UID, whose last number then looks like a suffix.
    named_so = path.suffix.lower() in _FILM_SUFFIXES or path.suffix[1:].isdigit()
    return named_so and not path.name.startswith(".")


def _manifest(manifest: Path, indication: str | None) -> Iterator[FilmEntry]:
    try:
        # Not str.splitlines: JSON may hold U+2028 and other line ends inside a string.
        lines = manifest.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{manifest}: cannot be read ({error.__class__.__name__}). UTF-8 JSONL is needed.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            image, own_id, own_indication = row["image"], row.get("id"), row.get("indication")
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            message = f'{manifest}, line {number}: is no JSON object with an "image" path.'
            raise DataError(message) from None
        if not isinstance(image, str) or not isinstance(own_indication, str | None):
            raise DataError(f'{manifest}, line {number}: "image" must be a text, and "indication" a text or null.')
        path = manifest.parent / image  # an absolute image replaces the folder
        yield FilmEntry(path.name if own_id is None else str(own_id), path, own_indication or indication)
