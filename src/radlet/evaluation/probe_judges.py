"""What a draft under a probe is judged by: the observations of a report, or the words of an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from radlet.core.records import OBSERVATIONS, Side, State
from radlet.evaluation.readings import text_observations, text_sides
from radlet.metrics.answers import answer_words

Judge = Callable[[str, str], tuple[int, int]]
"""From the draft for the film as it is and the one under the probe to (cases that did it, cases)."""
_ABNORMAL = frozenset(OBSERVATIONS[:-1])
_OTHER: Mapping[Side, Side] = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Judges:
    """How drafts of one kind are compared.

    Attributes:
        fit: Whether a draft holds something that should go with the film.
        sided: Whether it names one side of something.
        vanished: What of the own draft is gone from the other.
        turned: What of the own draft is on the other side in the other.
        kept: Whether both say the same.
        differs: Whether they do not.
    """

    fit: Callable[[str], bool]
    sided: Callable[[str], bool]
    vanished: Judge
    turned: Judge
    kept: Judge
    differs: Judge


def positive_observations(text: str) -> frozenset[str]:
    """Return the observations that a text states."""
    return frozenset(name for name, state in text_observations(text).items() if state is State.POSITIVE)


def vanished_findings(own: str, shown: str, among: frozenset[str] = _ABNORMAL) -> tuple[int, int]:
    """Count the observations of the own draft that the other one does not name."""
    named = positive_observations(own) & among
    return len(named - positive_observations(shown)), len(named)


def _one_sided(text: str) -> dict[str, Side]:
    """Return the side of each observation that is named on one side only."""
    sides = {name: set(named) for name, named in text_sides(text).items()}
    return {name: named.pop() for name, named in sides.items() if named in ({"left"}, {"right"})}


def _turned_findings(own: str, shown: str) -> tuple[int, int]:
    """Count the one-sided observations of the own draft that the other one names on the other side only."""
    before, after = _one_sided(own), _one_sided(shown)
    return sum(after.get(name) == _OTHER[side] for name, side in before.items()), len(before)


def _same_findings(own: str, shown: str) -> tuple[int, int]:
    return int(positive_observations(own) == positive_observations(shown)), 1


def _other_findings(own: str, shown: str) -> tuple[int, int]:
    return int(positive_observations(own) != positive_observations(shown)), 1


def _same_words(own: str, shown: str) -> tuple[int, int]:
    return int(answer_words(own) == answer_words(shown)), 1


def _other_words(own: str, shown: str) -> tuple[int, int]:
    return int(answer_words(own) != answer_words(shown)), 1


def _word_of_side(text: str) -> Side | None:
    words = set(answer_words(text))
    return None if {"left", "right"} <= words else "left" if "left" in words else "right" if "right" in words else None


def _turned_words(own: str, shown: str) -> tuple[int, int]:
    side = _word_of_side(own)
    return int(side is not None and _word_of_side(shown) == _OTHER[side]), int(side is not None)


JUDGES: Mapping[Literal["reports", "answers"], Judges] = {
    "reports": Judges(
        fit=lambda text: bool(positive_observations(text) & _ABNORMAL),
        sided=lambda text: bool(_one_sided(text)),
        vanished=vanished_findings,
        turned=_turned_findings,
        kept=_same_findings,
        differs=_other_findings,
    ),
    "answers": Judges(
        fit=lambda text: bool(answer_words(text)),
        sided=lambda text: _word_of_side(text) is not None,
        vanished=_other_words,
        turned=_turned_words,
        kept=_same_words,
        differs=_other_words,
    ),
}
"""What a task's drafts are -> how they are compared."""
