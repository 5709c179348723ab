"""From one study to one example: sections, cleaned text, labels and split; the work of `build`, study by study."""

import posixpath
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator

from radlet.core.config import Config, of_its_kind
from radlet.core.labeller import Labeller
from radlet.core.records import (
    OBSERVATIONS,
    SPLITS,
    Example,
    Finding,
    ImageRecord,
    Question,
    Side,
    Split,
    State,
    Study,
)
from radlet.data.cleaning import clean_text
from radlet.data.deidentify import Names, remove_identifiers
from radlet.data.examples import is_frontal
from radlet.data.labellers import LABELLERS
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.observations import find_mentions
from radlet.data.priors import PriorTally, leave_prior_references, remove_prior_references
from radlet.data.sections import parse_sections
from radlet.data.splits import assign_split
from radlet.data.truth import truth_observations

_CENTRAL = {"Enlarged Cardiomediastinum", "Cardiomegaly", "No Finding"}

SIDED: tuple[str, ...] = tuple(name for name in OBSERVATIONS if name not in _CENTRAL)
"""Observations that can be on one side; the heart, the mediastinum and a normal chest cannot."""

_SHARES: dict[Split, float] = {"train": 0.8, "dev": 0.1, "test": 0.1}
_SIDES: tuple[Side, ...] = ("left", "right")


class ExampleSettings(Config):
    """How a study becomes an example."""

    section: Literal["findings", "impression", "caption", "answer"] = "findings"
    """What the model learns to write: a section of the report, the caption of a film, or the answer to each question
    about the study."""
    names: Names = "rules"
    """How names are found when identifiers are taken out of reports: by rules, or by rules and a model of the English
    language, which also finds names alone in a sentence and needs the extra `deidentify`."""
    prior_references: Literal["keep", "remove"] = "keep"
    """Whether findings, impression and caption keep what they say of earlier exams, or are rewritten as the present
    state."""
    labeller: SerializeAsAny[Labeller] = RuleLabeller()
    """What reads the observations off reports: a table with its ``kind``. Sides are always read by the rules."""
    labels: Literal["observations", "source", "both", "truth"] = "observations"
    """Targets of the encoder's supervised head: the labeller's reading of the report; the labels that came with the
    data; both (the source's are then named ``source <name>``, since the two may disagree under one name); or, where the
    source knows it, the truth."""
    sided_labels: bool = False
    """Add ``left <observation>`` and ``right <observation>`` to `labels`, from the report or the truth."""
    uncertain: Literal["positive", "negative", "unknown"] = "positive"
    """What an uncertain observation is to `labels`; an unknown one has no entry."""
    shares: dict[Split, float] = Field(default_factory=_SHARES.copy)
    """Shares of the patients in each split, for studies without a published one."""
    validation_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of the patients of a published train split that become dev."""

    @field_validator("labeller", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any) -> Any:
        return of_its_kind(LABELLERS, value)

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[Split, float]) -> dict[Split, float]:
        if any(share < 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares must be 0 or more and add up to 1; they add up to {sum(shares.values()):g}")
        return {split: shares.get(split, 0.0) for split in SPLITS}


def make_examples(
    study: Study, settings: ExampleSettings, seed: int, images_dir: str, tally: PriorTally | None = None
) -> list[Example]:
    """Return the examples of a study: one, or one for each of its questions where answers are what is learnt.

    The arguments are those of `make_example`.
    """
    whole = make_example(study, settings, seed, images_dir, tally)
    if settings.section != "answer" or not study.questions:
        return [whole]
    return [_answered(whole, study, number, images_dir, settings) for number in range(1, len(study.questions) + 1)]


def make_example(
    study: Study, settings: ExampleSettings, seed: int, images_dir: str, tally: PriorTally | None = None
) -> Example:
    """Return the example of a study that has at least one film; its films stand frontals first.

    A study without the wanted section still makes an example (its films, labels and report serve the encoder), with
    `target` None.

    Args:
        study: As `ingest` wrote it.
        settings: How to make it.
        seed: Decides, with the patient's id, splits that nobody published.
        images_dir: Folder that the study's image paths are relative to, as the example shall name it.
        tally: Counts the references to earlier exams that were met.
    """
    texts = {name: _cleaned(text, settings) for name, text in _sections(study).items()}
    texts = {name: _presented(name, text, settings, tally) for name, text in texts.items()}
    target = texts.get(settings.section) or None
    report = " ".join(text for text in (texts.get("findings"), texts.get("impression")) if text) or None
    report = report or texts.get("caption") or None
    images = sorted(study.images, key=_is_lateral)
    return Example(
        example_id=study.study_id,
        study_id=study.study_id,
        patient_id=study.patient_id,
        split=split_of(study.patient_id, study.split, settings, seed),
        image_paths=tuple(posixpath.join(images_dir, image.path) for image in images),
        views=tuple(image.view for image in images),
        indication=texts.get("indication") or texts.get("history") or None,
        target=target,
        target_section=settings.section,
        report=report,
        observations=settings.labeller.label([target])[0] if target else {},
        labels=_labels(study, report, settings),
        truth=study.truth,
        sex=study.sex,
        age_years=study.age_years,
        site=study.site,
        scanner=study.scanner,
    )


def split_of(patient_id: str, published: Split | None, settings: ExampleSettings, seed: int) -> Split:
    """Return the split of a patient of whose study the source tells `published`."""
    if published is None:
        return assign_split(patient_id, settings.shares, seed)
    if published == "train" and settings.validation_share > 0:
        shares: dict[Split, float] = {"train": 1 - settings.validation_share, "dev": settings.validation_share}
        return assign_split(patient_id, shares, seed)
    return published


def missing_target(study: Study, example: Example) -> str | None:
    """Return why an example has no target, None if it has one."""
    section = example.target_section
    if example.target:
        return None
    if section == "answer":
        return "question or answer empty after cleaning" if study.questions else "no questions"
    if section == "caption" and not study.caption:
        return "no caption"
    if section != "caption" and not study.report and not study.sections:
        return "no report"
    if _sections(study).get(section):
        return f"{section} empty after cleaning"
    return f"no {section} in the report"


def _sections(study: Study) -> dict[str, str]:
    """Return the sections that the source delivered, the others cut from the report, and the caption beside them."""
    cut = parse_sections(study.report) if study.report else {}
    return {**cut, **study.sections, **({"caption": study.caption} if study.caption else {})}


def _answered(whole: Example, study: Study, number: int, images_dir: str, settings: ExampleSettings) -> Example:
    """Return the example of one question, with the films it is about.

    An answer is read together with its question only ("Yes."), so it has no observations of its own.
    """
    asked: Question = study.questions[number - 1]
    meant = {
        posixpath.join(images_dir, image.path)
        for image in study.images
        if not asked.image_ids or image.image_id in asked.image_ids
    }
    shown = [index for index, path in enumerate(whole.image_paths) if path in meant]
    question, answer = _cleaned(asked.question, settings), _cleaned(asked.answer, settings)
    return whole.model_copy(
        update={
            "example_id": f"{whole.example_id}.q{number}",
            "image_paths": tuple(whole.image_paths[index] for index in shown),
            "views": tuple(whole.views[index] for index in shown),
            "question": question or None,
            "answer_kind": asked.kind,
            "topic": asked.topic,
            "options": tuple(_cleaned(option, settings) for option in asked.options),
            "target": (question and answer) or None,
        }
    )


def _cleaned(text: str, settings: ExampleSettings) -> str:
    """Return text as it gets past `build`, which is in this way alone: nothing behind it meets an identifier."""
    return clean_text(remove_identifiers(text, settings.names))


def _presented(name: str, text: str, settings: ExampleSettings, tally: PriorTally | None) -> str:
    """Return a section with or without its references to earlier exams; what the model is told is left as it is."""
    if not text or name not in ("findings", "impression", "caption"):
        return text
    remove = settings.prior_references == "remove"
    rewrite = remove_prior_references(text) if remove else leave_prior_references(text)
    if tally is not None:
        tally.add(text, rewrite)
    return rewrite.text


def _is_lateral(image: ImageRecord) -> bool:
    return not is_frontal(image.view)


def _labels(study: Study, report: str | None, settings: ExampleSettings) -> dict[str, int]:
    labels: dict[str, int] = {}
    if settings.labels == "truth":
        return _true_labels(study.truth, settings) if study.truth is not None else {}
    if settings.labels != "source" and report:
        states = settings.labeller.label([report])[0]
        labels |= _known({name: states[name] for name in OBSERVATIONS}, settings)
    if settings.labels == "source":
        labels |= study.labels
    elif settings.labels == "both":
        labels |= {f"source {name}": value for name, value in study.labels.items()}
    if settings.sided_labels and report:
        labels |= _known(_sided_states(report), settings)
    return labels


def _true_labels(truth: tuple[Finding, ...], settings: ExampleSettings) -> dict[str, int]:
    labels = _known(dict(truth_observations(truth)), settings)
    if settings.sided_labels:
        sided = {(finding.observation, finding.side) for finding in truth}
        for name in SIDED:
            labels |= {f"{side} {name}": int(bool(sided & {(name, side), (name, "bilateral")})) for side in _SIDES}
    return labels


def _known(states: dict[str, State | None], settings: ExampleSettings) -> dict[str, int]:
    """Turn states into 1 and 0; what is unknown has no entry. An observation that is not mentioned is absent."""
    uncertain = {"positive": 1, "negative": 0, "unknown": None}[settings.uncertain]
    values = {State.POSITIVE: 1, State.NEGATIVE: 0, State.UNMENTIONED: 0, State.UNCERTAIN: uncertain, None: None}
    return {name: value for name, state in states.items() if (value := values[state]) is not None}


def _sided_states(report: str) -> dict[str, State | None]:
    """Return the state of every sided observation on each side; None where it is present on a side nobody tells."""
    found: dict[tuple[str, Side], set[State | None]] = {}
    for mention in find_mentions(report):
        if mention.observation not in SIDED or mention.state not in (State.POSITIVE, State.UNCERTAIN):
            continue
        for side in _SIDES:
            if mention.side in (side, "bilateral"):
                found.setdefault((mention.observation, side), set()).add(mention.state)
            elif mention.side is None:
                found.setdefault((mention.observation, side), set()).add(None)
    return {f"{side} {name}": _strongest(found.get((name, side), set())) for name in SIDED for side in _SIDES}


def _strongest(states: set[State | None]) -> State | None:
    order: tuple[State | None, ...] = (State.POSITIVE, State.UNCERTAIN, None)
    return next((state for state in order if state in states), State.NEGATIVE)
