"""Films on their way to a viewer: large answers, of which few are in memory at a time."""

from collections.abc import Callable

import anyio
import anyio.to_thread
import numpy as np
from fastapi import HTTPException
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from radlet.data.film import DeepFilm

_CHUNK_BYTES = 256 * 1024
_MOST_AT_ONCE = 6
"""Of the largest detectors one takes 40 MB."""
_WAIT_S = 20.0
_PATIENCE_S = 30.0
"""A client that takes no piece for so long is left."""


class Showing:
    """Lets a few films at a time be on their way; threads of their own keep them from holding up anybody else."""

    def __init__(self) -> None:
        self._places = anyio.Semaphore(_MOST_AT_ONCE)
        self._threads = anyio.CapacityLimiter(2)

    async def read(self, read: Callable[[], DeepFilm], headers_of: Callable[[DeepFilm], dict[str, str]]) -> Response:
        """Read a film and return the answer that sends its values row by row, little-endian.

        Raises:
            HTTPException: 503, too many films are on their way.
            Exception: What `read` raises.
        """
        with anyio.move_on_after(_WAIT_S) as waiting:
            await self._places.acquire()
        if waiting.cancelled_caught:
            raise HTTPException(503, "Too many films are on their way. Ask again.", {"Retry-After": "5"})
        try:
            film = await anyio.to_thread.run_sync(read, limiter=self._threads)
            return _Values(film, headers_of(film), self._places.release)
        except BaseException:
            self._places.release()
            raise


class _Values(Response):
    media_type = "application/octet-stream"

    def __init__(self, film: DeepFilm, headers: dict[str, str], sent: Callable[[], None]) -> None:
        pixels = np.ascontiguousarray(film.pixels, film.pixels.dtype.newbyteorder("<"))
        self._bytes, self._sent = pixels.data.cast("B"), sent
        super().__init__(headers={**headers, "Content-Length": str(len(self._bytes))})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as all answers
        """Send the values piece by piece."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(self._bytes), _CHUNK_BYTES):
                piece = bytes(self._bytes[start : start + _CHUNK_BYTES])
                more = start + _CHUNK_BYTES < len(self._bytes)
                with anyio.move_on_after(_PATIENCE_S) as patience:
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
                if patience.cancelled_caught:
                    return
        finally:
            self._sent()
