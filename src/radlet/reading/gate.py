"""The input gate: what a film must be before a model may write about it.

The same checks that `quality` runs over a collection (docs/quality.md), each of which refuses a film here, warns the
reader, or is silent; and what the header says: another modality, another part of the body, a child.
"""

from typing import Literal

from pydantic import Field

from radlet.core.config import Config
from radlet.core.records import ImageRecord, Record
from radlet.data.film import Film
from radlet.data.film_numbers import film_numbers
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.base import FilmCheck
from radlet.data.quality.reduced import ReducedFilm, reduce_film

Action = Literal["ignore", "warn", "refuse"]
_FILM_MODALITIES = ("CR", "DX", "RG", "OT", "SC")
"""Modalities of plain films; OT and SC are what digitised films are sent as."""
_CHEST = ("CHEST", "THORAX")

_WORDS = {
    "blank": "The film is blank.",
    "contrast": "The film has hardly any contrast.",
    "clipping": "Much of the film is plain black or white: it is badly exposed.",
    "cropped": "A part of the lungs seems to lie outside the film.",
    "inverted": "Black and white seem to be exchanged.",
    "turned": "The film seems to be turned.",
    "panels": "The picture seems to be made of several films.",
    "small": "The film is very small.",
}


class GateSettings(Config):
    """What each reason leads to."""

    not_chest: Action = "refuse"
    """The pixels do not look like a chest film."""
    least_chest: float = Field(default=0.5, ge=0, le=1)
    """Probability of a chest film under which a film counts as none."""
    lateral: Action = "refuse"
    """A lateral; the models are trained on frontal films."""
    least_lateral: float = Field(default=0.95, ge=0, le=1)
    """Probability of a lateral from which a film counts as one, where its header names no view."""
    modality: Action = "refuse"
    """The header names a modality that takes no plain films, such as CT."""
    body_part: Action = "warn"
    """The header names another part of the body; it is often wrong."""
    child: Action = "warn"
    """The header's age is below `adult_years`."""
    adult_years: int = Field(default=16, ge=0)
    """Age from which a patient is none of a child."""
    burned_in: Action = "warn"
    """The header says that text is burned into the film."""
    checks: dict[str, Action] = {
        "blank": "refuse",
        "contrast": "warn",
        "clipping": "warn",
        "cropped": "warn",
        "inverted": "refuse",
        "turned": "refuse",
        "panels": "refuse",
        "small": "warn",
    }
    """Checks of `quality`, with their own limits, by what failing them leads to."""


class Reason(Record):
    """Why a film was refused, or what the reader is warned of."""

    code: str
    action: Literal["warn", "refuse"]
    words: str
    value: float | None = None
    """What was measured, in the check's own unit."""


class GateVerdict(Record):
    """What the gate says of a film."""

    passed: bool
    reasons: tuple[Reason, ...] = ()
    numbers: dict[str, float] = {}
    """What the film looks like (`FILM_NUMBERS`); kept with its draft, so that drift can be told without the pixels."""


def judge_film(film: Film, age_years: float | None, settings: GateSettings) -> GateVerdict:
    """Return what the gate says of a film that could be read.

    Args:
        film: As `read_film` gives it.
        age_years: From the header, if known.
        settings: What leads to what.
    """
    reduced = reduce_film(ImageRecord(image_id="", path="", view=film.view), film.pixels)
    # What is no chest film at all needs no word on how it is exposed.
    found = _from_header(film, age_years, settings)
    looks = _not_a_chest(reduced, settings)
    found += looks or _view(film, reduced, settings) + _quality(reduced, settings)
    told = tuple(sorted((reason for reason in found), key=lambda reason: reason.action))
    passed = all(reason.action != "refuse" for reason in told)
    return GateVerdict(passed=passed, reasons=told, numbers=film_numbers(reduced))


def _reason(code: str, action: Action, words: str, value: float | None = None) -> list[Reason]:
    if action == "ignore":
        return []
    return [Reason(code=code, action=action, words=words, value=None if value is None else round(value, 4))]


def _from_header(film: Film, age_years: float | None, settings: GateSettings) -> list[Reason]:
    found: list[Reason] = []
    if film.modality and film.modality not in _FILM_MODALITIES:
        found += _reason("modality", settings.modality, "The header names a modality that takes no plain films.")
    if film.body_part and not any(word in film.body_part for word in _CHEST):
        found += _reason("body_part", settings.body_part, "The header names another part of the body than the chest.")
    if age_years is not None and age_years < settings.adult_years:
        words = "The patient is a child; the model has learnt from adults."
        found += _reason("child", settings.child, words, age_years)
    if film.burned_in:
        found += _reason("burned_in", settings.burned_in, "The header says that text is burned into the film.")
    return found


def _not_a_chest(reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    chest = reduced.shares.chest
    if chest >= settings.least_chest:
        return []
    return _reason("not_chest", settings.not_chest, "This does not look like a chest film.", chest)


def _view(film: Film, reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    words = "This is a lateral; the model writes about frontal films."
    if film.view == "LATERAL":
        return _reason("lateral", settings.lateral, words)
    if film.view is None and reduced.shares.lateral >= settings.least_lateral:
        return _reason("lateral", settings.lateral, words, reduced.shares.lateral)
    return []


def _quality(reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    found: list[Reason] = []
    for name, action in settings.checks.items():
        check = QUALITY_CHECKS[name]()
        if action != "ignore" and isinstance(check, FilmCheck):
            number = check.measure(reduced)
            if check.fails(number):
                found += _reason(name, action, _WORDS.get(name, f"The check '{name}' fails."), number)
    return found
