"""The application: routes around a reading room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI

from radlet import __version__
from radlet.reading.room import ReadingRoom
from radlet.serving.metrics import Timed, make_registry
from radlet.serving.problems import add_handlers
from radlet.serving.routes import openai, operations, pages, studies
from radlet.serving.settings import ServeConfig

_ABOUT = (
    "Drafts of chest X-ray reports, and what they rest on. Not a medical device: everything a model writes is an "
    "unverified AI draft."
)


def create_app(room: ReadingRoom, config: ServeConfig) -> FastAPI:
    """Return the application that serves a room; it closes the room when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await anyio.to_thread.run_sync(room.close, config.drain_s)

    app = FastAPI(
        title="radlet",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    app.state.room, app.state.config = room, config
    app.state.metrics, times = make_registry(room)
    add_handlers(app)

    app.add_middleware(Timed, times=times)
    for routes in (openai, studies, operations, pages):
        app.include_router(routes.router)
    return app
