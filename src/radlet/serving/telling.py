"""From the thread that writes drafts to the coroutines that send them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from radlet.inference.drafter import DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.reading.draft_queue import DraftQueue, Ticket, Told


class Hearing:
    """Hears of a draft in a coroutine; leaving the block before its end gives the draft up.

    Args:
        queue: Of the room.
        request: What is asked.
        sampling: How; None is the checkpoint's own way.
    """

    def __init__(self, queue: DraftQueue, request: DraftRequest, sampling: Sampling | None) -> None:
        self._queue, self._request, self._sampling = queue, request, sampling
        self._news: asyncio.Queue[Told] = asyncio.Queue()
        self._ended = False

    async def __aenter__(self) -> Ticket:
        """Get in line; the film is read in another thread.

        Raises:
            ClosedError: The service is stopping.
            ConfigError: The model cannot write in this way.
            DataError: A film cannot be read.
            QueueFullError: Too many wait.
        """
        loop = asyncio.get_running_loop()

        def hear(told: Told) -> None:
            loop.call_soon_threadsafe(self._news.put_nowait, told)

        self._ticket = await asyncio.to_thread(self._queue.submit, self._request, self._sampling, hear)
        return self._ticket

    async def __aexit__(self, *_: object) -> None:
        if not self._ended:
            self._queue.cancel(self._ticket)

    async def __aiter__(self) -> AsyncIterator[Told]:
        """Yield all news, the last of which has `ended`."""
        while not self._ended:
            told = await self._news.get()
            self._ended = told.ended is not None
            yield told


def server_sent(event: Mapping[str, Any]) -> str:
    """Return one server-sent event (WHATWG HTML, section 9.2)."""
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
