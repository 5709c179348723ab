import signal
from types import SimpleNamespace

import pytest
import uvicorn

from radlet.serving.server import _DrainingServer


@pytest.mark.parametrize(("took_s", "left_s"), [(4.0, 27), (30.0, 1), (31.0, 1)])
def test_answers_on_their_way_have_what_drafts_left_of_the_time(
    monkeypatch: pytest.MonkeyPatch, took_s: float, left_s: int
) -> None:
    monkeypatch.setattr("radlet.serving.server.time", SimpleNamespace(monotonic=iter([0.0, took_s]).__next__))
    settings = uvicorn.Config(lambda: None, timeout_graceful_shutdown=31)
    waited: list[float] = []
    server = _DrainingServer(settings, SimpleNamespace(close=waited.append), 30.0)
    server._drain(signal.SIGTERM, None)
    assert (waited, settings.timeout_graceful_shutdown, server.should_exit) == ([30.0], left_s, True)
