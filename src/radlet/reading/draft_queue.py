"""The line of those who wait for a draft: bounded, fair, and served by one thread that writes many drafts together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from radlet.core.config import Config
from radlet.core.errors import RadletError
from radlet.inference.draft_stream import DraftStream, Prepared, Wanted, prepare
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.reading.tickets import Ticket, Told, tell

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

_LONGEST_RETRY_S = 60


class QueueSettings(Config):
    """How many drafts are written together, and how many may wait."""

    max_running: int = Field(default=16, ge=1)
    """Drafts under way at once."""
    max_waiting: int = Field(default=64, ge=0)
    """Requests that may wait; more are turned away (HTTP 429)."""
    time_limit_s: float = Field(default=120.0, gt=0)
    """A draft that is not done after so long is given up."""


class QueueFullError(RadletError):
    """Too many wait already; `retry_after_s` says when to come back."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many requests are waiting. Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class ClosedError(RadletError):
    """The service is stopping and takes nothing new."""


@dataclass(frozen=True)
class QueueState:
    """How busy the line is."""

    waiting: int
    running: int
    num_done: int
    num_refused: int
    num_tokens: int


@dataclass
class _Under:
    """A model with what it is writing."""

    drafter: Drafter
    stream: DraftStream
    tickets: dict[Hashable, Ticket] = field(default_factory=dict)


class DraftQueue:
    """Let a model write for many.

    Args:
        drafter: The model.
        settings: Of the line.
    """

    def __init__(self, drafter: Drafter, settings: QueueSettings) -> None:
        self._settings = settings
        self._waiting: deque[Ticket] = deque()
        self._models = [self._under(drafter)]
        self._calls: deque[tuple[Callable[[Drafter], None], Future[Any]]] = deque()
        self._change = threading.Condition()
        self._closing = self._stopped = False
        self._keys = count()
        self._seconds_each = 1.0
        self._num_done = self._num_refused = self._num_tokens = 0
        self._thread = threading.Thread(target=self._serve, name="drafting", daemon=True)
        self._thread.start()

    @property
    def drafter(self) -> Drafter:
        """Who takes the next request."""
        return self._models[-1].drafter

    @property
    def state(self) -> QueueState:
        """How busy the line is now."""
        with self._change:
            running = sum(len(model.tickets) for model in self._models)
            return QueueState(len(self._waiting), running, self._num_done, self._num_refused, self._num_tokens)

    @property
    def alive(self) -> bool:
        """Whether the thread that writes is at work, and takes what is new."""
        return self._thread.is_alive() and not self._closing

    def submit(
        self,
        request: DraftRequest,
        sampling: Sampling | None,
        listener: Callable[[Told], None],
        films: tuple[NDArray[np.uint8], ...] | None = None,
        *,
        whole: bool = False,
    ) -> Ticket:
        """Get in line.

        Args:
            request: What the draft is to be written from; its films are read now.
            sampling: How; None is the checkpoint's own way. The guidance is the checkpoint's in any case.
            listener: Is called with all news, the last of which has `ended`, by the thread that writes: it must not
                wait for anything.
            films: Those of the request, where they have been read already.
            whole: Tell the text at its end alone.

        Raises:
            ClosedError: The service is stopping.
            ConfigError: The model cannot write in this way.
            DataError: A film cannot be read.
            QueueFullError: Too many wait.
        """
        self.check_room()
        drafter = self.drafter
        sampling = _guided(sampling or drafter.own_sampling, drafter)
        wanted = Wanted(request, sampling, films, whole)
        prepared = prepare(drafter, wanted)
        deadline = time.monotonic() + self._settings.time_limit_s
        # What waits holds no films in full size: should another model come, they are read again.
        ticket = Ticket(replace(wanted, films=None), listener, prepared, drafter, deadline)
        with self._change:
            self.check_room()
            self._waiting.append(ticket)
            self._change.notify_all()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Give a request up; its listener hears that it was cancelled, unless it had ended before."""
        with self._change:
            ticket.cancelled = True
            self._change.notify_all()

    def run(self, work: Callable[[Drafter], T]) -> T:
        """Let the model do something else between two tokens, and return what came of it.

        A model is in one thread's hands at a time: this is how others use it.

        Raises:
            ClosedError: The service is stopping.
            Exception: What `work` raised.
        """
        done: Future[T] = Future()

        def call(drafter: Drafter) -> None:
            try:
                done.set_result(work(drafter))
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                done.set_exception(error)

        with self._change:
            if self._closing:
                raise ClosedError("The service is stopping.")
            self._calls.append((call, done))
            self._change.notify_all()
        return done.result()

    def swap(self, drafter: Drafter) -> None:
        """Let another model write from now on; what is under way is finished by the one that began it."""
        with self._change:
            self._models.append(self._under(drafter))
            self._change.notify_all()

    def close(self, wait_s: float) -> bool:
        """Take nothing new, finish what is in line, at most for `wait_s`, and stop; tell whether all was finished."""
        with self._change:
            self._closing = True
            self._change.notify_all()
            finished = self._change.wait_for(lambda: not self._busy(), timeout=wait_s)
            self._stopped = True
            self._change.notify_all()
        self._thread.join()
        return finished

    def _under(self, drafter: Drafter) -> _Under:
        return _Under(drafter, DraftStream(drafter, self._settings.max_running))

    def check_room(self) -> None:
        """Refuse where nobody more may wait; before work is spent on a request that would be refused after it.

        Raises:
            ClosedError: The service is stopping.
            QueueFullError: Too many wait.
        """
        with self._change:
            if self._closing:
                raise ClosedError("The service is stopping.")
            running = sum(len(model.tickets) for model in self._models)
            free = max(self._settings.max_running - running, 0)
            if len(self._waiting) >= self._settings.max_waiting + free:
                self._num_refused += 1
                ahead = (len(self._waiting) + 1) / self._settings.max_running
                raise QueueFullError(min(max(round(ahead * self._seconds_each), 1), _LONGEST_RETRY_S))

    def _busy(self) -> bool:
        return bool(self._waiting or self._calls) or any(model.tickets for model in self._models)

    def _serve(self) -> None:
        while self._turn():
            pass
        with self._change:
            left = self._empty_line()
            calls = list(self._calls)
            self._calls.clear()
        for ticket in left:
            tell(ticket, Told("", ticket.num_tokens, "cancelled", ticket.by))
        for _, done in calls:
            done.set_exception(ClosedError("The service is stopping."))

    def _turn(self) -> bool:
        """Write one token of everything that is under way; tell whether there will be another turn."""
        with self._change:
            self._change.wait_for(lambda: self._busy() or self._stopped or self._replaced())
            if self._stopped:
                return False
            self._models = [model for model in self._models[:-1] if model.tickets] + self._models[-1:]
            models = list(self._models)
            call = self._calls.popleft() if self._calls else None
        if call:
            call[0](models[-1].drafter)
        try:
            self._give_up(models)
            self._take_in(models[-1])
            for model in models:
                self._write(model)
        except Exception as error:  # noqa: BLE001 - without this thread everybody would wait for ever
            with self._change:
                left = self._empty_line()
            for model in models:
                model.stream = DraftStream(model.drafter, self._settings.max_running)
            self._tell_failed(left, error)
        return True

    def _replaced(self) -> bool:
        """Say whether a model is held that has nothing left to write."""
        return any(not model.tickets for model in self._models[:-1])

    def _empty_line(self) -> list[Ticket]:
        """Return everybody in line, and forget them; the lock is held."""
        left = [*self._waiting, *(one for model in self._models for one in model.tickets.values())]
        self._waiting.clear()
        for model in self._models:
            model.tickets.clear()
        self._change.notify_all()
        return left

    def _give_up(self, models: list[_Under]) -> None:
        """Drop those that were cancelled or are out of time."""
        moment = time.monotonic()
        over: list[Ticket] = []
        dropped: list[tuple[_Under, list[Hashable]]] = []
        with self._change:
            over += [ticket for ticket in self._waiting if ticket.cancelled or ticket.deadline < moment]
            self._waiting = deque(ticket for ticket in self._waiting if ticket not in over)
            for model in models:
                keys = [key for key, one in model.tickets.items() if one.cancelled or one.deadline < moment]
                over += [model.tickets.pop(key) for key in keys]
                dropped.append((model, keys))
            self._change.notify_all()
        # Not under the lock: it moves the memory of the others, and whoever gives up waits for the lock.
        for model, keys in dropped:
            self._drop(model, keys)
        for ticket in over:
            self._end(ticket, Told("", ticket.num_tokens, "cancelled" if ticket.cancelled else "timeout", ticket.by))

    def _take_in(self, model: _Under) -> None:
        with self._change:
            taken = [self._waiting.popleft() for _ in range(min(model.stream.room, len(self._waiting)))]
            keys: dict[Hashable, Ticket] = {next(self._keys): ticket for ticket in taken}
            model.tickets.update(keys)
        ready: dict[Hashable, Prepared] = {}
        for key, ticket in keys.items():
            try:
                if ticket.by is not model.drafter:  # another model has come since it got in line
                    own = _guided(ticket.wanted.sampling, model.drafter)
                    ticket.prepared = prepare(model.drafter, replace(ticket.wanted, sampling=own))
                    ticket.by = model.drafter
                ready[key] = ticket.prepared
            except Exception as error:  # noqa: BLE001 - one request must not stop the others; its listener is told
                self._fail(model, [key], error)
        if not ready:
            return
        try:
            model.stream.admit(ready)
        except Exception as error:  # noqa: BLE001 - likewise
            self._fail(model, list(ready), error)

    def _write(self, model: _Under) -> None:
        if not len(model.stream):
            return
        try:
            pieces = model.stream.step()
        except Exception as error:  # noqa: BLE001 - the service goes on with a new stream; those under way are told
            self._renew(model, error)
            return
        for piece in pieces:
            ticket = model.tickets[piece.key]
            new, ticket.num_tokens = piece.num_tokens - ticket.num_tokens, piece.num_tokens
            with self._change:
                self._num_tokens += new
                if piece.ended:
                    del model.tickets[piece.key]
                    self._change.notify_all()
            told = Told(piece.text, piece.num_tokens, piece.ended, model.drafter)
            if piece.ended:
                self._seconds_each += 0.2 * (time.monotonic() - ticket.began - self._seconds_each)
                self._end(ticket, told)
            elif piece.text:
                tell(ticket, told)

    def _fail(self, model: _Under, keys: list[Hashable], error: Exception) -> None:
        with self._change:
            failed = [model.tickets.pop(key) for key in keys]
            self._change.notify_all()
        self._drop(model, keys)
        self._tell_failed(failed, error)

    def _drop(self, model: _Under, keys: list[Hashable]) -> None:
        if not keys:
            return
        try:
            model.stream.drop(keys)
        except Exception as error:  # noqa: BLE001 - what is left of the stream cannot be trusted
            self._renew(model, error)

    def _renew(self, model: _Under, error: Exception) -> None:
        """Go on with a new stream; those under way are told that they failed."""
        with self._change:
            failed = list(model.tickets.values())
            model.tickets.clear()
            self._change.notify_all()
        model.stream = DraftStream(model.drafter, self._settings.max_running)
        self._tell_failed(failed, error)

    def _tell_failed(self, tickets: list[Ticket], error: Exception) -> None:
        # Its kind alone: what it says may quote a report.
        _LOG.error("%d drafts failed: %s", len(tickets), type(error).__name__)
        for ticket in tickets:
            self._end(ticket, Told("", ticket.num_tokens, "error", ticket.by))

    def _end(self, ticket: Ticket, told: Told) -> None:
        with self._change:
            self._num_done += 1
        tell(ticket, told)


def _guided(sampling: Sampling, drafter: Drafter) -> Sampling:
    return sampling.model_copy(update={"guidance": drafter.card.guidance})
