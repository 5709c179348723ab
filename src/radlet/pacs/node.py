"""The DICOM node: listen, draft what is complete, deliver; an object that starts and stops around a reading room."""

import logging
import threading
import time
from collections.abc import Callable

from radlet.data.images import shown_part
from radlet.pacs.completion import StudyDrafter
from radlet.pacs.delivering import OutboxWorker, Outputs, PeerDeliveries
from radlet.pacs.listening import listen
from radlet.pacs.outputs.facts import Look, Part
from radlet.pacs.outputs.reports import Signing
from radlet.pacs.peers import open_peer
from radlet.pacs.priors import PriorFetcher
from radlet.pacs.settings import NodeSettings
from radlet.pacs.storing import FilmReceiver
from radlet.reading.evidence import Evidence
from radlet.reading.outbox import Outbox
from radlet.reading.room import ReadingRoom
from radlet.reading.store.tables import DraftRow, StudyRow

_LOG = logging.getLogger(__name__)
_ROUND_S = 1.0


class DicomNode:
    """A DICOM door to a reading room.

    Args:
        room: Model and store; whoever made it closes it.
        settings: Of the node.

    Raises:
        ConfigError: The port is taken, or a file of the configuration cannot be read.
    """

    def __init__(self, room: ReadingRoom, settings: NodeSettings) -> None:
        peers = {name: open_peer(peer, settings.ae_title) for name, peer in settings.peers.items()}
        priors = settings.priors
        fetcher = PriorFetcher(room.store, peers[priors.peer], priors) if priors else None
        signing = Signing(settings.organization, settings.signers) if settings.organization else None
        outputs = Outputs(room.store, looking(room), signing)
        self._drafter = StudyDrafter(room, settings.complete_after_s, fetcher)
        outbox = Outbox(room.store, settings.outbox)
        self._worker = OutboxWorker(outbox, peers, outputs)
        self._server = listen(settings, FilmReceiver(room.store, settings.ae_title))
        for name, count in outbox.stranded(list(peers)).items():
            _LOG.warning("%d deliveries wait for '%s', which is no peer of these settings", count, name)
        # From here on also of what is drafted and signed through the room's other doors.
        room.deliveries = PeerDeliveries(settings.deliveries)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.1,), name="dicom", daemon=True),
            threading.Thread(target=self._repeat, args=(self._drafter.work,), name="studies", daemon=True),
            threading.Thread(target=self._repeat, args=(self._worker.work,), name="outbox", daemon=True),
            threading.Thread(target=self._repeat, args=(self._watch,), name="watch", daemon=True),
        ]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen, to draft and to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self, wait_s: float) -> bool:
        """Take nothing new, finish what is under way within `wait_s`, and tell whether all was finished.

        What is not finished is in the store, and is taken up by the next start.
        """
        until = time.monotonic() + wait_s
        self._stopping.set()
        self._server.shutdown()
        for association in self._server.active_associations:
            association.abort()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _watch(self, _: Callable[[], bool]) -> None:
        self._server.drop_overdue()

    def _repeat(self, work: Callable[[Callable[[], bool]], object]) -> None:
        while not self._stopping.is_set():
            try:
                work(self._stopping.is_set)
            except Exception as error:  # noqa: BLE001 - what fails now, such as a database that is away, may not later
                _LOG.error("a round of %s failed: %s", threading.current_thread().name, type(error).__name__)
            self._stopping.wait(_ROUND_S)


def looking(room: ReadingRoom) -> Look:
    """Return what asks a room's model where it looked."""

    def look(study: StudyRow, draft: DraftRow, number: int) -> tuple[Evidence, Part]:
        image = next(image for image in study.images if image.id == draft.image_id)
        settings = room.queue.drafter.image_settings
        return room.evidence(study, draft, number), shown_part(image.height_px, image.width_px, settings)

    return look
