import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fixtures.reading_room import OPEN_GATE, make_served

from radlet.reading.room import ReadingRoom, RoomSettings
from radlet.reading.store.store import Store


class SlowFinder:
    """A collection whose search lasts until it is let go; it counts what is made of it."""

    def __init__(self) -> None:
        self.searching, self.go_on = threading.Event(), threading.Event()
        self.num_made = 0

    @property
    def familiarity(self) -> None:
        self.num_made += 1

    def nearest(self, *_: object) -> list[dict[str, object]]:
        self.searching.set()
        assert self.go_on.wait(60)
        return []


def test_a_film_is_read_while_somebody_searches(tmp_path: Path, tiny_films: list[Path]) -> None:
    finder = SlowFinder()
    gate = OPEN_GATE.model_copy(update={"unlike": "warn"})
    with Store(tmp_path / "data") as store, ThreadPoolExecutor(2) as threads:
        room = ReadingRoom(store, make_served(), RoomSettings(gate=gate), finder)
        # What takes long the first time is made before anybody waits for it.
        assert finder.num_made == 1
        found = threads.submit(room.similar, "effusion")
        try:
            assert finder.searching.wait(20)
            assert threads.submit(room.read, tiny_films[0].read_bytes()).result(20).verdict.passed
        finally:
            finder.go_on.set()
        assert found.result(20) == []
        room.close(0)
