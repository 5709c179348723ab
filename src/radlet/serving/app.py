"""The application: routes around a reading room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import FastAPI

from radlet import __version__
from radlet.reading.closing import Closing
from radlet.reading.drift.watch import DriftWatch
from radlet.reading.room import ReadingRoom
from radlet.reading.store.sessions import Sessions
from radlet.serving.access import Access
from radlet.serving.access_log import Caught, Logged
from radlet.serving.film_answer import Showing
from radlet.serving.headers import SafeHeaders
from radlet.serving.limits import AddressRate, BodyLimits
from radlet.serving.login import Door
from radlet.serving.looks import Looks
from radlet.serving.metrics import Timed, make_registry
from radlet.serving.oidc import Issuer
from radlet.serving.presence import Presence
from radlet.serving.problems import Problem, add_handlers
from radlet.serving.rates import Buckets
from radlet.serving.routes import accounts, openai, operations, pages, studies
from radlet.serving.settings import ServeConfig

_ABOUT = (
    "Drafts of chest X-ray reports, and what they rest on. Not a medical device: everything a model writes is an "
    "unverified AI draft."
)


def create_app(room: ReadingRoom, config: ServeConfig, closing: Closing | None = None) -> FastAPI:
    """Return the application that serves a room; it closes the room when it stops.

    Args:
        room: Is served.
        config: How.
        closing: The time to stop in, where others share it.
    """
    drift, ending = DriftWatch(room, config.drift), closing or Closing(config.drain_s)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        drift.begin()
        yield
        # Both wait for threads, and answers are still on their way.
        await anyio.to_thread.run_sync(drift.end, ending.left_s())
        await anyio.to_thread.run_sync(room.close, ending.left_s())

    told: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in ("4XX", "5XX")}
    app = FastAPI(
        title="radlet",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        responses=told,
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    app.state.room, app.state.config, app.state.drift = room, config, drift
    app.state.metrics, times = make_registry(room, drift)
    add_handlers(app)

    for routes in (openai, studies, operations, accounts, pages):
        app.include_router(routes.router)
    sessions = Sessions(room.store, config.sessions) if config.accounts else None
    app.state.looks, app.state.presence = Looks(room.store), Presence()
    app.state.door = Door(room.store, sessions) if sessions else None
    app.state.issuer = Issuer(config.oidc) if config.oidc else None
    # Threads of their own: what waits for the model, or for another machine, keeps nobody else from an answer.
    app.state.showing = Showing()
    app.state.looking_behind, app.state.asking_issuer = anyio.CapacityLimiter(4), anyio.CapacityLimiter(4)
    traffic = config.traffic

    # From the inside out: the last is the first to see a request.
    app.add_middleware(BodyLimits, limits=config.uploads)
    by_account, by_address = (Buckets(traffic.requests_per_s, traffic.burst) for _ in range(2))
    app.add_middleware(Access, sessions=sessions, buckets=by_account, tls=config.tls)
    app.add_middleware(AddressRate, buckets=by_address)
    app.add_middleware(Caught)
    app.add_middleware(SafeHeaders, hosts=(*config.hosts, config.host), tls=config.tls)
    app.add_middleware(Timed, times=times)
    app.add_middleware(Logged)
    return app
