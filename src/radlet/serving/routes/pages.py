"""The pages of the reading room: its two documents, and the files of ``serving/static`` that it asks for, unbuilt."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, HTTPException, Request, Response

router = APIRouter(include_in_schema=False)

START = "reading_room.html"
DASHBOARD = "dashboard.html"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the pages.

    Attributes:
        content: Its bytes.
        media_type: What a browser is told it is.
        etag: Changes with the content.
    """

    content: bytes
    media_type: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Return the files of the pages by name; none other can be asked for."""
    found = {}
    for file in files("radlet.serving").joinpath("static").iterdir():
        media_type = _MEDIA_TYPES.get(PurePath(file.name).suffix)
        if media_type:
            content = file.read_bytes()
            found[file.name] = Asset(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


@router.get("/")
def start(request: Request) -> Response:
    """Return the reading room."""
    return _answer(assets()[START], request)


@router.get("/dashboard")
def dashboard(request: Request) -> Response:
    """Return the page on how drafts are doing."""
    return _answer(assets()[DASHBOARD], request)


@router.get("/static/{name}")
def asset(name: str, request: Request) -> Response:
    """Return a script, a style or a picture of the page."""
    found = assets().get(name)
    if found is None:
        raise HTTPException(404, "There is no such file.")
    return _answer(found, request)


def _answer(found: Asset, request: Request) -> Response:
    # Kept by the browser, and asked for anew each time: a page of an older version must not meet a newer API.
    headers = {"ETag": found.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
