"""The records that flow between stages: studies and their images, findings with boxes, examples, predictions.

Names follow the field: a study is one exam of one patient; an image is one film of it; a view is its projection.
Coordinates are normalised to 0..1 of the image with the origin at the top left, x to the right, y down. Because films
are displayed facing the patient, the patient's LEFT side has the LARGER x on a frontal film.
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""The 14 CheXpert observations (Irvin et al. 2019), in the labeller's published order."""

OBSERVATIONS_5: tuple[str, ...] = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
"""The five observations of the CheXpert competition task."""

SECTIONS: tuple[str, ...] = ("indication", "history", "technique", "comparison", "findings", "impression")
"""Sections of a report, in the order they usually stand."""

View = Literal["PA", "AP", "LATERAL"]
Side = Literal["left", "right", "bilateral"]
Zone = Literal["upper", "mid", "lower"]
Split = Literal["train", "dev", "test"]
AnswerKind = Literal["open", "closed"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class State(StrEnum):
    """What a report says of an observation."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    UNCERTAIN = "UNCERTAIN"
    UNMENTIONED = "UNMENTIONED"


class Record(BaseModel):
    """A frozen row; unknown fields are refused so that a misspelt column never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(Record):
    """An axis-aligned box in normalised image coordinates (0..1, origin top left)."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (0 <= self.x_min <= self.x_max <= 1 and 0 <= self.y_min <= self.y_max <= 1):
            raise ValueError("a box needs 0 <= min <= max <= 1 on both axes")
        return self


class Finding(Record):
    """One abnormality (or device) that is truly present in a study, as far as the source knows."""

    kind: str
    """The source's own word: effusion, pneumothorax, nodule, rib_fracture, pacemaker ..."""
    observation: str
    """Which of `OBSERVATIONS` it counts as."""
    side: Side | None = None
    zone: Zone | None = None
    severity: Literal["mild", "moderate", "severe"] | None = None
    size_mm: float | None = None
    boxes: dict[str, Box] = {}
    """`image_id -> box`, for the images on which it shows."""
    mask_paths: dict[str, str] = {}
    """`image_id -> PNG mask` (255 inside), relative to the manifest's folder."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.observation not in OBSERVATIONS:
            raise ValueError(f"a finding counts as one of: {', '.join(OBSERVATIONS)}")
        return self


class Question(Record):
    """A question about films of a study, with the answer that is expected."""

    question: str
    answer: str
    kind: AnswerKind
    """``closed``: the answer is one of a few that the question leaves (yes, no, left, right); ``open``: any other."""
    topic: str | None = None
    """The set's own word for the type of question."""
    options: tuple[str, ...] = ()
    """The answers to choose from, where the question offers any; `answer` is one of them."""
    image_ids: tuple[str, ...] = ()
    """The films it is about; none means all films of the study."""


class ImageRecord(Record):
    """One film of a study."""

    image_id: str
    path: str
    """Relative to the folder of the manifest."""
    view: View | None = None
    height_px: int | None = None
    width_px: int | None = None


class Study(Record):
    """One exam: its images, its report, and what the source knows beyond them."""

    study_id: str
    patient_id: str
    images: tuple[ImageRecord, ...]
    report: str | None = None
    """The whole report as free text, when the source has one."""
    sections: dict[str, str] = {}
    """Sections the source delivers already cut; keys from `SECTIONS`."""
    questions: tuple[Question, ...] = ()
    caption: str | None = None
    """What a publication says below the film."""
    labels: dict[str, int] = {}
    """Labels the source delivers (1 present, 0 absent), under the source's own names."""
    truth: tuple[Finding, ...] | None = None
    """Everything that is really there; None when nobody knows (real films)."""
    split: Split | None = None
    """The published split, when the source has one."""
    sex: Literal["F", "M"] | None = None
    age_years: int | None = None
    site: str | None = None
    scanner: str | None = None
    """Maker and model of what took the (first) film."""
    prior_study_id: str | None = None


class Example(Record):
    """One training or test row made from a study."""

    example_id: str
    study_id: str
    patient_id: str
    split: Split
    image_paths: tuple[str, ...]
    """Films shown to the model, in order. Relative to the manifest's folder on disk, absolute once read."""
    views: tuple[View | None, ...]
    indication: str | None = None
    target: str | None = None
    """The text the model should write."""
    target_section: str = "findings"
    """Which section `target` came from; ``answer`` and ``caption`` are no parts of a report."""
    question: str | None = None
    """What `target` answers, where the model is asked something of its own."""
    answer_kind: AnswerKind | None = None
    """Kind of `question`."""
    topic: str | None = None
    """The set's own word for the type of `question`."""
    options: tuple[str, ...] = ()
    """The answers that `question` leaves to choose from; none where it offers none."""
    report: str | None = None
    """Findings and impression together, else the caption: the text that contrastive training pairs with the film."""
    observations: dict[str, State] = {}
    """The labeller's reading of `target`, one entry for each of `OBSERVATIONS`."""
    labels: dict[str, int] = {}
    """Supervised targets for the encoder (1 present, 0 absent)."""
    truth: tuple[Finding, ...] | None = None
    sex: Literal["F", "M"] | None = None
    age_years: int | None = None
    site: str | None = None
    scanner: str | None = None

    @model_validator(mode="after")
    def _one_view_an_image(self) -> Self:
        if len(self.views) != len(self.image_paths):
            raise ValueError(f"{len(self.image_paths)} image_paths need as many views, not {len(self.views)}")
        return self


class Prediction(Record):
    """One answer of a model, beside what was expected of it."""

    example_id: str
    patient_id: str
    text: str
    reference: str | None = None
    attributes: dict[str, str] = {}
    """What else is known of the report: sex, age, view and so on."""
