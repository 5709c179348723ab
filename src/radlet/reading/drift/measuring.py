"""What drift is told from: a study's numbers, the same for the reference and for the reading room."""

from collections.abc import Mapping

from radlet.core.records import OBSERVATIONS, State
from radlet.reading.drift.card import Value
from radlet.reading.gate import GateVerdict

OLDEST_YEARS = 90.0
"""Older patients count as of this age: a card may not tell of the one who is a hundred and two."""


def person_values(sex: str | None, age_years: float | None) -> dict[str, Value]:
    """Return the measures of a patient, as far as they are known."""
    values: dict[str, Value] = {}
    if sex:
        values["sex"] = sex if sex in ("F", "M") else "other"
    if age_years is not None:
        values["age_years"] = min(float(age_years), OLDEST_YEARS)
    return values


def film_values(verdict: GateVerdict | None, view: str | None) -> dict[str, Value]:
    """Return the measures of the film that a study is drafted from.

    Args:
        verdict: Of the gate on it; None where every film was refused.
        view: Where known.
    """
    if verdict is None:
        return {"gate": "refused"}
    values: dict[str, Value] = {**verdict.numbers, "gate": "warned" if verdict.reasons else "passed"}
    if view:
        values["view"] = view
    return values


def draft_values(text: str, states: Mapping[str, str]) -> dict[str, Value]:
    """Return the measures of a draft.

    Args:
        text: The draft.
        states: Observation -> what it says of it; those that are absent are not mentioned.
    """
    said = {name: str(states.get(name, State.UNMENTIONED)) for name in OBSERVATIONS}
    return {"words": float(len(text.split())), **said}
