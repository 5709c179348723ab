"""The input gate: what a film must be before a model may write about it.

The same checks that `quality` runs over a collection (docs/quality.md), each of which refuses a film here, warns the
reader, or is silent; what the header says: another modality, another part of the body, a child; and, where the films
that the model has learnt from are at hand, whether this one is like them.
"""

from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from radlet.core.config import Config
from radlet.core.records import ImageRecord, Record, View
from radlet.core.registry import nearest
from radlet.data.burned_in import count_text
from radlet.data.film import CHEST, Film
from radlet.data.film_numbers import film_numbers
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.appearance import SIDES
from radlet.data.quality.base import FilmCheck
from radlet.data.quality.cropped import Cropped
from radlet.data.quality.reduced import SIDE, ReducedFilm, reduce_film

if TYPE_CHECKING:
    from radlet.retrieval.familiarity import Familiarity

Action = Literal["ignore", "warn", "refuse"]
_FILM_MODALITIES = ("CR", "DX", "RG", "OT", "SC")
"""Modalities of plain films; OT and SC are what digitised films are sent as."""

_WORDS = {
    "blank": "The film is blank.",
    "contrast": "The film has hardly any contrast.",
    "clipping": "Much of the film is plain black or white: it is badly exposed.",
    "brightness": "The film is far too dark or too bright: it is badly exposed.",
    "levels": "The film has only a few shades of grey: it was badly converted.",
    "cropped": "A part of the lungs seems to lie outside the film.",
    "margins": "The film is a small picture in a wide empty frame.",
    "panels": "The picture seems to be made of several films.",
    "small": "The film is very small.",
    "aspect": "The film is a strip.",
}
"""Check of `quality` -> what a reader is told."""
_LOOKS = {
    "not_chest": ("This does not look like a chest film.", "This may be something other than a chest film."),
    "lateral": (
        "This is a lateral; the model writes about frontal films.",
        "This may be a lateral; the model writes about frontal films.",
    ),
    "inverted": ("Black and white are exchanged.", "Black and white may be exchanged."),
    "turned": (
        "The film lies on its side or stands on its head.",
        "The film may lie on its side or stand on its head.",
    ),
}
"""What else than an upright frontal film it may be -> what a reader is told when it is sure, and when it is not."""
_CUT = "So much of the lungs lies outside the film that it is no whole chest film."
"""What a reader is told where that is why it does not look like one."""
_SURELY_INVERTED = 0.6
"""Probability of the negative to be a frontal chest film from which black and white are exchanged: a hip's may reach
half, a chest's is higher."""
_WIDER = 0.4
"""Share of its height or width by which a film is widened to see whether it is a chest whose lungs are cut off."""
_SURELY_LATERAL = 0.95
"""Probability of a lateral from which a header that says otherwise is doubted."""


class GateSettings(Config):
    """What each reason leads to."""

    not_chest: Action = "refuse"
    """The pixels do not look like a chest film."""
    lateral: Action = "refuse"
    """A lateral; the models are trained on frontal films."""
    turned: Action = "refuse"
    """The film lies on its side or stands on its head."""
    inverted: Action = "refuse"
    """Black and white are exchanged: the negative looks like a frontal chest film, and the film does not."""
    least_frontal: float = Field(default=0.2, ge=0, le=1)
    """Probability of an upright frontal chest film under which one of these four is taken for sure, the likeliest."""
    doubtful_frontal: float = Field(default=0.5, ge=0, le=1)
    """Probability of an upright frontal chest film under which the reader is warned of the likeliest of the four."""
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
    burned_in_text: Action = "ignore"
    """Text that may name the patient is found on the film. Needs the extra `deidentify`, and takes long."""
    unlike: Action = "warn"
    """The film lies farther from the films of the searched collection than they do from each other. Says nothing where
    no collection is searched."""
    least_alike: float = Field(default=0.005, gt=0, lt=1)
    """Share of the collection's films that must lie as far from their nearest as this one; with less it is unlike."""
    checks: dict[str, Action] = {
        "blank": "refuse",
        "contrast": "warn",
        "clipping": "warn",
        "brightness": "warn",
        "levels": "warn",
        "cropped": "warn",
        "panels": "refuse",
        "small": "warn",
    }
    """Checks of `quality`, with their own limits, by what failing them leads to."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.doubtful_frontal < self.least_frontal:
            raise ValueError(
                f"doubtful_frontal = {self.doubtful_frontal:g} is below least_frontal = {self.least_frontal:g}; films "
                "are warned of between the two"
            )
        for name in self.checks:
            if name not in _WORDS:
                raise ValueError(f"'{name}' is no check of one film.{nearest(name, list(_WORDS))}")
        return self


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


def judge_film(
    film: Film, age_years: float | None, settings: GateSettings, known: "Familiarity | None" = None
) -> GateVerdict:
    """Return what the gate says of a film that could be read: all of it at once, refusals first.

    Args:
        film: As `read_film` gives it.
        age_years: From the header, if known.
        settings: What leads to what.
        known: Films that the model has learnt from, if they are at hand.

    Raises:
        ConfigError: `burned_in_text` is asked for, and its reader is not installed.
    """
    reduced = reduce_film(ImageRecord(image_id="", path="", view=film.view), film.pixels)
    found = _from_header(film, age_years, settings) + _from_pixels(film, reduced, settings)
    if not any(reason.action == "refuse" for reason in found):
        # What is refused needs no word on how usual it is.
        found += _unlike(film.pixels, settings, known)
    found += _text(film, settings)
    told = tuple(sorted(found, key=lambda reason: reason.action))
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
    if _names_no_chest(film):
        found += _reason("body_part", settings.body_part, "The header names another part of the body than the chest.")
    if age_years is not None and age_years < settings.adult_years:
        words = "The patient is a child; the model has learnt from adults."
        found += _reason("child", settings.child, words, age_years)
    if film.burned_in:
        found += _reason("burned_in", settings.burned_in, "The header says that text is burned into the film.")
    return found


def _names_no_chest(film: Film) -> bool:
    part = film.body_part or CHEST[0]
    return not any(word in part for word in CHEST)


def _from_pixels(film: Film, reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    failed = _quality(reduced, settings)
    blank = [reason for reason in failed if reason.code == "blank"]
    if blank:
        return blank
    looks = _looks(film, reduced, settings)
    if looks:
        # Whether lung is cut off can be said of upright frontal chest films alone; `_looks` says it of the rest.
        failed = [reason for reason in failed if reason.code != "cropped"]
    return _by_header_view(film, reduced, settings) + looks + failed


def _looks(film: Film, reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    """Tell what else than an upright frontal chest film it looks like."""
    kinds = _kinds(reduced, film.view)
    frontal = kinds.pop("frontal")
    if frontal >= settings.doubtful_frontal:
        return []
    actions: dict[str, Action] = {
        "not_chest": settings.not_chest,
        "turned": settings.turned,
        "lateral": settings.lateral,
        "inverted": settings.inverted,
    }
    code, value = _likeliest(film, reduced, kinds)
    action, (surely, perhaps) = actions[code], _LOOKS[code]
    if code in ("not_chest", "lateral") and _is_cut(reduced, film.view, settings):
        # It stops what it would have stopped by the other name.
        code, value, surely, perhaps = "cropped", max(reduced.cuts.values()), _CUT, _WORDS["cropped"]
    if frontal < settings.least_frontal or action == "ignore":
        return _reason(code, action, surely, value)
    return _reason(code, "warn", perhaps, value)


def _likeliest(film: Film, reduced: ReducedFilm, kinds: dict[str, float]) -> tuple[str, float]:
    """Return which kind the film is likeliest to be, and its probability."""
    if _names_no_chest(film) and kinds["not_chest"] >= 0.5:
        # The header and the pixels agree, whatever the negative looks like.
        return "not_chest", kinds["not_chest"]
    if reduced.inverted > 1 - reduced.inverted:
        negative = _kinds(reduce_film(reduced.image, 255 - film.pixels), film.view)["frontal"]
        if negative >= _SURELY_INVERTED:
            return "inverted", negative
    code = max(kinds, key=lambda name: kinds[name])
    return code, kinds[code]


def _is_cut(reduced: ReducedFilm, view: View | None, settings: GateSettings) -> bool:
    """Tell whether lung is cut off and the film, widened on that side, looks like an upright frontal chest film."""
    check = Cropped()
    if settings.checks.get("cropped", "ignore") == "ignore" or not check.fails(check.measure(reduced)):
        return False
    side = max(reduced.cuts, key=lambda name: reduced.cuts[name])
    more = {name: round(_WIDER * SIDE) if name == side else 0 for name in SIDES}
    frame = ((more["top"], more["bottom"]), (more["left"], more["right"]))
    wider = np.pad(np.rint(255 * reduced.grey).astype(np.uint8), frame, mode="edge")
    return _kinds(reduce_film(reduced.image, wider), view)["frontal"] >= settings.doubtful_frontal


def _kinds(reduced: ReducedFilm, view: View | None) -> dict[str, float]:
    """Return probabilities of what a film is; they add up to 1."""
    shares = reduced.shares
    upright = shares.chest * (1 - shares.turned)
    # Where the header tells the view, only the rest is a matter of probability.
    lateral = upright * shares.lateral if view is None else 0.0
    return {
        "frontal": upright - lateral,
        "not_chest": 1 - shares.chest,
        "turned": shares.chest * shares.turned,
        "lateral": lateral,
    }


def _by_header_view(film: Film, reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    """Tell of a lateral by its header, and of a header that is not believed."""
    if film.view == "LATERAL":
        return _reason("lateral", settings.lateral, _LOOKS["lateral"][0])
    if film.view is None or settings.lateral == "ignore":
        return []
    lateral = _kinds(reduced, None)["lateral"]
    words = "The header calls the film frontal, and it looks like a lateral."
    return _reason("lateral", "warn", words, lateral) if lateral >= _SURELY_LATERAL else []


def _quality(reduced: ReducedFilm, settings: GateSettings) -> list[Reason]:
    found: list[Reason] = []
    for name, action in settings.checks.items():
        check = QUALITY_CHECKS[name]()
        if action == "ignore" or not isinstance(check, FilmCheck):
            continue
        number = check.measure(reduced)
        if check.fails(number):
            found += _reason(name, action, _WORDS[name], number)
    return found


def _unlike(pixels: NDArray[np.uint8], settings: GateSettings, known: "Familiarity | None") -> list[Reason]:
    if known is None or settings.unlike == "ignore":
        return []
    share = known.share_as_far(pixels)
    if share >= settings.least_alike:
        return []
    words = "The film is unlike those that the model has learnt from; its draft may mean nothing."
    return _reason("unlike", settings.unlike, words, share)


def _text(film: Film, settings: GateSettings) -> list[Reason]:
    if film.burned_in or settings.burned_in_text == "ignore":
        return []
    number = sum(count_text(film.pixels))
    if not number:
        return []
    words = "Text is burned into the film that may name the patient."
    return _reason("burned_in_text", settings.burned_in_text, words, number)
