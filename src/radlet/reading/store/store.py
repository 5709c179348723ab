"""The one door to the database: every change is one transaction with its line in the audit log."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, get_args

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from radlet.reading.store import audit
from radlet.reading.store.basis import NOTHING, Basis, NotThereError, StateError, refuse_overtaken, seen_draft
from radlet.reading.store.database import for_reading, make_folder, open_database, sqlite_url
from radlet.reading.store.films import (
    NewFilm,
    NewStudy,
    discard,
    keep_file,
    known_film,
    next_position,
    study_of,
    take_up,
)
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
)
from radlet.reading.store.troubles import BusyError, TroubleError, troubles_told
from radlet.reading.store.worklist import listed, of_same_patient, page_of, taken_at, whole

_AUDIT_PAGE = 500


class Store:
    """Studies, drafts, edits and signatures.

    Args:
        data_dir: Folder of the films, and of the database where no URL is given.
        url: Of the database.

    Raises:
        ConfigError: The URL names no supported database.
        DataError: The folder cannot be written, or the database cannot be opened.
    """

    def __init__(self, data_dir: Path, url: str | None = None) -> None:
        make_folder(data_dir)
        self.data_dir = data_dir
        self._engine = open_database(url or sqlite_url(data_dir))
        self._reading = for_reading(self._engine)

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
        """Keep a film of a study; see `add_films`."""
        return self.add_films([(study, film)], actor)[0]

    def add_films(self, films: Sequence[tuple[NewStudy, NewFilm]], actor: str) -> list[tuple[str, str, bool]]:
        """Keep films, each with its study, all or none; one whose SOP Instance UID is known is not kept twice.

        The files are on the disk before the rows that speak of them.

        Returns:
            Of each, the identifier of the study, of the film, and whether it is new.

        Raises:
            DataError: A study is known as another patient's.
        """
        given = [(study, film, new_id()) for study, film in films]
        # Most of what comes twice is known before a file is written for nothing.
        known = {image_id: self._known(film) for _, film, image_id in given}
        paths = {image_id: self.data_dir / film.path(image_id) for _, film, image_id in given if not known[image_id]}
        kept = None
        try:
            with troubles_told():
                for _, film, image_id in given:
                    if image_id in paths:
                        keep_file(paths[image_id], film.content)
            with self.writing() as session:
                kept = [_add_film(session, study, film, image_id, actor) for study, film, image_id in given]
        except BaseException as error:
            # Where the database went away at the end, the rows may be kept: one without its file would be the harm.
            if kept is None or not isinstance(error, BusyError):
                discard(paths.values())
            raise
        new = {image_id for _, image_id, is_new in kept if is_new}
        discard(path for image_id, path in paths.items() if image_id not in new)
        return kept

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
        wanted = listed(state, words)
        with self.reading() as session:
            total = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
            return list(session.scalars(page_of(wanted, limit, offset))), total

    def study(self, study_id: str) -> StudyRow:
        """Return a study with all that belongs to it.

        Raises:
            NotThereError: There is none.
        """
        with self.reading() as session:
            found = session.scalars(whole(study_id)).first()
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
        except (SQLAlchemyError, TroubleError):
            return False
        return True

    def priors(self, study: StudyRow) -> list[StudyRow]:
        """Return earlier studies of the same patient, the latest first."""
        if not study.patient_id:
            return []
        with self.reading() as session:
            return sorted(session.scalars(of_same_patient(study)), key=taken_at, reverse=True)

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
        self,
        draft: DraftRow,
        actor: str,
        deliveries: Callable[[DraftRow], Iterable[OutboxRow]] = lambda _: (),
        *,
        first: bool = False,
    ) -> DraftRow:
        """Keep a draft; a study that nobody has edited is then drafted.

        Args:
            draft: To keep.
            actor: Who had it written.
            deliveries: What is to be sent of it; kept with it or not at all.
            first: Keep it only where there is none yet.

        Raises:
            NotThereError: There is no such study.
            StateError: The study is signed, or is no longer new where the draft should be the first.
        """
        with self.writing() as session:
            study = _get(session, draft.study_id)
            if study.state == "signed":
                raise StateError("This report is signed. Reopen it before it is drafted anew.")
            if first and study.state != "new":
                raise StateError("The study has been drafted, edited or refused meanwhile.")
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

    def save_edit(
        self, study_id: str, text: str, author: str, reading_s: float | None = None, based_on: Basis = NOTHING
    ) -> EditRow:
        """Keep a reader's text.

        Args:
            study_id: Of which study.
            text: To keep.
            author: Who wrote it.
            reading_s: How long the study has been open.
            based_on: What the author had seen.

        Raises:
            NotThereError: There is no such study, or it has no such draft.
            OvertakenError: Another text was kept since.
            StateError: It is signed.
        """
        with self.writing() as session:
            study = _get(session, study_id)
            refuse_overtaken(study, based_on)
            if study.state == "signed":
                raise StateError("This report is signed. Reopen it before it is edited.")
            edit = EditRow(
                study_id=study_id, draft_id=seen_draft(study, based_on), author=author, text=text, reading_s=reading_s
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
        based_on: Basis = NOTHING,
        deliveries: Callable[[SignatureRow], Iterable[OutboxRow]] = lambda _: (),
    ) -> SignatureRow:
        """Keep a text as the report that a person answers for.

        Args:
            study_id: Of the study.
            text: Of the report.
            signer: Who answers for it.
            reading_s: How long the study was open before.
            based_on: What the signer had seen.
            deliveries: What is to be sent of it; kept with it or not at all.

        Raises:
            NotThereError: There is no such study, or it has no such draft.
            OvertakenError: Another text was kept since.
            StateError: It is signed already, or the text is empty.
        """
        if not text.strip():
            raise StateError("An empty report cannot be signed.")
        with self.writing() as session:
            study = _get(session, study_id)
            refuse_overtaken(study, based_on)
            if study.state == "signed":
                raise StateError("This report is signed already.")
            digest = hashlib.sha256(text.encode()).hexdigest()
            signature = SignatureRow(
                study_id=study_id,
                draft_id=seen_draft(study, based_on),
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
        # Page by page: no cursor stays open in the database where somebody stops reading.
        page = select(AuditRow).order_by(AuditRow.number).limit(_AUDIT_PAGE)
        with self.reading() as session:
            rows = session.scalars(page).all()
            while rows:
                yield from rows
                rows = session.scalars(page.where(AuditRow.number > rows[-1].number)).all()

    def _known(self, film: NewFilm) -> tuple[str, str] | None:
        with self.reading() as session:
            return known_film(session, film)


def _add_film(session: Session, study: NewStudy, film: NewFilm, image_id: str, actor: str) -> tuple[str, str, bool]:
    # Another connection may have been faster; this one is now the only one that writes.
    known = known_film(session, film)
    if known:
        take_up(session.get_one(StudyRow, known[0]), study.origin)
        return *known, False
    row = study_of(session, study)
    image = film.row(image_id, row.id, next_position(session, row))
    session.add(image)
    audit.append(session, actor, "film.add", image_id, study=row.id, sha256=image.sha256)
    return row.id, image_id, True


def _get(session: Session, study_id: str) -> StudyRow:
    found = session.get(StudyRow, study_id, with_for_update=True)
    if found is None:
        raise NotThereError("There is no such study.")
    return found
