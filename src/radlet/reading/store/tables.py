"""The tables. Changing one takes a new file in ``migrations/versions``; a test holds the two against each other."""

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, get_args

from sqlalchemy import JSON, CheckConstraint, DateTime, Dialect, ForeignKey, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

StudyState = Literal["new", "refused", "drafted", "edited", "signed"]
Role = Literal["reader", "admin", "machine"]
OutboxState = Literal["waiting", "sent", "dead"]


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: SQLite keeps no zone, and PostgreSQL tells moments in the zone of its own settings."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse moments without a zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError("A moment needs its zone.")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the moment its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an identifier that tells nothing."""
    return uuid.uuid4().hex


class Base(DeclarativeBase):
    """Base of the tables; constraints have names, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


def _one_of(column: str, words: Any) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in get_args(words))
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class StudyRow(Base):
    """One exam on the worklist."""

    __tablename__ = "studies"
    __table_args__ = (_one_of("state", StudyState),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_uid: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Study Instance UID (0020,000D); none for a film without a header."""
    patient_id: Mapped[str | None] = mapped_column(String(64), index=True)
    patient_name: Mapped[str | None] = mapped_column(String(324))
    """As in the header (0010,0010); shown to readers, never logged."""
    birth_date: Mapped[str | None] = mapped_column(String(8))
    sex: Mapped[str | None] = mapped_column(String(16))
    accession_number: Mapped[str | None] = mapped_column(String(16))
    study_date: Mapped[str | None] = mapped_column(String(8))
    description: Mapped[str | None] = mapped_column(Text)
    indication: Mapped[str | None] = mapped_column(Text)
    scanner: Mapped[str | None] = mapped_column(String(160))
    """Maker and model of what took the first film."""
    origin: Mapped[str] = mapped_column(String(64))
    """How it came: upload, dicom, prior (an earlier study that was asked for), demo."""
    state: Mapped[StudyState] = mapped_column(String(16), default="new", index=True)
    received_at: Mapped[datetime] = mapped_column(default=now, index=True)

    images: Mapped[list["ImageRow"]] = relationship(
        back_populates="study", order_by="ImageRow.position", cascade="all, delete-orphan"
    )
    drafts: Mapped[list["DraftRow"]] = relationship(order_by="DraftRow.created_at", cascade="all, delete-orphan")
    edits: Mapped[list["EditRow"]] = relationship(order_by="EditRow.created_at", cascade="all, delete-orphan")
    signatures: Mapped[list["SignatureRow"]] = relationship(
        order_by="SignatureRow.signed_at", cascade="all, delete-orphan"
    )

    @property
    def last_text(self) -> "EditRow | SignatureRow | None":
        """What a reader saved or signed last."""
        edit = self.edits[-1] if self.edits else None
        signature = self.signatures[-1] if self.signatures else None
        if edit is None or signature is None:
            return edit or signature
        return edit if edit.created_at > signature.signed_at else signature

    @property
    def age_years(self) -> float | None:
        """Whole years from birth to the study, where both are known."""
        if not (self.birth_date and self.study_date):
            return None
        years = int(self.study_date[:4]) - int(self.birth_date[:4]) - (self.study_date[4:] < self.birth_date[4:])
        return float(years) if years >= 0 else None


class ImageRow(Base):
    """One film of a study; the pixels are the file."""

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    sop_instance_uid: Mapped[str | None] = mapped_column(String(64), unique=True)
    series_uid: Mapped[str | None] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    """Relative to the data folder; made of identifiers alone."""
    sha256: Mapped[str] = mapped_column(String(64))
    view: Mapped[str | None] = mapped_column(String(16))
    height_px: Mapped[int]
    width_px: Mapped[int]
    spacing_mm: Mapped[list[Any] | None]
    """Distance between rows, and between columns, of the film as it is shown, where the header tells it."""
    received_at: Mapped[datetime] = mapped_column(default=now)

    study: Mapped[StudyRow] = relationship(back_populates="images")


class DraftRow(Base):
    """What a model wrote about a study, and everything it depends on."""

    __tablename__ = "drafts"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    """The film it was written from."""
    text: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(160))
    checkpoint_digest: Mapped[str] = mapped_column(String(64))
    image_path_digest: Mapped[str] = mapped_column(String(64))
    """Of the settings that turned the film into pixel values (`ImageSettings.digest`)."""
    engine: Mapped[str] = mapped_column(String(32))
    prompt: Mapped[str] = mapped_column(Text)
    sampling: Mapped[dict[str, Any]]
    radlet_version: Mapped[str] = mapped_column(String(32))
    gate: Mapped[dict[str, Any]]
    """Verdict of the input gate."""
    findings: Mapped[list[Any]] = mapped_column(default=list)
    """Named findings with state and probability."""
    sentences: Mapped[list[Any]] = mapped_column(default=list)
    """Sentences of the text with where they stand and how faithful their evidence maps are."""
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)


class EditRow(Base):
    """A reader's text, saved."""

    __tablename__ = "edits"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    draft_id: Mapped[str | None] = mapped_column(ForeignKey("drafts.id", ondelete="SET NULL"))
    author: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    reading_s: Mapped[float | None]
    """How long the study was open before this text, where the page told."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class SignatureRow(Base):
    """A report that a person has taken responsibility for."""

    __tablename__ = "signatures"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    draft_id: Mapped[str | None] = mapped_column(ForeignKey("drafts.id", ondelete="SET NULL"))
    text: Mapped[str] = mapped_column(Text)
    text_sha256: Mapped[str] = mapped_column(String(64))
    signed_by: Mapped[str] = mapped_column(String(64))
    reading_s: Mapped[float | None]
    signed_at: Mapped[datetime] = mapped_column(default=now)


class FeedbackRow(Base):
    """What a reader said of a draft."""

    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    draft_id: Mapped[str] = mapped_column(ForeignKey("drafts.id", ondelete="CASCADE"), index=True)
    author: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)


class AccountRow(Base):
    """A person or a machine that may log in."""

    __tablename__ = "accounts"
    __table_args__ = (_one_of("role", Role),)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[Role] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(String(256))
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)


class ApiKeyRow(Base):
    """A key of a machine; only its hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]


class SessionRow(Base):
    """A person who is logged in; only the hash of the cookie is kept."""

    __tablename__ = "sessions"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.name", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class AuditRow(Base):
    """One line of the audit log, chained to the one before by its hash."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    """An identifier of the store, never a name."""
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)


class OutboxRow(Base):
    """Something to be delivered to another system, until it has been."""

    __tablename__ = "outbox"
    __table_args__ = (_one_of("state", OutboxState),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    draft_id: Mapped[str | None] = mapped_column(ForeignKey("drafts.id", ondelete="CASCADE"))
    """What is delivered: a draft, or else"""
    signature_id: Mapped[str | None] = mapped_column(ForeignKey("signatures.id", ondelete="CASCADE"))
    """a signed report."""
    kind: Mapped[str] = mapped_column(String(32))
    """As what it is delivered."""
    destination: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    """Relative to the data folder; the file is written before it is first sent."""
    sop_instance_uid: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[OutboxState] = mapped_column(String(16), default="waiting", index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(default=now, index=True)
    peer_away: Mapped[bool] = mapped_column(default=False)
    """Whether the destination could not be reached at the last attempt."""
    last_error: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]
