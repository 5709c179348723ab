"""Which films a command was asked about: single files, folders, and JSONL manifests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from radlet.core.errors import DataError
from radlet.core.jsonl import read_rows

_FILM_SUFFIXES = {".png", ".jpg", ".jpeg", ".dcm", ".dicom", ""}
_FORM = (
    'one JSON object a line: {"image": path of the film, "id": optional, "indication": optional, "question": optional}'
)


@dataclass(frozen=True)
class FilmEntry:
    """One film to be read.

    Attributes:
        entry_id: The manifest's id, or the file's name.
        path: The film.
        indication: Why the study was made, if known.
        question: What is asked about it, if anything of its own.
    """

    entry_id: str
    path: Path
    indication: str | None = None
    question: str | None = None


def list_films(
    files: Iterable[Path], indication: str | None = None, question: str | None = None
) -> Iterator[FilmEntry]:
    """Yield the films that files, folders (searched to the bottom) and JSONL manifests stand for.

    A manifest's own indication and question come before the given ones.

    Raises:
        DataError: A path does not exist, or a manifest row cannot be read; the message names file and line.
    """
    for file in files:
        if file.is_dir():
            paths = sorted(path for path in file.rglob("*") if path.is_file())
            yield from (
                FilmEntry(str(path.relative_to(file)), path, indication, question)
                for path in paths
                if _may_be_film(path)
            )
        elif file.suffix == ".jsonl":
            yield from _manifest(file, indication, question)
        elif file.is_file():
            yield FilmEntry(file.name, file, indication, question)
        else:
            raise DataError(f"{file}: does not exist. Give a film, a folder of films or a JSONL manifest.")


def _may_be_film(path: Path) -> bool:
    # Archives name DICOM files after their UID, whose last number then looks like a suffix.
    named_so = path.suffix.lower() in _FILM_SUFFIXES or path.suffix[1:].isdigit()
    return named_so and not path.name.startswith(".")


def _manifest(manifest: Path, indication: str | None, question: str | None) -> Iterator[FilmEntry]:
    for number, row in read_rows(manifest, _FORM):
        image, own_id = row.get("image"), row.get("id")
        if not isinstance(image, str) or not image.strip():
            raise DataError(f'{manifest}, line {number}: has no "image" that is the path of a film. Give {_FORM}.')
        for name in ("indication", "question"):
            if not isinstance(row.get(name), str | None):
                raise DataError(f'{manifest}, line {number}: "{name}" must be a text or null.')
        path = manifest.parent / image  # an absolute image replaces the folder
        entry_id = path.name if own_id is None else str(own_id)
        yield FilmEntry(entry_id, path, row.get("indication") or indication, row.get("question") or question)
