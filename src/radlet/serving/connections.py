"""Connections: how many there may be, and how long one may take to say what it wants."""

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from radlet.serving.settings import TrafficLimits


def guarded_protocol(limits: TrafficLimits) -> type[H11Protocol]:
    """Return uvicorn's protocol for HTTP, within limits.

    A connection beyond them is closed without a word; one that does not bring whole headers in time (a "slow loris")
    loses its place.
    """
    open_by_address: Counter[str] = Counter()

    class GuardedProtocol(H11Protocol):
        """One connection."""

        _address: str | None = None
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Count the connection, and wait for its first request."""
            super().connection_made(transport)
            # Its lines would hold paths as they were typed, wherever a library sends logs; `Logged` writes ours.
            self.access_log = False
            self._address = str(self.client[0]) if self.client else "unknown"
            open_by_address[self._address] += 1
            if (
                open_by_address.total() > limits.max_connections
                or open_by_address[self._address] > limits.max_connections_per_address
            ):
                transport.abort()
            else:
                self._wait_for_headers()

        def data_received(self, data: bytes) -> None:
            """Take what has come; between requests, the next must be whole in time from its first byte on."""
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self._late is None:
                self._wait_for_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            """Count the connection no more."""
            self._stop_waiting()
            if self._address is not None:
                open_by_address[self._address] -= 1
                if not open_by_address[self._address]:
                    del open_by_address[self._address]
                self._address = None
            super().connection_lost(exc)

        def _wait_for_headers(self) -> None:
            self._late = self.loop.call_later(limits.header_timeout_s, self._give_up)

        def _stop_waiting(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _give_up(self) -> None:
            self._late = None
            if not self.transport.is_closing():
                self.transport.abort()

    return GuardedProtocol


def uvicorn_settings(limits: TrafficLimits) -> dict[str, Any]:
    """Return the settings of uvicorn that go with the limits."""
    return {
        "http": guarded_protocol(limits),
        "ws": "none",
        "timeout_keep_alive": int(limits.header_timeout_s),
        # Whoever could set X-Forwarded-For would be another address with each request.
        "proxy_headers": False,
        "server_header": False,
        "log_config": None,
        "access_log": False,
    }
