"""How often somebody may do something: token buckets for requests, a count of failures for logins."""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

_MOST_KEYS = 20_000
"""Names and addresses that are remembered; those that have been quiet for longest are forgotten first."""


class Buckets:
    """Let each key act so many times a second, and more in a burst.

    Args:
        per_s: In the long run.
        burst: At once.
        clock: Seconds that never go back.
    """

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> int | None:
        """Count a request; return after how many seconds to come back where there were too many."""
        moment = self._clock()
        with self._lock:
            left, then = self._left.pop(key, (float(self._burst), moment))
            left = min(left + (moment - then) * self._per_s, self._burst)
            enough = left >= 1
            self._left[key] = (left - 1 if enough else left, moment)
            while len(self._left) > _MOST_KEYS:
                self._left.popitem(last=False)
        return None if enough else max(math.ceil((1 - left) / self._per_s), 1)


class Attempts:
    """Stop those who try too often, whether they would be right or not.

    Args:
        most: Attempts within the window.
        window_s: Length of the window.
        clock: Seconds that never go back.
    """

    def __init__(self, most: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._window_s, self._clock = most, window_s, clock
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, key: str) -> int | None:
        """Count an attempt before it is made; return after how many seconds to come back where there were too many."""
        moment = self._clock()
        with self._lock:
            tried = self._tried.pop(key, deque())
            while tried and tried[0] <= moment - self._window_s:
                tried.popleft()
            full = len(tried) >= self._most
            if not full:
                tried.append(moment)
            self._tried[key] = tried
            while len(self._tried) > _MOST_KEYS:
                self._tried.popitem(last=False)
        return max(math.ceil(tried[0] + self._window_s - moment), 1) if full else None

    def take_back(self, key: str) -> None:
        """Do not count the latest attempt of a key: it was right, but says nothing of the others."""
        with self._lock:
            if self._tried.get(key):
                self._tried[key].pop()

    def forget(self, key: str) -> None:
        """Forget the attempts of a key: one was right, so that the others were slips."""
        with self._lock:
            self._tried.pop(key, None)
