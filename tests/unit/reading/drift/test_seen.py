from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fixtures.drift_store import DIGEST, TEXTS, fill, make_card

from radlet.data.film_numbers import FILM_NUMBERS
from radlet.reading.drift.report import DriftSettings, report_drift
from radlet.reading.drift.seen import seen_studies
from radlet.reading.store.store import Store
from radlet.reading.store.tables import now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "room") as opened:
        yield opened


def test_a_study_counts_once_with_its_newest_draft(store: Store) -> None:
    person = {"sex": "O", "birth_date": "19000102", "study_date": "20260101"}
    (study,) = fill(store, 1, drafts=3, scanner="Agfa DX", **person)
    newest = store.study(study).drafts[-1]
    (one,) = seen_studies(store, now() - timedelta(days=1), DIGEST)
    assert one.scanner == "Agfa DX"
    assert {name: one.values[name] for name in FILM_NUMBERS} == newest.gate["numbers"]
    assert (one.values["sex"], one.values["age_years"], one.values["view"]) == ("other", 90, "PA")
    assert (one.values["gate"], one.values["words"]) == ("passed", len(TEXTS[0].split()))
    assert one.values["Edema"] == "UNMENTIONED"


def test_of_another_models_draft_the_film_counts_alone(store: Store) -> None:
    fill(store, 1, digest="d" * 64)
    (one,) = seen_studies(store, now() - timedelta(days=1), DIGEST)
    assert "brightness" in one.values
    assert "words" not in one.values


def test_refused_studies_count_and_old_and_new_ones_do_not(store: Store) -> None:
    fill(store, 1, drafts=0, state="refused")
    fill(store, 1, drafts=0, state="new")
    fill(store, 1, days=3)
    assert [one.values for one in seen_studies(store, now() - timedelta(days=1), DIGEST)] == [{"gate": "refused"}]


def test_a_scanner_that_changes_alarms_and_the_other_does_not(store: Store) -> None:
    fill(store, 60, 1, scanner="Agfa DX")
    fill(store, 60, 2, scanner="GE XR", brightness=0.8)
    fill(store, 10, 3, scanner="Fuji")
    report = report_drift(store, make_card(), DriftSettings())
    alarms = {group.scanner: (group.films, group.enough, group.alarms) for group in report.groups}
    assert alarms == {
        None: (130, True, ["brightness"]),
        "Agfa DX": (60, True, []),
        "GE XR": (60, True, ["brightness"]),
        "Fuji": (10, False, []),
    }


def test_readers_who_begin_to_change_more_are_an_alarm(store: Store) -> None:
    for seed in (1, 2):
        fill(store, 30, seed, days=60, signed=TEXTS[0])  # half of the drafts said so
    fill(store, 60, 3, signed="The ribs are whole.")
    (whole,) = report_drift(store, make_card(), DriftSettings()).groups
    distance = next(one for one in whole.measures if one.name == "edit_distance")
    assert distance.alarm
    assert (distance.expected[0], distance.seen[0]) == (0.5, 0)


def test_without_a_card_nothing_is_told(store: Store) -> None:
    fill(store, 1)
    report = report_drift(store, None, DriftSettings())
    assert (report.reference, report.groups) == (None, ())
