"""The access log: one line of JSON a request, without a word that could be a patient's, and failures likewise."""

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radlet.serving.problems import problem

LOG = logging.getLogger("radlet.access")
WENT_WRONG = "Something went wrong in the service. Its log says where."
"""What the caller is told of a failure that nobody foresaw."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


def log_to_stderr() -> None:
    """Let the lines go to standard error, each alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


def route_of(scope: Scope) -> str:
    """Return the pattern of the route that was asked for; the path itself holds identifiers and what is typed."""
    permission = scope.get("state", {}).get("permission")
    return permission.path if permission else "none"


def method_of(scope: Scope) -> str:
    """Return the method; what is no method may be any text."""
    return scope["method"] if scope["method"] in _METHODS else "other"


class Caught:
    """Turn what went wrong unforeseen into an answer, which is then counted and guarded like every other.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 - its message may quote a report or a row, and must not be printed
            tell_failure(error)
            if not started:
                await problem(500, WENT_WRONG)(scope, receive, send)


class Logged:
    """Note each request when it is done.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            caller = scope.get("state", {}).get("caller")
            line = {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "method": method_of(scope),
                "route": route_of(scope),
                "status": status,
                "ms": round((time.perf_counter() - began) * 1000, 1),
                "account": caller.name if caller else None,
            }
            LOG.info(json.dumps(line))


def tell_failure(error: Exception) -> None:
    """Say of what kind a failure was and where it came from, in file names and lines alone."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]
    LOG.error(json.dumps({"failure": type(error).__name__, "at": frames}))
