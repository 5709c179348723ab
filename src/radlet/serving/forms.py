"""What the reading room's own endpoints take and give."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from radlet.data.film import DeepFilm
from radlet.reading.evidence import Evidence
from radlet.reading.gate import GateVerdict
from radlet.reading.served_model import ModelIdentity
from radlet.reading.store.basis import Basis
from radlet.reading.store.tables import DraftRow, EditRow, ImageRow, Role, SignatureRow, StudyRow, StudyState

FeedbackKind = Literal["wrong", "missing", "right", "other"]


class Form(BaseModel):
    """Base: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Session(Form):
    """Who calls."""

    account: str
    roles: list[Role]
    csrf: str | None
    """To be sent back as X-CSRF-Token with whatever changes something; none where no cookie came."""
    ends_at: datetime | None


class Report(Form):
    """A reader's text."""

    text: str = Field(max_length=20_000)
    reading_s: float | None = Field(default=None, ge=0, le=86_400)
    """How long the study has been open."""
    based_on: str | None = Field(default=None, max_length=32)
    """The last edit or signature, whichever came later, that the text was written from; null for the draft."""
    draft_id: str | None = Field(default=None, max_length=32)
    """The draft that stood beside the text; where it is not told, the study's only draft is taken for it."""

    @property
    def basis(self) -> Basis:
        """What the reader had seen."""
        return Basis(self.based_on, self.draft_id)


class Question(Form):
    """Something asked about a study."""

    question: str = Field(min_length=1, max_length=2_000)


class Search(Form):
    """Words to search reports by."""

    text: str = Field(min_length=1, max_length=2_000)
    k: int = Field(default=5, ge=1, le=50)


class Feedback(Form):
    """What a reader says of a draft."""

    kind: FeedbackKind
    note: str = Field(default="", max_length=2_000)


class Model(Form):
    """Who writes."""

    name: str
    checkpoint_digest: str
    image_path_digest: str
    engine: str
    radlet_version: str
    notice: str

    @classmethod
    def of(cls, identity: ModelIdentity) -> Self:
        """Return an identity as it is told."""
        return cls(**vars(identity))


class Image(Form):
    """A film of a study."""

    id: str
    view: str | None
    height_px: int
    width_px: int
    spacing_mm: tuple[float, float] | None

    @classmethod
    def of(cls, row: ImageRow) -> Self:
        """Return a film as it is told."""
        spacing = (row.spacing_mm[0], row.spacing_mm[1]) if row.spacing_mm else None
        return cls(id=row.id, view=row.view, height_px=row.height_px, width_px=row.width_px, spacing_mm=spacing)


class FilmValues(Form):
    """How the values of a film are read: the header `Film` of an answer that holds them."""

    rows: int
    columns: int
    bits: int
    """Of a value: 8 or 16."""
    low: float
    """Display grey of the value 0; 0 is black and 1 is white in the window of the header."""
    high: float
    """Display grey of the highest value."""
    ends: tuple[float, float] | None
    """Modality values (DICOM PS3.3 C.11.1) of black and white; null where the header tells no linear window."""

    @classmethod
    def of(cls, film: DeepFilm) -> Self:
        """Tell of a film."""
        rows, columns = film.pixels.shape
        bits = 8 * film.pixels.dtype.itemsize
        return cls(rows=rows, columns=columns, bits=bits, low=film.low, high=film.high, ends=film.ends)


class Finding(Form):
    """What a draft says of an observation, and the probability that the encoder gives it."""

    observation: str
    state: str
    probability: float | None


class Draft(Form):
    """What a model wrote, and everything it depends on."""

    id: str | None
    """None for a draft that is not kept."""
    image_id: str | None
    text: str
    findings: list[Finding]
    sentences: list[tuple[int, int]]
    """Where they begin and end in the text."""
    gate: GateVerdict
    model: Model
    prompt: str
    sampling: dict[str, Any]
    seconds: float
    created_at: datetime | None

    @classmethod
    def of(cls, row: DraftRow, notice: str) -> Self:
        """Return a draft as it is told."""
        model = Model(
            name=row.model,
            checkpoint_digest=row.checkpoint_digest,
            image_path_digest=row.image_path_digest,
            engine=row.engine,
            radlet_version=row.radlet_version,
            notice=notice,
        )
        return cls(
            id=row.id,
            image_id=row.image_id,
            text=row.text,
            findings=[Finding(**finding) for finding in row.findings],
            sentences=[(start, end) for start, end in row.sentences],
            gate=GateVerdict.model_validate(row.gate),
            model=model,
            prompt=row.prompt,
            sampling=row.sampling,
            seconds=row.seconds,
            created_at=row.created_at,
        )


class Edit(Form):
    """A reader's saved text."""

    id: str
    text: str
    author: str
    created_at: datetime

    @classmethod
    def of(cls, row: EditRow) -> Self:
        """Return an edit as it is told."""
        return cls(id=row.id, text=row.text, author=row.author, created_at=row.created_at)


class Signature(Form):
    """A report that a person answers for."""

    id: str
    draft_id: str | None
    text: str
    text_sha256: str
    signed_by: str
    signed_at: datetime

    @classmethod
    def of(cls, row: SignatureRow) -> Self:
        """Return a signature as it is told."""
        return cls(
            id=row.id,
            draft_id=row.draft_id,
            text=row.text,
            text_sha256=row.text_sha256,
            signed_by=row.signed_by,
            signed_at=row.signed_at,
        )


class StudyLine(Form):
    """A line of the worklist."""

    id: str
    state: StudyState
    patient_id: str | None
    patient_name: str | None
    birth_date: str | None
    sex: str | None
    accession_number: str | None
    study_date: str | None
    description: str | None
    indication: str | None
    origin: str
    received_at: datetime
    images: list[Image]

    @classmethod
    def fields_of(cls, row: StudyRow) -> dict[str, Any]:
        """Return the fields of a line."""
        own = {name: getattr(row, name) for name in StudyLine.model_fields if name != "images"}
        return {**own, "images": [Image.of(image) for image in row.images]}

    @classmethod
    def line_of(cls, row: StudyRow) -> "StudyLine":
        """Return a line of the worklist."""
        return StudyLine(**cls.fields_of(row))


class Worklist(Form):
    """A page of the worklist."""

    studies: list[StudyLine]
    total: int
    by_state: dict[str, int]


class Prior(StudyLine):
    """An earlier study of the same patient."""

    report: str | None
    """As it was signed last."""

    @classmethod
    def of(cls, row: StudyRow) -> Self:
        """Return an earlier study as it is told."""
        return cls(**cls.fields_of(row), report=row.signatures[-1].text if row.signatures else None)


class Colleague(Form):
    """Somebody else who has the study open."""

    account: str
    opened_at: datetime
    seen_at: datetime


class Meanwhile(Form):
    """What others do with a study that one has open."""

    state: StudyState
    last_text: str | None
    """The last edit or signature, whichever came later."""
    last_draft: str | None
    films: int
    """How many the study has."""
    colleagues: list[Colleague]


class Study(StudyLine):
    """A study with all that belongs to it, oldest first."""

    drafts: list[Draft]
    edits: list[Edit]
    signatures: list[Signature]
    last_text: str | None
    """The last edit or signature, whichever came later: what a new text is written from."""
    priors: list[Prior]

    @classmethod
    def of(cls, row: StudyRow, priors: list[StudyRow], notice: str) -> Self:
        """Return a study as it is told."""
        return cls(
            **cls.fields_of(row),
            drafts=[Draft.of(draft, notice) for draft in row.drafts],
            edits=[Edit.of(edit) for edit in row.edits],
            signatures=[Signature.of(signature) for signature in row.signatures],
            last_text=row.last_text.id if row.last_text else None,
            priors=[Prior.of(prior) for prior in priors],
        )


class ReceivedFilm(Form):
    """What became of an uploaded film."""

    study_id: str
    image_id: str
    new: bool
    gate: GateVerdict


class Similar(Form):
    """A study that looks alike."""

    study_id: str
    similarity: float
    report: str


class EvidenceTold(Form):
    """Where the model looked for a sentence."""

    span: tuple[int, int]
    weights: list[list[float]]
    """Rows of the map over `part`; they sum to 1."""
    part: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max of the film, 0..1, that the map covers."""
    faithfulness: float
    """Area under the insertion curve minus that under the deletion curve; 0 is chance."""
    insertion: tuple[float, ...]
    deletion: tuple[float, ...]

    @classmethod
    def of(cls, evidence: Evidence, span: tuple[int, int], part: tuple[float, float, float, float]) -> Self:
        """Return evidence as it is told."""
        return cls(
            span=span,
            weights=[[round(float(value), 6) for value in row] for row in evidence.weights],
            part=part,
            faithfulness=round(evidence.faithfulness, 4),
            insertion=evidence.curves.insertion,
            deletion=evidence.curves.deletion,
        )


class WholeDraft(Form):
    """Everything about one film at once."""

    gate: GateVerdict
    draft: Draft | None
    """None where the gate refused the film."""
    evidence: list[EvidenceTold]
    similar: list[Similar]


class Answer(Form):
    """An answer of the model; an unverified AI draft like all it writes."""

    question: str
    answer: str
    notice: str


class DayOfModel(Form):
    """What readers made of a model's drafts on one day (UTC)."""

    day: str
    model: str
    checkpoint_digest: str
    num_signed: int
    num_unchanged: int
    edit_distance_mean: float
    """Words changed over the length of the longer text, 0..1."""
    edit_distance_median: float
    num_timed: int
    """Signatures for which the page told how long the study was open."""
    reading_s_median: float | None
