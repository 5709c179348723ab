"""Reading room and node in one process, told to stop: the time for it is given once, not to each."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from radlet.pacs.settings import NodeSettings, PacsConfig
from radlet.reading import closing
from radlet.stages import node, serve


class Clock:
    """Seconds that pass when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for all, and nothing of a service but what ends it."""
    found = Clock()
    made = closing.Closing
    monkeypatch.setattr("radlet.reading.closing.Closing", lambda wait_s: made(wait_s, found))
    for name in ("open_room", "_put_card_in_force", "put_card_in_force", "_swap_at_hangup"):
        monkeypatch.setattr(serve, name, lambda *_: SimpleNamespace(store=SimpleNamespace(close=list)), raising=False)
    monkeypatch.setattr("radlet.reading.offline.stay_offline", lambda _: None)
    monkeypatch.setattr("radlet.serving.server.listen", lambda _: None)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    return found


def waiting(clock: Clock, took_s: float, waited: list[float]) -> Callable[[float], bool]:
    def wait(wait_s: float) -> bool:
        waited.append(wait_s)
        clock.now += took_s
        return True

    return wait


@pytest.mark.parametrize(("took_s", "left_s"), [(4.0, 26.0), (30.0, 1.0)], ids=["some time is left", "none is left"])
def test_a_node_beside_the_room_has_what_the_room_left_of_the_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, took_s: float, left_s: float
) -> None:
    waited: list[float] = []
    stub = SimpleNamespace(start=lambda: None, port=1, stop=waiting(clock, 0.0, waited))
    monkeypatch.setattr("radlet.pacs.node.DicomNode", lambda *_: stub)
    close = waiting(clock, took_s, waited)
    # As the signal does: the room is closed within the time, and the process leaves.
    monkeypatch.setattr(
        "radlet.serving.server.serve", lambda _room, _config, _listening, ending, _console: close(ending.left_s())
    )
    config = serve.ServeRecipe(data_dir=tmp_path, drain_s=30.0, node=NodeSettings())
    serve.run(serve.Served(tmp_path), config, Console(quiet=True))
    assert waited == [30.0, left_s]


def test_a_room_behind_a_node_has_what_the_node_left_of_the_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    stub = SimpleNamespace(start=lambda: None, port=1, stop=waiting(clock, 25.0, waited))
    monkeypatch.setattr("radlet.pacs.node.DicomNode", lambda *_: stub)
    room = SimpleNamespace(close=waiting(clock, 0.0, waited))
    ending = closing.Closing(30.0)
    with node.open_node(room, PacsConfig(), ending, Console(quiet=True)):
        pass
    node._close(room, ending, Console(quiet=True))
    assert waited == [30.0, 5.0]
