"""Who has looked at which study: one line in the audit log for each session and study."""

import threading
from collections import OrderedDict
from typing import Annotated

from fastapi import Depends, Request

from radlet.reading.store.store import Store
from radlet.reading.store.tables import StudyRow
from radlet.serving.access import Caller

_REMEMBERED = 50_000
"""Looks; of one that was forgotten another line is written."""


class Looks:
    """Note looks at studies.

    Args:
        store: With the audit log.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, caller: Caller, study_id: str, priors: list[StudyRow] | None = None) -> None:
        """Note that somebody is about to see a study, and the earlier ones that are shown with it."""
        for seen in (study_id, *(prior.id for prior in priors or ())):
            key = (caller.name, caller.entry, seen)
            with self._lock:
                known = key in self._seen
            if not known:
                self._store.note(caller.name, "study.view", seen)
                with self._lock:
                    self._seen[key] = None
                    while len(self._seen) > _REMEMBERED:
                        self._seen.popitem(last=False)


def _looks_of(request: Request) -> Looks:
    looks: Looks = request.app.state.looks
    return looks


Looking = Annotated[Looks, Depends(_looks_of)]
