"""Looks for drift while a reading room is open: now and then by itself, and whenever it is asked."""

import logging
import threading
import time

from radlet.core.errors import RadletError
from radlet.reading.drift.card import DriftCard
from radlet.reading.drift.placing import card_of
from radlet.reading.drift.report import DriftReport, DriftSettings, report_drift
from radlet.reading.room import ReadingRoom

_LOG = logging.getLogger(__name__)
_FRESH_S = 300.0
"""A report is not made anew so long, however often it is asked for."""
_EVERY_S = 3600.0
_LONGEST_END_S = 10.0


class DriftWatch:
    """Tells whether films and drafts have changed since the model was made.

    Args:
        room: Whose.
        settings: When something counts as changed.
    """

    def __init__(self, room: ReadingRoom, settings: DriftSettings) -> None:
        self._room, self._settings = room, settings
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_now_and_then, name="drift", daemon=True)
        self._fresh_until = 0.0
        self._alarms: set[tuple[str, str]] = set()
        self.last: DriftReport | None = None

    def begin(self) -> None:
        """Look now and every hour, and say in the log what has changed."""
        self._thread.start()

    def end(self, wait_s: float = _LONGEST_END_S) -> None:
        """Stop looking; a look that is under way is waited for, at most for so long."""
        self._over.set()
        self._thread.join(min(wait_s, _LONGEST_END_S))

    def report(self) -> DriftReport:
        """Return what has changed, at most five minutes old."""
        with self._lock:
            if self.last is None or time.monotonic() >= self._fresh_until:
                self.last = report_drift(self._room.store, self._card(), self._settings)
                self._fresh_until = time.monotonic() + _FRESH_S
                self._log(self.last)
            return self.last

    def _card(self) -> DriftCard | None:
        """Return the card of the model that writes now."""
        card = card_of(self._room.store.data_dir)
        return card if card and card.checkpoint_digest == self._room.identity.checkpoint_digest else None

    def _log(self, report: DriftReport) -> None:
        """Say which alarms are new, and which are over; without a card nothing is."""
        if report.reference is None:
            return
        alarms = {(group.scanner or "all", name) for group in report.groups for name in group.alarms}
        for scanner, name in sorted(alarms - self._alarms):
            _LOG.warning("drift: %s has changed (%s); see radlet drift show", name, scanner)
        for scanner, name in sorted(self._alarms - alarms):
            _LOG.info("drift: %s is as it was again (%s)", name, scanner)
        self._alarms = alarms

    def _look_now_and_then(self) -> None:
        while not self._over.is_set():
            try:
                self.report()
            except (RadletError, OSError) as error:
                # Its kind alone. The next look may find the store free again.
                _LOG.warning("drift: not looked for (%s)", type(error).__name__)
            self._over.wait(_EVERY_S)
