"""Films as they come in: their files, which are on the disk before the rows that speak of them."""

import hashlib
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from radlet.core.errors import DataError
from radlet.core.runs import write_atomically
from radlet.reading.store.tables import ImageRow, StudyRow, new_id
from radlet.reading.store.troubles import troubles_told

FILMS = "films"
PRIOR = "prior"
"""Origin of studies that were fetched to be seen beside another."""
PASSING = "tmp"
"""Folder of films that are drafted and not kept."""
_LEFT_AFTER_S = 3600.0
"""No file that is being written, and no film that is being drafted, is as old."""


@dataclass(frozen=True)
class NewStudy:
    """A study as it comes in; see `StudyRow`."""

    origin: str
    study_uid: str | None = None
    patient_id: str | None = None
    patient_name: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    accession_number: str | None = None
    study_date: str | None = None
    description: str | None = None
    indication: str | None = None
    scanner: str | None = None


@dataclass(frozen=True)
class NewFilm:
    """A film as it comes in.

    Attributes:
        content: The file, as it was received.
        suffix: Of the file to write, like ``.dcm``.
        height_px: Rows.
        width_px: Columns.
        sop_instance_uid: Of the DICOM object, if it is one.
        series_uid: Likewise.
        view: PA, AP or LATERAL, where known.
        spacing_mm: Between rows and between columns of these pixels.
    """

    content: bytes
    suffix: str
    height_px: int
    width_px: int
    sop_instance_uid: str | None = None
    series_uid: str | None = None
    view: str | None = None
    spacing_mm: tuple[float, float] | None = None

    def row(self, image_id: str, study_id: str, position: int) -> ImageRow:
        """Return the row that speaks of it."""
        return ImageRow(
            id=image_id,
            study_id=study_id,
            position=position,
            sop_instance_uid=self.sop_instance_uid,
            series_uid=self.series_uid,
            path=str(self.path(image_id)),
            sha256=hashlib.sha256(self.content).hexdigest(),
            view=self.view,
            height_px=self.height_px,
            width_px=self.width_px,
            spacing_mm=list(self.spacing_mm) if self.spacing_mm else None,
        )

    def path(self, image_id: str) -> Path:
        """Return where its file stands in the data folder: it tells nothing but the identifier."""
        return Path(FILMS) / image_id[:2] / f"{image_id}{self.suffix}"


def known_film(session: Session, film: NewFilm) -> tuple[str, str] | None:
    """Return the identifiers of study and film, where one of that SOP Instance UID is kept."""
    if film.sop_instance_uid is None:
        return None
    found = session.scalars(select(ImageRow).where(ImageRow.sop_instance_uid == film.sop_instance_uid)).first()
    return (found.study_id, found.id) if found else None


def study_of(session: Session, study: NewStudy) -> StudyRow:
    """Return the study of that Study Instance UID; it is made where there is none.

    Raises:
        DataError: It is another patient's.
    """
    found = None
    if study.study_uid:
        found = session.scalars(select(StudyRow).where(StudyRow.study_uid == study.study_uid)).first()
    if found is None:
        found = StudyRow(id=new_id(), **vars(study))
        session.add(found)
        session.flush()
    elif found.patient_id and study.patient_id and found.patient_id != study.patient_id:
        # Whoever reads it would take the one for the other.
        raise DataError("The study is known under another patient ID.")
    else:
        take_up(found, study.origin)
    return found


def take_up(study: StudyRow, origin: str) -> None:
    """Let a study that was fetched as a prior, and now comes by itself, be read as any other."""
    if study.origin == PRIOR:
        study.origin = origin


def next_position(session: Session, study: StudyRow) -> int:
    """Return where the next film of a study stands."""
    return session.scalar(select(func.count()).where(ImageRow.study_id == study.id)) or 0


def discard(paths: Iterable[Path]) -> None:
    """Remove files of films, where they are there."""
    for path in paths:
        path.unlink(missing_ok=True)


def keep_file(path: Path, content: bytes) -> None:
    """Write a file of the store whole or not at all, in a folder that nobody but this user may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, content, writer=new_id())


def passing_folder(data_dir: Path) -> "TemporaryDirectory[str]":
    """Return a folder for films that are not kept; nobody but this user reads it, and it goes with its block.

    Raises:
        TroubleError: The disk is full, or read-only.
    """
    parent = data_dir / PASSING
    with troubles_told():
        parent.mkdir(exist_ok=True, mode=0o700)
        return TemporaryDirectory(dir=parent)


def sweep(data_dir: Path) -> int:
    """Delete what a process that was killed has left: films that were not kept, and half-written files.

    A film without a row is left alone: another database than the one at hand may know it.

    Returns:
        How many files and folders.
    """
    before = time.time() - _LEFT_AFTER_S
    left = (*(data_dir / PASSING).glob("*"), *data_dir.glob("*/*/.*.tmp"))
    old = [path for path in left if path.lstat().st_mtime < before]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)
