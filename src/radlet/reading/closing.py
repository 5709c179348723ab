"""The time in which a service that was told to stop must have ended, for all of its parts together."""

import threading
import time
from collections.abc import Callable


class Closing:
    """One stretch of time, which runs from the first who asks for it on.

    Args:
        wait_s: How long what is under way may take.
        clock: Seconds that never go back.
    """

    def __init__(self, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_s, self._clock = wait_s, clock
        self._until: float | None = None
        self._lock = threading.Lock()

    def left_s(self) -> float:
        """Return how many seconds are left; none is 0."""
        moment = self._clock()
        with self._lock:
            if self._until is None:
                self._until = moment + self._wait_s
            return max(self._until - moment, 0.0)
