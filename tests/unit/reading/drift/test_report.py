from collections.abc import Callable

import numpy as np
import pytest

from radlet.core.records import OBSERVATIONS
from radlet.reading.drift.card import Measure, Observed, Value, make_measures
from radlet.reading.drift.measuring import draft_values
from radlet.reading.drift.report import DriftSettings, compare_group

SETTINGS = DriftSettings(false_alarm_rate=0.1)
NUMBERS = ("brightness", "contrast", "clipping", "detail", "chest", "aspect")
Change = Callable[[dict[str, Value]], dict[str, Value]]


def study(random: np.random.Generator, change: Change = lambda values: values) -> Observed:
    """Numbers that hang together, one that is skewed, one that many films share; findings that are rare."""
    of_film = random.normal()
    values: dict[str, Value] = {name: of_film + random.normal() for name in NUMBERS[:-2]}
    values |= {"chest": float(random.beta(8, 0.1)), "aspect": float(random.choice([1.0, 1.2, random.uniform(1, 2)]))}
    values |= {"gate": str(random.choice(["passed", "warned", "refused"], p=[0.9, 0.07, 0.03]))}
    states = {
        name: str(random.choice(["POSITIVE", "NEGATIVE", "UNMENTIONED"], p=[0.05, 0.25, 0.7])) for name in OBSERVATIONS
    }
    values |= draft_values("word " * int(random.integers(5, 60)), states)
    return Observed(scanner=None, values=change(values))


def studies(seed: int, count: int, change: Change = lambda values: values) -> list[Observed]:
    random = np.random.default_rng(seed)
    return [study(random, change) for _ in range(count)]


@pytest.fixture(scope="module")
def measures() -> tuple[Measure, ...]:
    return make_measures(studies(0, 600))


def test_the_false_alarm_rate_of_a_group_is_held() -> None:
    alarmed = 0
    for reference in range(2):
        known = make_measures(studies(100 + reference, 300))
        for trial in range(20):
            group = compare_group(None, studies(1000 * reference + trial, 60), [], known, SETTINGS)
            assert len(group.measures) == len(known) == 22
            alarmed += bool(group.alarms)
    # 4 are expected at most; 12 or more come in one of a thousand runs.
    assert alarmed <= 11


def darker(values: dict[str, Value]) -> dict[str, Value]:
    return {**values, "brightness": float(values["brightness"]) - 1.5}


def refused(_: dict[str, Value]) -> dict[str, Value]:
    return {"gate": "refused"}


def sicker(values: dict[str, Value]) -> dict[str, Value]:
    negative = values["Pleural Effusion"] == "UNMENTIONED"
    return {**values, "Pleural Effusion": "POSITIVE"} if negative else values


def square(values: dict[str, Value]) -> dict[str, Value]:
    return {**values, "aspect": 1.0}


@pytest.mark.parametrize(
    ("change", "named"), [(darker, "brightness"), (refused, "gate"), (sicker, "Pleural Effusion"), (square, "aspect")]
)
def test_a_change_is_found_and_named(measures: tuple[Measure, ...], change: Change, named: str) -> None:
    group = compare_group(None, studies(5, 60, change), [], measures, SETTINGS)
    assert named in group.alarms
    assert len(group.alarms) <= 2


def test_of_few_studies_nothing_is_said(measures: tuple[Measure, ...]) -> None:
    group = compare_group("Agfa", studies(5, 49, darker), [], measures, SETTINGS)
    assert (group.films, group.enough, group.measures) == (49, False, ())


def test_a_measure_with_few_values_is_left_out(measures: tuple[Measure, ...]) -> None:
    without = [one.model_copy(update={"values": {"chest": 0.99}}) for one in studies(3, 60)]
    assert [one.name for one in compare_group(None, without, [], measures, SETTINGS).measures] == ["chest"]


def test_a_scanner_that_the_reference_knows_is_held_against_its_own_films() -> None:
    # Two scanners of which one is always darker: neither has changed, but both differ from the whole.
    random = np.random.default_rng(4)
    known = [
        Observed(scanner=name, values={"brightness": random.normal(shift)})
        for name, shift in (("A", 0), ("B", 3))
        for _ in range(300)
    ]
    (measure,) = make_measures(known)
    assert set(measure.by_scanner) == {"A", "B"}
    seen = [Observed(scanner=None, values={"brightness": random.normal(3)}) for _ in range(80)]
    alarms = {name: compare_group(name, seen, [], [measure], SETTINGS).alarms for name in ("A", "B", "another", None)}
    assert alarms == {"A": ["brightness"], "B": [], "another": ["brightness"], None: ["brightness"]}
    whole = compare_group("B", seen, [], [measure], SETTINGS).measures[0]
    assert sum(whole.expected) == pytest.approx(1, abs=1e-3)
    assert len(whole.edges or ()) == len(whole.seen) + 1
