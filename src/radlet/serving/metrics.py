"""Counts and times for Prometheus."""

import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import fmean

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radlet.reading.feedback import signed_drafts
from radlet.reading.room import ReadingRoom
from radlet.reading.store.tables import now
from radlet.serving.access_log import method_of, route_of

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

Metric = CounterMetricFamily | GaugeMetricFamily


class RoomCollector(Collector):
    """Reads the state of a room when it is asked for.

    Args:
        room: Whose.
    """

    def __init__(self, room: ReadingRoom) -> None:
        self._room = room

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers."""
        state = self._room.queue.state
        yield GaugeMetricFamily("radlet_drafts_waiting", "Requests in line.", state.waiting)
        yield GaugeMetricFamily("radlet_drafts_running", "Drafts being written.", state.running)
        yield CounterMetricFamily("radlet_drafts", "Drafts that have ended, however.", state.num_done)
        yield CounterMetricFamily(
            "radlet_drafts_refused", "Requests turned away because of the line.", state.num_refused
        )
        yield CounterMetricFamily("radlet_tokens", "Tokens written.", state.num_tokens)
        studies = GaugeMetricFamily("radlet_studies", "Studies by state.", labels=["state"])
        for name, count in self._room.store.counts().items():
            studies.add_metric([name], count)
        yield studies
        yield from self._signed()

    def _signed(self) -> Iterator[Metric]:
        changed = GaugeMetricFamily(
            "radlet_edit_distance", "Words changed in drafts before they were signed, 0..1, 30 days.", labels=["model"]
        )
        count = GaugeMetricFamily("radlet_signed_drafts", "Drafts that were signed, 30 days.", labels=["model"])
        distances: dict[str, list[float]] = {}
        signed, _ = signed_drafts(self._room.store, now() - timedelta(days=30))
        for one in signed:
            distances.setdefault(one.draft.model, []).append(one.edit_distance)
        for model, found in distances.items():
            changed.add_metric([model], fmean(found))
            count.add_metric([model], len(found))
        yield changed
        yield count


def make_registry(room: ReadingRoom) -> tuple[CollectorRegistry, Histogram]:
    """Return a registry of its own, and where the times of requests are noted."""
    registry = CollectorRegistry()
    registry.register(RoomCollector(room))
    times = Histogram(
        "radlet_http_request_seconds",
        "Time to the first byte of an answer.",
        ["method", "route", "status"],
        buckets=_BUCKETS,
        registry=registry,
    )
    return registry, times


class Timed:
    """Notes how long each request took to its first byte, by route; the path itself holds identifiers.

    Args:
        app: What answers.
        times: Where it is noted.
    """

    def __init__(self, app: ASGIApp, times: Histogram) -> None:
        self._app, self._times = app, times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                labels = (method_of(scope), route_of(scope), message["status"])
                self._times.labels(*labels).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, noted)
