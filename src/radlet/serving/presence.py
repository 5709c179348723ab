"""Who has which study open: known for a minute, in memory alone; the record of looks is the audit log's."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request

from radlet.serving.access import Caller

STAYS = timedelta(seconds=60)
"""How long somebody counts as reading after the page last asked; it asks every 15 s."""


@dataclass(frozen=True)
class Present:
    """A reader of a study.

    Attributes:
        account: Who.
        opened_at: Since when, without a break longer than `STAYS`.
        seen_at: When the page last asked.
    """

    account: str
    opened_at: datetime
    seen_at: datetime


class Presence:
    """Who reads what. An account reads one study in each of its sessions."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[str, Present]] = {}
        self._lock = threading.Lock()

    def note(self, caller: Caller, study_id: str) -> list[Present]:
        """Note that a reader has a study open; return who else has, the one that came last first."""
        moment = datetime.now(UTC)
        with self._lock:
            self._open = {key: one for key, one in self._open.items() if moment - one[1].seen_at < STAYS}
            key = (caller.name, caller.entry)
            before, present = self._open.get(key, (None, None))
            opened_at = present.opened_at if present and before == study_id else moment
            self._open[key] = (study_id, Present(caller.name, opened_at, moment))
            others = [one for where, one in self._open.values() if where == study_id and one.account != caller.name]
        newest = sorted(others, key=lambda one: one.opened_at)
        return list({one.account: one for one in newest}.values())[::-1]


def _presence_of(request: Request) -> Presence:
    presence: Presence = request.app.state.presence
    return presence


Attending = Annotated[Presence, Depends(_presence_of)]
