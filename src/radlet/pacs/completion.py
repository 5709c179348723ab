"""Studies that have arrived whole are drafted once."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from radlet.core.errors import RadletError
from radlet.pacs.priors import PriorFetcher
from radlet.pacs.storing import ACTOR, RECEIVED
from radlet.reading.arrivals import quiet_studies
from radlet.reading.draft_queue import ClosedError, QueueFullError
from radlet.reading.room import NoFilmError, ReadingRoom
from radlet.reading.store.basis import StateError
from radlet.reading.store.tables import now

_LOG = logging.getLogger(__name__)
_FIRST_WAIT_S = 30.0
_LONGEST_WAIT_S = 3600.0
_ROUND_S = 1.0


class StudyDrafter:
    """Draft the studies that are complete.

    Which are is read from the store each time, so that a restart forgets none. A study whose drafting fails is tried
    again, later each time.

    Args:
        room: Model and store.
        complete_after_s: A study that has got no film for so long is complete.
        priors: Fetches earlier films, if there is anybody to ask.
        clock: Gives the moment.
    """

    def __init__(
        self,
        room: ReadingRoom,
        complete_after_s: float,
        priors: PriorFetcher | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._room, self._priors, self._clock = room, priors, clock
        self._complete_after = timedelta(seconds=complete_after_s)
        self._failed: dict[str, tuple[int, datetime]] = {}
        self._fetched: set[str] = set()
        """Studies that priors were asked for, so that a full line does not have them asked for again each second."""
        self._lock = threading.Lock()

    def work(self, until: Callable[[], bool] = lambda: False) -> int:
        """Draft all studies that are complete, as many together as the model writes; return how many were drafted.

        Args:
            until: Says that nothing new is to be begun.
        """
        due = self.due()
        if not due:
            return 0
        drafted, under_way = 0, dict[str, Future[bool]]()
        with ThreadPoolExecutor(self._room.settings.queue.max_running, thread_name_prefix="study") as threads:
            while due or under_way:
                under_way.update({study_id: threads.submit(self._begin, study_id, until) for study_id in due})
                # One whose priors are long in coming does not keep those from being begun that are complete meanwhile.
                wait(under_way.values(), _ROUND_S, FIRST_COMPLETED)
                done = [study_id for study_id, future in under_way.items() if future.done()]
                drafted += sum(under_way.pop(study_id).result() for study_id in done)
                due = [study_id for study_id in self.due() if study_id not in under_way] if not until() else []
        return drafted

    def due(self) -> list[str]:
        """Return the studies that are complete and not drafted."""
        moment = self._clock()
        complete = quiet_studies(self._room.store, RECEIVED, moment - self._complete_after)
        never = (0, moment)
        with self._lock:
            # Of what is drafted, refused or gone nothing is remembered.
            self._failed = {study_id: one for study_id, one in self._failed.items() if study_id in complete}
            self._fetched &= set(complete)
        return [study_id for study_id in complete if self._failed.get(study_id, never)[1] <= moment]

    def _begin(self, study_id: str, until: Callable[[], bool]) -> bool:
        return not until() and self._draft(study_id)

    def _draft(self, study_id: str) -> bool:
        try:
            if self._priors and study_id not in self._fetched:
                self._priors.fetch(study_id)
                with self._lock:
                    self._fetched.add(study_id)
            asked = self._room.ask(study_id, ACTOR)
            text, drafter = self._room.write(asked.request, None)
            self._room.keep_draft(asked, text, drafter, ACTOR, first=True)
        except NoFilmError:
            # Why, the store says.
            _LOG.warning("study %s is not drafted: the input gate refused every film of it", study_id)
            return False
        except StateError:
            return False  # a reader had it drafted, or signed it, meanwhile: a second draft would only confuse
        except (QueueFullError, ClosedError):
            self._leave_for(study_id, _ROUND_S)  # or after the restart
            return False
        except Exception as error:  # noqa: BLE001 - one study must not stop the others
            self._postpone(study_id, error)
            return False
        return True

    def _leave_for(self, study_id: str, seconds: float) -> None:
        with self._lock:
            times = self._failed.get(study_id, (0, self._clock()))[0]
            self._failed[study_id] = (times, self._clock() + timedelta(seconds=seconds))

    def _postpone(self, study_id: str, error: Exception) -> None:
        with self._lock:
            times = self._failed.get(study_id, (0, self._clock()))[0]
            wait_s = min(_FIRST_WAIT_S * 2.0 ** min(times, 30), _LONGEST_WAIT_S)
            self._failed[study_id] = (times + 1, self._clock() + timedelta(seconds=wait_s))
        what = str(error) if isinstance(error, RadletError) else type(error).__name__
        _LOG.warning("study %s could not be drafted and is tried again in %.0f s: %s", study_id, wait_s, what)
