import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from tests.fixtures.drift_store import fill, make_card
from tests.fixtures.reading_room import OPEN_GATE, make_served

from radlet.core.errors import DataError
from radlet.reading.drift.card import DriftCard
from radlet.reading.drift.placing import IN_FORCE, card_of, place_beside, put_in_force
from radlet.reading.drift.report import DriftSettings
from radlet.reading.drift.watch import DriftWatch
from radlet.reading.room import ReadingRoom, RoomSettings
from radlet.reading.store.store import Store
from radlet.serving.metrics import make_registry


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    opened = ReadingRoom(Store(tmp_path / "data"), make_served(), RoomSettings(gate=OPEN_GATE))
    yield opened
    opened.close(0)
    opened.store.close()


def test_alarms_are_logged_once_and_stand_in_the_metrics(room: ReadingRoom, caplog: pytest.LogCaptureFixture) -> None:
    make_card().write(room.store.data_dir / IN_FORCE)
    fill(room.store, 60, scanner="GE XR", brightness=0.8)
    watch = DriftWatch(room, DriftSettings())
    registry, _ = make_registry(room, watch)
    assert "radlet_drift_alarm{" not in generate_latest(registry).decode()
    with caplog.at_level(logging.WARNING):
        watch.begin()
        watch.report()
        watch.end()
        watch.report()
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"drift: brightness has changed ({name}); see radlet drift show" for name in ("GE XR", "all")]
    scraped = generate_latest(registry).decode()
    assert 'radlet_drift_alarm{measure="brightness",scanner="GE XR"} 1.0' in scraped
    assert 'radlet_drift_alarm{measure="contrast",scanner="GE XR"} 0.0' in scraped


def test_a_card_of_another_model_counts_as_none(room: ReadingRoom) -> None:
    make_card("d" * 64).write(room.store.data_dir / IN_FORCE)
    assert DriftWatch(room, DriftSettings()).report().reference is None


def test_a_broken_card_stops_nothing(room: ReadingRoom, caplog: pytest.LogCaptureFixture) -> None:
    (room.store.data_dir / IN_FORCE).write_text("{}")
    watch = DriftWatch(room, DriftSettings())
    watch.begin()
    watch.end()
    assert "drift: not looked for (DataError)" in caplog.text


def test_the_card_beside_the_model_comes_into_force_and_goes_with_it(tmp_path: Path) -> None:
    checkpoint, data = tmp_path / "run" / "checkpoint", tmp_path / "data"
    checkpoint.mkdir(parents=True)
    data.mkdir()
    assert place_beside(tmp_path / "run") == place_beside(checkpoint) == tmp_path / "run" / "checkpoint.drift.json"
    card: DriftCard = make_card()
    card.write(place_beside(checkpoint))
    assert "400 films" in put_in_force(None, tmp_path / "run", card.checkpoint_digest, data)
    assert card_of(data) == card
    assert "another model" in put_in_force(None, tmp_path / "run", "d" * 64, data)
    assert card_of(data) is None
    with pytest.raises(DataError, match="another model"):
        put_in_force(place_beside(checkpoint), checkpoint, "d" * 64, data)
    assert "no reference card" in put_in_force(None, tmp_path / "elsewhere", card.checkpoint_digest, data)
