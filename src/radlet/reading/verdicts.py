"""What the input gate said of films that are kept."""

import threading

from radlet.reading.gate import GateVerdict


class Verdicts:
    """The gate's latest verdicts: a film that is kept does not change, so it is judged once."""

    _MOST = 4096

    def __init__(self) -> None:
        self._known: dict[str, GateVerdict] = {}
        self._lock = threading.Lock()

    def get(self, image_id: str) -> GateVerdict | None:
        """Return what was said of a film, if it is still known."""
        with self._lock:
            return self._known.get(image_id)

    def put(self, image_id: str, verdict: GateVerdict) -> None:
        """Remember what was said of a film, and forget the oldest."""
        with self._lock:
            self._known[image_id] = verdict
            if len(self._known) > self._MOST:
                del self._known[next(iter(self._known))]
