"""What the sources of published data sets share: finding their files, grouping rows by study, refusing films.

A published table lists films; its rows are put together to studies here, one shard at a time: a shard reads the tables
from the start and keeps its own studies only, so memory holds one shard of the text and the ids of all studies.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from radlet.core.errors import DataError
from radlet.core.records import ImageRecord, Study, View
from radlet.core.registry import nearest
from radlet.data.sources.base import RawStudy, Rejected
from radlet.data.tables import Row, read_table


def find_file(folder: Path, patterns: Sequence[str]) -> Path | None:
    """Return the first file of a folder that fits the first of the patterns that any file fits; None without one."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                return path
    return None


def require_file(folder: Path, patterns: Sequence[str], what: str) -> Path:
    """Return the file that `find_file` finds.

    Raises:
        DataError: There is none.
    """
    path = find_file(folder, patterns)
    if path is None:
        raise DataError(f"{folder}: holds no {what} ({' or '.join(patterns)}). Place it there, or correct the folder.")
    return path


def read_columns(path: Path, columns: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a table that must have the columns.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    for number, row in enumerate(read_table(path)):
        if number == 0:
            missing = sorted(set(columns) - set(row))
            if missing:
                raise DataError(f"{path} has no column '{missing[0]}'.{nearest(missing[0], list(row))}")
        yield row


def read_numbered(path: Path, columns: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of `read_columns`, each with a ``row_id`` that names it where it names nothing itself."""
    for number, row in enumerate(read_columns(path, columns), start=1):
        yield {**row, "row_id": f"{path.name}:{number}"}


def read_ids(path: Path) -> set[str]:
    """Return the lines of a list of ids.

    Raises:
        DataError: The list cannot be read.
    """
    try:
        return {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}). Give a text file of one id a line."
        ) from None


class ShardOfStudies:
    """Tells which studies belong to a shard: they are dealt out in the order in which the tables first name them."""

    def __init__(self, shard: int, num_shards: int) -> None:
        self._shard, self._num_shards = shard, num_shards
        self._order: dict[str, int] = {}

    def holds(self, study_id: str) -> bool:
        """Tell whether a study belongs to the shard, giving it the next place if it is new."""
        return self._order.setdefault(study_id, len(self._order)) % self._num_shards == self._shard

    def group(self, rows: Iterable[Row], study_of: Callable[[Row], str]) -> dict[str, list[Row]]:
        """Return ``study -> its rows`` for the studies of the shard, in the order of the rows."""
        groups: dict[str, list[Row]] = {}
        for row in rows:
            study_id = study_of(row)
            if self.holds(study_id):
                groups.setdefault(study_id, []).append(row)
        return groups


class FilmsOfStudy:
    """Gathers the films of one study; those that cannot be used are refused by id."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: set[str] = set()
        self.images: list[ImageRecord] = []
        self.rejected: list[Rejected] = []

    def add(self, image_id: str, paths: Sequence[str], view: View | None) -> None:
        """Take the film that stands at the first of `paths` (relative to the root) where there is a file."""
        problem = self._problem(image_id, paths)
        if problem:
            self.refuse(image_id, problem)
            return
        self._seen.add(image_id)
        found = next((path for path in paths if _is_file(self._root / path)), None)
        if found is None:
            self.refuse(image_id, "the file is missing")
            return
        self.images.append(ImageRecord(image_id=image_id, path=str((self._root / found).absolute()), view=view))

    def refuse(self, item_id: str, reason: str) -> None:
        """Refuse a film, or another item of the study."""
        self.rejected.append(Rejected(item_id, reason))

    def items(self, study: Study) -> Iterator[RawStudy | Rejected]:
        """Yield the study with its films, unless every film was refused, then what was refused."""
        if self.images or not self.rejected:
            yield RawStudy(study.model_copy(update={"images": tuple(self.images)}))
        yield from self.rejected

    def _problem(self, image_id: str, paths: Sequence[str]) -> str | None:
        if image_id in self._seen:
            return "the same film stands in an earlier row"
        normal = [posixpath.normpath(path) for path in paths]
        if any(PurePosixPath(path).is_absolute() or path.split("/", maxsplit=1)[0] == ".." for path in normal):
            return "its path leads out of the root folder"
        return None


def _is_file(path: Path) -> bool:
    """Tell whether there is such a file; a name that no file system takes is that of none."""
    try:
        return path.is_file()
    except OSError:
        return False


def previous_studies(moments: Iterable[tuple[str, str, tuple[float, ...]]]) -> dict[str, str]:
    """Return ``study -> the same patient's study before it`` from (study, patient, moment); ties are told by the id."""
    by_patient: dict[str, list[tuple[tuple[float, ...], str]]] = {}
    for study_id, patient_id, moment in moments:
        by_patient.setdefault(patient_id, []).append((moment, study_id))
    return {
        later: earlier
        for studies in by_patient.values()
        for (_, earlier), (_, later) in zip(sorted(set(studies)), sorted(set(studies))[1:], strict=False)
    }
