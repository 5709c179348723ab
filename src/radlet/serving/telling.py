"""From the thread that writes drafts to the coroutines that send them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from starlette.types import Receive, Scope, Send

from radlet.core.errors import RadletError
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.reading.draft_queue import DraftQueue
from radlet.reading.room import EndedError, written_by
from radlet.reading.tickets import Ticket, Told
from radlet.serving.access_log import WENT_WRONG, tell_failure

_LOOK_AFTER_S = 1.0
"""How often it is asked whether the client is still there."""


class Hearing:
    """Hears of a draft in a coroutine; leaving the block before its end gives the draft up.

    Args:
        queue: Of the room.
        request: What is asked.
        sampling: How; None is the checkpoint's own way.
        films: Those of the request, where they have been read already.
        whole: Hear the text at its end alone.
    """

    def __init__(
        self,
        queue: DraftQueue,
        request: DraftRequest,
        sampling: Sampling | None,
        films: tuple[NDArray[np.uint8], ...] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._queue, self._whole = queue, whole
        self._asked = (request, sampling)
        self._films = films
        self._news: asyncio.Queue[Told] = asyncio.Queue()
        self._ticket: Ticket | None = None
        self._ended = False

    async def __aenter__(self) -> Ticket:
        """Get in line; the film is read in another thread.

        Raises:
            ClosedError: The service is stopping.
            ConfigError: The model cannot write in this way.
            DataError: A film cannot be read.
            QueueFullError: Too many wait.
        """
        # The listener must not know this object, which holds the ticket, which holds the listener: such a ring keeps
        # the film until Python looks for rings among what is old, thousands of requests later.
        loop, news = asyncio.get_running_loop(), self._news

        def hear(told: Told) -> None:
            loop.call_soon_threadsafe(news.put_nowait, told)

        # Films in full size are let go of as soon as the line has what it needs of them.
        films, self._films = self._films, None
        ticket = await asyncio.to_thread(self._queue.submit, *self._asked, hear, films, whole=self._whole)
        self._ticket = ticket
        return ticket

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the draft up, unless it has ended."""
        # A stream that is cut off leaves a ring around its traceback: the film must not be in it.
        ticket, self._ticket = self._ticket, None
        if ticket and not self._ended:
            self._queue.cancel(ticket)

    async def __aiter__(self) -> AsyncIterator[Told]:
        """Yield all news, the last of which has `ended`."""
        while not self._ended:
            told = await self._news.get()
            self._ended = told.ended is not None
            yield told

    async def end(self, gone: Callable[[], Awaitable[bool]]) -> Told | None:
        """Wait for a text that is told whole; None when `gone` says that nobody waits for it any more."""
        while True:
            try:
                told = await asyncio.wait_for(self._news.get(), _LOOK_AFTER_S)
            except TimeoutError:
                if await gone():
                    return None
                continue
            self._ended = True
            return told

    async def whole_text(self, gone: Callable[[], Awaitable[bool]]) -> tuple[str, Drafter]:
        """Get in line for a text that is told whole; return it and who wrote it.

        Args:
            gone: Says that nobody waits for it any more; it is then given up.

        Raises:
            EndedError: The text was cancelled, took too long or failed.
            RadletError: What getting in line raises.
        """
        async with self:
            told = await self.end(gone)
        if told is None:
            raise EndedError("cancelled")
        return told.text, written_by(told)


def server_sent(event: Mapping[str, Any]) -> str:
    """Return one server-sent event (WHATWG HTML, section 9.2)."""
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"


def error_event(words: str) -> str:
    """Return the event by which the room's own streams tell an error."""
    return server_sent({"error": words})


async def _told_to_the_end(events: AsyncIterator[str], failed: Callable[[str], str]) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield event
    except RadletError as error:
        yield failed(str(error))
    except Exception as error:  # noqa: BLE001 - the answer has begun: an event is all that can still be told
        tell_failure(error)
        yield failed(WENT_WRONG)


class EventStream(StreamingResponse):
    """Server-sent events.

    Args:
        events: To send. An error among them ends the stream with an event that says so.
        end: Is called when there will be no more, also where the client has left before the first.
        failed: Makes the events by which the client hears that there was an error, given words for it.
    """

    def __init__(
        self, events: AsyncIterator[str], end: Callable[[], None], failed: Callable[[str], str] = error_event
    ) -> None:
        told = _told_to_the_end(events, failed)
        super().__init__(told, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()
