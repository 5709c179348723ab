from pathlib import Path

import pytest
from rich.console import Console
from tests.fixtures.demo_folder import NUM_TEST, NUM_TRAIN, make_demo

from radlet.reading.drift.card import DriftCard
from radlet.reading.drift.placing import place_beside, put_in_force
from radlet.reading.drift.reference import make_reference
from radlet.reading.gate import GateSettings
from radlet.stages import demo
from radlet.stages.served import DEMO_MODEL, Served


@pytest.fixture
def run_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the demo whose stages have run; return what it says."""

    def run(out: Path, done: dict[str, Path]) -> str:
        monkeypatch.setattr(demo, "run_recipes", lambda *_: done)
        demo.run_demo(out, [], Console(width=300, no_color=True))
        return capsys.readouterr().out

    return run


def test_the_demo_leaves_the_card_that_its_reading_room_looks_for(tmp_path: Path, run_demo, monkeypatch) -> None:
    done = make_demo(tmp_path)
    told = run_demo(tmp_path, done)
    assert f"serve {tmp_path}" in told
    served = Served.of_demo(tmp_path)
    assert served is not None
    place = place_beside(served.checkpoint)
    card = DriftCard.read(place)
    assert (card.model, card.films, card.reports) == (DEMO_MODEL, NUM_TRAIN, NUM_TEST)
    # Made once: a demo that has run does nothing anew.
    monkeypatch.setattr("radlet.reading.drift.reference.make_reference", None)
    run_demo(tmp_path, done)
    assert DriftCard.read(place) == card


def test_a_demo_whose_films_pass_no_gate_ends_without_a_card(tmp_path: Path, run_demo, monkeypatch) -> None:
    done = make_demo(tmp_path)

    def strict(model, build, _gate, sample, progress) -> DriftCard:
        return make_reference(model, build, GateSettings(least_frontal=1, doubtful_frontal=1), sample, progress)

    monkeypatch.setattr("radlet.reading.drift.reference.make_reference", strict)
    told = run_demo(tmp_path, done)
    assert "drift: no reference card" in told
    assert "Done in" in told
    assert not place_beside(tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("left", ['{"version": 1}', "cut off"])
def test_a_card_that_cannot_be_read_is_made_anew_and_stops_no_service(tmp_path: Path, run_demo, left: str) -> None:
    done = make_demo(tmp_path)
    served = Served.of_demo(tmp_path)
    assert served is not None
    place = place_beside(served.checkpoint)
    place.write_text(left)
    assert "make it anew" in put_in_force(None, served.checkpoint, "0" * 64, tmp_path)
    run_demo(tmp_path, done)
    assert DriftCard.read(place).films == NUM_TRAIN
