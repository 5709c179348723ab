import asyncio
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from tests.fixtures.reading_room import make_served, room_config

from radlet.reading.closing import Closing
from radlet.reading.drift.watch import DriftWatch
from radlet.reading.room import ReadingRoom
from radlet.reading.store.store import Store
from radlet.serving.app import create_app
from radlet.serving.server import _DrainingServer


@pytest.mark.parametrize(("took_s", "left_s"), [(4.0, 27), (30.0, 1), (31.0, 1)])
def test_answers_on_their_way_have_what_drafts_left_of_the_time(took_s: float, left_s: int) -> None:
    settings = uvicorn.Config(lambda: None, timeout_graceful_shutdown=31)
    waited: list[float] = []
    closing = Closing(30.0, iter([0.0, took_s]).__next__)
    server = _DrainingServer(settings, SimpleNamespace(close=waited.append), closing)
    server._drain(signal.SIGTERM, None)
    assert (waited, settings.timeout_graceful_shutdown, server.should_exit) == ([30.0], left_s, True)


def test_the_end_waits_for_no_thread_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still being answered would stand still meanwhile."""
    entered, loop_goes_on, went_on = threading.Event(), threading.Event(), []

    def end(_: DriftWatch, *_given: float) -> None:
        entered.set()
        went_on.append(loop_goes_on.wait(20))

    monkeypatch.setattr(DriftWatch, "end", end)
    config = room_config(tmp_path)
    with Store(tmp_path) as store:
        app = create_app(ReadingRoom(store, make_served(), config.room), config)

        async def answer_meanwhile() -> None:
            while not entered.is_set():
                await asyncio.sleep(0.01)
            loop_goes_on.set()

        async def run() -> None:
            async with app.router.lifespan_context(app):
                answering = asyncio.create_task(answer_meanwhile())
            await answering

        asyncio.run(run())
    assert went_on == [True]
