import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from radlet.core.errors import DataError, RadletError
from radlet.inference.draft_stream import DraftStream
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.models.report_model import ReportModel
from radlet.reading.draft_queue import ClosedError, DraftQueue, QueueFullError, QueueSettings
from radlet.reading.tickets import Told

SHORT = Sampling(max_new_tokens=12)


class Listener:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Told] = []
        self.done = threading.Event()

    def __call__(self, told: Told) -> None:
        self.heard.append(told)
        if told.ended:
            self.done.set()

    @property
    def text(self) -> str:
        return "".join(told.text for told in self.heard)

    def wait(self) -> Told:
        assert self.done.wait(20)
        return self.heard[-1]


class Gate:
    """Lets the writing thread pass only when opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        step = DraftStream.step

        def held(stream: DraftStream) -> object:
            assert self.open.wait(20)
            return step(stream)

        monkeypatch.setattr(DraftStream, "step", held)


@pytest.fixture
def drafter(tiny_report_model: ReportModel) -> Drafter:
    return Drafter(tiny_report_model)


@pytest.fixture
def queue(drafter: Drafter) -> Iterator[DraftQueue]:
    opened = DraftQueue(drafter, QueueSettings(max_running=2, max_waiting=2))
    yield opened
    opened.close(0)


def test_many_at_once_get_what_each_gets_alone(drafter: Drafter, tiny_films: list[Path]) -> None:
    queue = DraftQueue(drafter, QueueSettings(max_running=3, max_waiting=100))
    listeners = [Listener() for _ in range(16)]
    for number, listener in enumerate(listeners):
        queue.submit(DraftRequest((tiny_films[number % 8],)), SHORT, listener)
    assert {listener.wait().ended for listener in listeners} <= {"stop", "length"}
    expected = drafter.draft([DraftRequest((film,)) for film in tiny_films], SHORT)
    assert [listener.text for listener in listeners] == expected * 2
    assert queue.state.num_done == 16
    assert queue.close(5)


def test_one_too_many_is_told_when_to_come_back(
    queue: DraftQueue, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    listeners = [Listener() for _ in range(4)]
    for listener in listeners:
        queue.submit(DraftRequest((tiny_films[0],)), SHORT, listener)
    with pytest.raises(QueueFullError) as told:
        queue.submit(DraftRequest((tiny_films[0],)), SHORT, Listener())
    assert 1 <= told.value.retry_after_s <= 60
    gate.open.set()
    assert {listener.wait().ended for listener in listeners} <= {"stop", "length"}
    assert queue.state.num_refused == 1
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, Listener())


def test_a_request_is_given_up_under_way_and_while_it_waits(
    queue: DraftQueue, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, listeners = Gate(monkeypatch), [Listener() for _ in range(4)]
    tickets = [queue.submit(DraftRequest((tiny_films[0],)), SHORT, listener) for listener in listeners]
    for number in (0, 3):
        queue.cancel(tickets[number])
    gate.open.set()
    assert [listener.wait().ended == "cancelled" for listener in listeners] == [True, False, False, True]


def test_what_takes_too_long_is_given_up(
    drafter: Drafter, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    queue = DraftQueue(drafter, QueueSettings(time_limit_s=0.05))
    listener = Listener()
    queue.submit(DraftRequest((tiny_films[0],)), Sampling(max_new_tokens=100), listener)
    time.sleep(0.1)
    gate.open.set()
    assert listener.wait().ended == "timeout"
    queue.close(0)


def test_an_unreadable_film_is_refused_before_it_waits(queue: DraftQueue, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        queue.submit(DraftRequest((tmp_path / "none.png",)), None, Listener())
    assert queue.state.waiting == 0


def test_a_failure_ends_those_under_way_and_the_service_goes_on(
    queue: DraftQueue, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = DraftStream.step

    def fail(stream: DraftStream) -> None:
        raise RuntimeError("secret report")

    monkeypatch.setattr(DraftStream, "step", fail)
    first, second = Listener(), Listener()
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, first)
    assert first.wait().ended == "error"
    monkeypatch.setattr(DraftStream, "step", step)
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, second)
    assert second.wait().ended in ("stop", "length")
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_model_is_swapped_while_requests_are_under_way(
    drafter: Drafter, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    queue = DraftQueue(drafter, QueueSettings(max_running=1, max_waiting=3))
    listeners = [Listener() for _ in range(4)]
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, listeners[0])
    while queue.state.running == 0:
        time.sleep(0.001)
    queue.submit(DraftRequest((tiny_films[1],)), SHORT, listeners[1])
    card = drafter.card.model_copy(update={"guidance": 2.0})
    other = Drafter(ReportModel(drafter.report_model.model, drafter.report_model.tokenizer, card))
    queue.swap(other)
    queue.submit(DraftRequest((tiny_films[2],)), other.own_sampling, listeners[2])
    gate.open.set()
    assert listeners[0].wait().drafter is drafter
    assert listeners[0].text == drafter.draft([DraftRequest((tiny_films[0],))], SHORT)[0]
    assert listeners[2].wait().drafter is other
    # It got in line before the swap, with the old model's guidance: the new one writes it in its own way.
    assert listeners[1].wait().ended in ("stop", "length")
    assert queue.close(5)


def refused(queue: DraftQueue) -> RadletError | None:
    try:
        queue.submit(DraftRequest(()), SHORT, Listener())
    except RadletError as error:
        return error
    return None


@pytest.mark.parametrize("wait_s", [20, 0], ids=["drained", "cut off"])
def test_closing_finishes_what_is_in_line_or_says_that_it_did_not(
    drafter: Drafter, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch, wait_s: float
) -> None:
    gate = Gate(monkeypatch)
    queue = DraftQueue(drafter, QueueSettings(max_running=2))
    listeners = [Listener() for _ in range(5)]
    for listener in listeners:
        queue.submit(DraftRequest((tiny_films[0],)), SHORT, listener)
    closed: list[bool] = []
    closing = threading.Thread(target=lambda: closed.append(queue.close(wait_s)))
    closing.start()
    while not isinstance(refused(queue), ClosedError):
        time.sleep(0.001)
    gate.open.set()
    closing.join()
    ends = {listener.wait().ended for listener in listeners}
    assert closed == [wait_s > 0]
    assert ("cancelled" in ends) == (wait_s == 0)
    assert not queue.alive


def test_a_failure_while_a_draft_is_given_up_ends_those_under_way_alone(
    queue: DraftQueue, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(stream: DraftStream, keys: object) -> None:
        raise RuntimeError("secret report")

    monkeypatch.setattr(DraftStream, "drop", fail)
    gate, listeners = Gate(monkeypatch), [Listener() for _ in range(3)]
    # The thread is kept busy until all are in line, so that the first two are under way together.
    meet = threading.Barrier(2, timeout=20)
    busy = threading.Thread(target=queue.run, args=(lambda _: (meet.wait(), meet.wait()),))
    busy.start()
    meet.wait()
    tickets = [queue.submit(DraftRequest((tiny_films[0],)), SHORT, listener) for listener in listeners]
    meet.wait()
    busy.join()
    while queue.state.running < 2:
        time.sleep(0.001)
    queue.cancel(tickets[0])
    gate.open.set()
    assert listeners[0].wait().ended == "cancelled"
    assert listeners[1].wait().ended == "error"
    assert listeners[2].wait().ended in ("stop", "length")
    assert queue.alive
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_listener_that_fails_keeps_nobody_else_waiting(
    queue: DraftQueue, tiny_films: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    def gone(told: Told) -> None:
        raise RuntimeError("secret: the loop is closed")

    other = Listener()
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, gone)
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, other)
    assert other.wait().ended in ("stop", "length")
    assert queue.alive
    assert "secret" not in caplog.text


def test_whatever_else_fails_everybody_in_line_is_told_and_the_service_goes_on(
    queue: DraftQueue, tiny_films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Listener(), Listener()

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(DraftQueue, "_take_in", fail)
        queue.submit(DraftRequest((tiny_films[0],)), SHORT, first)
        assert first.wait().ended == "error"
    queue.submit(DraftRequest((tiny_films[0],)), SHORT, second)
    assert second.wait().ended in ("stop", "length")
