"""Counts and times for Prometheus."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import fmean

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radlet.reading.drift.watch import DriftWatch
from radlet.reading.feedback import signed_changes
from radlet.reading.room import ReadingRoom
from radlet.reading.store.tables import now
from radlet.serving.access_log import method_of, route_of

_SIGNED_FOR_S = 60.0
"""How long what was signed is not read again, however often it is asked for."""
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

Metric = CounterMetricFamily | GaugeMetricFamily


class RoomCollector(Collector):
    """Reads the state of a room when it is asked for.

    Args:
        room: Whose.
        drift: Whether films and drafts have changed.
    """

    def __init__(self, room: ReadingRoom, drift: DriftWatch) -> None:
        self._room, self._drift = room, drift
        self._lock = threading.Lock()
        self._signed: list[tuple[str, float, int]] = []
        self._signed_until = 0.0

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
        changed = GaugeMetricFamily(
            "radlet_edit_distance", "Words changed in drafts before they were signed, 0..1, 30 days.", labels=["model"]
        )
        num_signed = GaugeMetricFamily("radlet_signed_drafts", "Drafts that were signed, 30 days.", labels=["model"])
        for model, mean, signed in self._told_of_signed():
            changed.add_metric([model], mean)
            num_signed.add_metric([model], signed)
        yield changed
        yield num_signed
        yield self._alarms()

    def _told_of_signed(self) -> list[tuple[str, float, int]]:
        """Return model, mean edit distance and number of the signed drafts."""
        with self._lock:
            if time.monotonic() >= self._signed_until:
                distances: dict[str, list[float]] = {}
                for one in signed_changes(self._room.store, now() - timedelta(days=30)):
                    distances.setdefault(one.model, []).append(one.edit_distance)
                self._signed = [(model, fmean(found), len(found)) for model, found in distances.items()]
                self._signed_until = time.monotonic() + _SIGNED_FOR_S
            return self._signed

    def _alarms(self) -> Metric:
        alarms = GaugeMetricFamily(
            "radlet_drift_alarm",
            "1 where films or drafts have changed since the model was made; scanner: all, or one.",
            labels=["scanner", "measure"],
        )
        # As it was last told: a scrape must not wait until limits are drawn.
        for group in self._drift.last.groups if self._drift.last else ():
            for measure in group.measures:
                alarms.add_metric([group.scanner or "all", measure.name], float(measure.alarm))
        return alarms


def make_registry(room: ReadingRoom, drift: DriftWatch) -> tuple[CollectorRegistry, Histogram]:
    """Return a registry of its own, and where the times of requests are noted."""
    registry = CollectorRegistry()
    registry.register(RoomCollector(room, drift))
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
