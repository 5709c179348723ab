"""Errors as answers: what the caller did, never what was in a report."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from radlet.core.errors import CheckpointError, ConfigError, DataError, RadletError, UnknownNameError
from radlet.reading.draft_queue import ClosedError, QueueFullError
from radlet.reading.room import EndedError, NoFilmError
from radlet.reading.store.basis import NotThereError, OvertakenError, StateError
from radlet.reading.store.troubles import BusyError, FullError, UnwritableError, trouble_of

_STATUS: tuple[tuple[type[RadletError], int], ...] = (
    (QueueFullError, 429),
    (BusyError, 503),
    (FullError, 507),
    (UnwritableError, 503),
    (ClosedError, 503),
    (NotThereError, 404),
    (UnknownNameError, 404),
    (StateError, 409),
    (EndedError, 504),
    (NoFilmError, 422),
    (DataError, 422),
    (ConfigError, 400),
    (CheckpointError, 503),
)
"""The first that fits."""
_KINDS = {400: "invalid_request_error", 404: "invalid_request_error", 422: "invalid_request_error"}


class _Told(BaseModel):
    message: str
    type: str
    param: None
    code: int | str


class Problem(BaseModel):
    """An error, in the form that clients of OpenAI's API read."""

    error: _Told


def problem(
    status: int, message: str, headers: Mapping[str, str] | None = None, code: str | None = None
) -> JSONResponse:
    """Return an error in the form that clients of OpenAI's API read; without a `code` of its own it is the status."""
    kind = _KINDS.get(status, "rate_limit_error" if status == 429 else "api_error")
    body = {"error": {"message": message, "type": kind, "param": None, "code": code or status}}
    return JSONResponse(body, status, dict(headers or {}))


def answer_to(error: RadletError) -> JSONResponse:
    """Return the answer to whoever asked for what raised an error."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, (QueueFullError, BusyError)) else {}
    return problem(status, str(error), headers, error.code if isinstance(error, OvertakenError) else None)


def add_handlers(app: FastAPI) -> None:
    """Let every error that the code raises become an answer."""

    @app.exception_handler(RadletError)
    async def _(_: Request, error: RadletError) -> JSONResponse:
        return answer_to(error)

    @app.exception_handler(HTTPException)
    async def _(_: Request, error: HTTPException) -> JSONResponse:
        # A form that found no room on the disk is no malformed form.
        trouble = trouble_of(error.__cause__) if isinstance(error.__cause__, OSError) else None
        if trouble:
            return answer_to(trouble)
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(OSError)
    async def _(_: Request, error: OSError) -> JSONResponse:
        trouble = trouble_of(error)
        if trouble is None:
            raise error
        return answer_to(trouble)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> JSONResponse:
        # Where and why, without the value: it may be a patient's, as may a name that the caller has made up.
        places = [item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"] for item in error.errors()]
        said = "; ".join(
            f"{'.'.join(map(str, place))}: {_reason(item)}" for place, item in zip(places, error.errors(), strict=True)
        )
        return problem(422, said)


def _reason(item: Mapping[str, Any]) -> str:
    # This one quotes what was sent.
    if item["type"] == "union_tag_invalid":
        return f"must be one of {item['ctx']['expected_tags']}"
    return str(item["msg"])
