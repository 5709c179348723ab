"""The one door to the database: every change is one transaction with its line in the audit log."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self, get_args

from sqlalchemy import Select, func, or_, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from radlet.core.errors import DataError
from radlet.reading.store import audit
from radlet.reading.store.database import open_database, sqlite_url
from radlet.reading.store.tables import (
    AuditRow,
    DraftRow,
    EditRow,
    FeedbackRow,
    ImageRow,
    OutboxRow,
    SignatureRow,
    StudyRow,
    StudyState,
    new_id,
    now,
)
from radlet.reading.store.troubles import BusyError, troubles_told

FILMS = "films"


class NotThereError(DataError):
    """There is no row of that identifier."""


class StateError(DataError):
    """What was asked does not go with the state of the study."""


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
        spacing_mm: Between rows and between columns.
    """

    content: bytes
    suffix: str
    height_px: int
    width_px: int
    sop_instance_uid: str | None = None
    series_uid: str | None = None
    view: str | None = None
    spacing_mm: tuple[float, float] | None = None


class Store:
    """Studies, drafts, edits and signatures.

    Args:
        data_dir: Folder of the films, and of the database where no URL is given.
        url: Of the database.

    Raises:
        ConfigError: The URL names no supported database.
        DataError: The database cannot be opened.
    """

    def __init__(self, data_dir: Path, url: str | None = None) -> None:
        # Films are patients' data: nobody else on the machine may read them.
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data_dir = data_dir
        self._engine = open_database(url or sqlite_url(data_dir))
        self._reading = self._engine.execution_options(writes=False)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Look at a consistent state; changes are not kept."""
        with troubles_told(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Change something: all of it, with its lines in the audit log, or nothing."""
        with troubles_told(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def add_film(self, study: NewStudy, film: NewFilm, actor: str) -> tuple[str, str, bool]:
        """Keep a film of a study; one whose SOP Instance UID is known is not kept twice.

        The file is on the disk before the row that speaks of it.

        Returns:
            Identifier of the study, of the film, and whether it is new.
        """
        known = self._known_film(film)
        if known:
            return *known, False
        image_id = new_id()
        path = Path(FILMS) / image_id[:2] / f"{image_id}{film.suffix}"
        with troubles_told():
            write_durably(self.data_dir / path, film.content)
        try:
            with self.writing() as session:
                row = self._study_of(session, study)
                position = session.scalar(select(func.count()).where(ImageRow.study_id == row.id)) or 0
                image = ImageRow(
                    id=image_id,
                    study_id=row.id,
                    position=position,
                    sop_instance_uid=film.sop_instance_uid,
                    series_uid=film.series_uid,
                    path=str(path),
                    sha256=hashlib.sha256(film.content).hexdigest(),
                    view=film.view,
                    height_px=film.height_px,
                    width_px=film.width_px,
                    spacing_mm=list(film.spacing_mm) if film.spacing_mm else None,
                )
                session.add(image)
                audit.append(session, actor, "film.add", image_id, study=row.id, sha256=image.sha256)
        except IntegrityError:
            # Another connection was faster with the same film.
            (self.data_dir / path).unlink(missing_ok=True)
            known = self._known_film(film)
            if known is None:
                raise
            return *known, False
        except BaseException:
            (self.data_dir / path).unlink(missing_ok=True)
            raise
        return row.id, image_id, True

    def worklist(
        self, state: StudyState | None = None, words: str | None = None, limit: int = 50, offset: int = 0
    ) -> tuple[list[StudyRow], int]:
        """Return studies, the newest first, with their films, and how many there are in all.

        Args:
            state: Only those in this state.
            words: Only those whose patient, accession number or description holds this.
            limit: At most so many.
            offset: Passing over so many.
        """
        wanted = select(StudyRow)
        if state:
            wanted = wanted.where(StudyRow.state == state)
        if words:
            fields = (StudyRow.patient_name, StudyRow.patient_id, StudyRow.accession_number, StudyRow.description)
            wanted = wanted.where(or_(*(field.icontains(words, autoescape=True) for field in fields)))
        with self.reading() as session:
            total = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
            page = wanted.options(selectinload(StudyRow.images)).order_by(StudyRow.received_at.desc(), StudyRow.id)
            return list(session.scalars(page.limit(limit).offset(offset))), total

    def study(self, study_id: str) -> StudyRow:
        """Return a study with all that belongs to it.

        Raises:
            NotThereError: There is none.
        """
        with self.reading() as session:
            found = session.scalars(_whole(study_id)).first()
        if found is None:
            raise NotThereError("There is no such study.")
        return found

    def counts(self) -> dict[str, int]:
        """Return how many studies are in each state."""
        with self.reading() as session:
            rows = session.execute(select(StudyRow.state, func.count()).group_by(StudyRow.state)).all()
        found = {state: count for state, count in rows}  # noqa: C416 - rows are no tuples to a type checker
        return {state: found.get(state, 0) for state in get_args(StudyState)}

    def answers(self) -> bool:
        """Say whether the database can be asked."""
        try:
            with self.reading() as session:
                session.execute(select(1))
        except (SQLAlchemyError, BusyError):
            return False
        return True

    def priors(self, study: StudyRow) -> list[StudyRow]:
        """Return earlier studies of the same patient, the latest first."""
        if not study.patient_id:
            return []
        same = select(StudyRow).where(StudyRow.patient_id == study.patient_id, StudyRow.id != study.id)
        with self.reading() as session:
            found = session.scalars(same.options(selectinload(StudyRow.images), selectinload(StudyRow.signatures)))
            return sorted(found, key=_taken, reverse=True)

    def image(self, image_id: str) -> ImageRow:
        """Return a film.

        Raises:
            NotThereError: There is none.
        """
        with self.reading() as session:
            found = session.get(ImageRow, image_id)
        if found is None:
            raise NotThereError("There is no such film.")
        return found

    def path_of(self, image: ImageRow) -> Path:
        """Return the file of a film."""
        return self.data_dir / image.path

    def add_draft(
        self, draft: DraftRow, actor: str, deliveries: Callable[[DraftRow], Iterable[OutboxRow]] = lambda _: ()
    ) -> DraftRow:
        """Keep a draft; a study that nobody has edited is then drafted.

        Args:
            draft: To keep.
            actor: Who had it written.
            deliveries: What is to be sent of it; kept with it or not at all.
        """
        with self.writing() as session:
            study = _get(session, draft.study_id)
            session.add(draft)
            if study.state in ("new", "refused", "drafted"):
                study.state = "drafted"
            session.flush()
            session.add_all(deliveries(draft))
            audit.append(session, actor, "draft.add", draft.id, study=study.id, checkpoint=draft.checkpoint_digest)
        return draft

    def refuse(self, study_id: str, reasons: Sequence[str], actor: str) -> None:
        """Note that the input gate refused every film of a study."""
        with self.writing() as session:
            study = _get(session, study_id)
            if study.state == "new":
                study.state = "refused"
            audit.append(session, actor, "study.refuse", study_id, reasons=list(reasons))

    def save_edit(self, study_id: str, text: str, author: str, reading_s: float | None = None) -> EditRow:
        """Keep a reader's text.

        Raises:
            NotThereError: There is no such study.
            StateError: It is signed.
        """
        with self.writing() as session:
            study = _get(session, study_id)
            if study.state == "signed":
                raise StateError("This report is signed. Reopen it before it is edited.")
            edit = EditRow(
                study_id=study_id, draft_id=_last_draft(study), author=author, text=text, reading_s=reading_s
            )
            session.add(edit)
            study.state = "edited"
            session.flush()
            audit.append(session, author, "study.edit", study_id, edit=edit.id)
        return edit

    def sign(
        self,
        study_id: str,
        text: str,
        signer: str,
        reading_s: float | None = None,
        deliveries: Callable[[SignatureRow], Iterable[OutboxRow]] = lambda _: (),
    ) -> SignatureRow:
        """Keep a text as the report that a person answers for.

        Args:
            study_id: Of the study.
            text: Of the report.
            signer: Who answers for it.
            reading_s: How long the study was open before.
            deliveries: What is to be sent of it; kept with it or not at all.

        Raises:
            NotThereError: There is no such study.
            StateError: It is signed already, or the text is empty.
        """
        if not text.strip():
            raise StateError("An empty report cannot be signed.")
        with self.writing() as session:
            study = _get(session, study_id)
            if study.state == "signed":
                raise StateError("This report is signed already.")
            digest = hashlib.sha256(text.encode()).hexdigest()
            signature = SignatureRow(
                study_id=study_id,
                draft_id=_last_draft(study),
                text=text,
                text_sha256=digest,
                signed_by=signer,
                reading_s=reading_s,
            )
            session.add(signature)
            study.state = "signed"
            session.flush()
            session.add_all(deliveries(signature))
            audit.append(session, signer, "study.sign", study_id, signature=signature.id, text_sha256=digest)
        return signature

    def reopen(self, study_id: str, author: str) -> None:
        """Let a signed report be edited again; its signature stays in the record.

        Raises:
            NotThereError: There is no such study.
            StateError: It is not signed.
        """
        with self.writing() as session:
            study = _get(session, study_id)
            if study.state != "signed":
                raise StateError("Only a signed report can be reopened.")
            study.state = "edited"
            audit.append(session, author, "study.reopen", study_id)

    def add_feedback(self, draft_id: str, kind: str, note: str, author: str) -> None:
        """Keep what a reader says of a draft.

        Raises:
            NotThereError: There is no such draft.
        """
        with self.writing() as session:
            if session.get(DraftRow, draft_id) is None:
                raise NotThereError("There is no such draft.")
            session.add(FeedbackRow(draft_id=draft_id, kind=kind, note=note, author=author))
            audit.append(session, author, "draft.feedback", draft_id, kind=kind)

    def note(self, actor: str, action: str, subject: str, **detail: Any) -> None:
        """Add a line to the audit log for something that changes no other table."""
        with self.writing() as session:
            audit.append(session, actor, action, subject, **detail)

    def audit_lines(self) -> Iterator[AuditRow]:
        """Yield the audit log from its beginning."""
        with self.reading() as session:
            yield from session.scalars(select(AuditRow).order_by(AuditRow.number), execution_options={"yield_per": 500})

    def _known_film(self, film: NewFilm) -> tuple[str, str] | None:
        if film.sop_instance_uid is None:
            return None
        with self.reading() as session:
            found = session.scalars(select(ImageRow).where(ImageRow.sop_instance_uid == film.sop_instance_uid)).first()
        return (found.study_id, found.id) if found else None

    def _study_of(self, session: Session, study: NewStudy) -> StudyRow:
        found = None
        if study.study_uid:
            found = session.scalars(select(StudyRow).where(StudyRow.study_uid == study.study_uid)).first()
        if found is None:
            found = StudyRow(id=new_id(), **vars(study))
            session.add(found)
            session.flush()
        return found


def write_durably(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, so that it is there after a kill of the process and of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{new_id()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def _whole(study_id: str) -> Select[StudyRow]:
    parts = (StudyRow.images, StudyRow.drafts, StudyRow.edits, StudyRow.signatures)
    return select(StudyRow).where(StudyRow.id == study_id).options(*(selectinload(part) for part in parts))


def _get(session: Session, study_id: str) -> StudyRow:
    found = session.get(StudyRow, study_id, with_for_update=True)
    if found is None:
        raise NotThereError("There is no such study.")
    return found


def _last_draft(study: StudyRow) -> str | None:
    return study.drafts[-1].id if study.drafts else None


def _taken(study: StudyRow) -> tuple[str, datetime]:
    return study.study_date or "", study.received_at or now()
