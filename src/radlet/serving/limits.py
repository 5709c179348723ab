"""Limits of what requests may bring and how often they may come, before anything is spent on them."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radlet.serving.problems import problem
from radlet.serving.rates import Buckets
from radlet.serving.settings import UploadLimits

_MIB = 1024 * 1024
_OF_ANYBODY = 64 * 1024
"""Largest body, in bytes, of a route that is for those who have not logged in: a name and a password."""
_CLOSE = {"Connection": "close"}
"""What is left of the body is not read."""


class BodyLimits:
    """Refuse bodies that are too large (413), too slow (408), or too many at once (503), while they arrive.

    Args:
        app: What answers.
        limits: Of a body, and of all together.
    """

    def __init__(self, app: ASGIApp, limits: UploadLimits) -> None:
        self._app, self._limits = app, limits
        self._largest, self._together = limits.max_body_mb * _MIB, limits.max_bodies_mb * _MIB
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        permission = scope.get("state", {}).get("permission")
        largest = _OF_ANYBODY if permission and permission.roles is None else self._largest
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > largest:
            await problem(413, _too_large(largest), _CLOSE)(scope, receive, send)
            return
        body = _Body(self, receive, largest)
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, body.receive, noted)
        except _RefusedError as refused:
            if not started:
                await problem(refused.status_code, refused.detail, refused.headers)(scope, receive, send)
        finally:
            self._held -= body.size

    def check(self, size: int, more: int, largest: int) -> None:
        """Take more bytes of a body that had `size`, of at most `largest`.

        Raises:
            HTTPException: It, or all bodies together, are too large.
        """
        if size + more > largest:
            raise _RefusedError(413, _too_large(largest), _CLOSE)
        if self._held + more > self._together:
            raise _RefusedError(503, "Too much is being sent at once.", {**_CLOSE, "Retry-After": "5"})
        self._held += more

    @property
    def timeout_s(self) -> float:
        """How long a body may take."""
        return self._limits.body_timeout_s


def _too_large(largest: int) -> str:
    if largest == _OF_ANYBODY:
        return f"The request is too large: at most {largest // 1024} KiB are taken from those who have not logged in."
    return f"The request is too large: at most {largest // _MIB} MiB are taken. Send fewer films at once."


class _RefusedError(HTTPException):
    """A body is not taken any further."""


class _Body:
    """The body of one request, on its way."""

    def __init__(self, limits: BodyLimits, receive: Receive, largest: int) -> None:
        self._limits, self._receive, self._largest = limits, receive, largest
        self._deadline = time.monotonic() + limits.timeout_s
        self._whole = False
        self.size = 0

    async def receive(self) -> Message:
        """Return the next piece."""
        if self._whole:
            # From here on it is waited for the client to leave, for as long as the answer takes.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(self._deadline - time.monotonic(), 0.001))
        except TimeoutError:
            raise _RefusedError(408, "The request took too long to arrive.", _CLOSE) from None
        piece = len(message.get("body", b""))
        self._limits.check(self.size, piece, self._largest)
        self.size += piece
        self._whole = not message.get("more_body", False)
        return message


class AddressRate:
    """Answer 429 to addresses that ask too often.

    Args:
        app: What answers.
        buckets: Requests that an address has left.
    """

    def __init__(self, app: ASGIApp, buckets: Buckets) -> None:
        self._app, self._buckets = app, buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        wait_s = self._buckets.take(address_of(scope)) if scope["type"] == "http" else None
        if wait_s:
            await problem(429, "Too many requests.", {"Retry-After": str(wait_s)})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """Return the address that a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
