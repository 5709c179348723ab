"""Stage `node`: a model and a store behind a DICOM port; what the store owes to others, listed and sent again."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from radlet.core.console import Progress
from radlet.core.errors import ConfigError, RunError
from radlet.core.locks import lock_file
from radlet.stages.served import Served, open_room, put_card_in_force

if TYPE_CHECKING:
    from rich.console import Console

    from radlet.pacs.settings import NodeSettings, PacsConfig
    from radlet.reading.closing import Closing
    from radlet.reading.room import ReadingRoom
    from radlet.reading.store.store import Store

_LOCK = "node.lock"
_LEAST_S = 1.0
_UNFINISHED = "What was under way is in the store, and goes on at the next start."


def run(served: Served, config: "PacsConfig", console: "Console") -> None:
    """Listen, draft and deliver until the process is told to stop.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: The port is taken, or a file of the configuration cannot be read.
        DataError: The store or the examples cannot be read.
        RunError: Another node is at work on the same folder.
    """
    from radlet.reading.closing import Closing
    from radlet.reading.drift.watch import DriftWatch
    from radlet.reading.offline import stay_offline
    from radlet.reading.store.store import Store

    check_node(config)
    # Before the model is loaded: from here on nothing leaves this machine but for the peers of the recipe.
    stay_offline(config.machines)
    with ExitStack() as ending:
        store = ending.enter_context(Store(config.data_dir, config.database))
        ending.enter_context(only_node(config.data_dir))
        room = open_room(served, store, config.room, Progress())
        # After the node, whose last reports ask the model where it looked.
        closing = Closing(config.drain_s)
        ending.callback(_close, room, closing, console)
        put_card_in_force(room, served, config.drift, console)
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
        ending.enter_context(open_node(room, config, closing, console))
        drift = DriftWatch(room, config.drift)
        drift.begin()
        ending.callback(lambda: drift.end(closing.left_s()))
        stopping.wait()


def check_node(settings: "NodeSettings") -> None:
    """Refuse certificates, keys and passwords that nobody could be answered or called with; nothing is connected.

    Raises:
        ConfigError: One of them cannot be used.
    """
    from radlet.pacs.listening import tls_of
    from radlet.pacs.peers import open_peer

    tls_of(settings)
    for peer in settings.peers.values():
        open_peer(peer, settings.ae_title)


def _close(room: "ReadingRoom", closing: "Closing", console: "Console") -> None:
    if not room.close(closing.left_s()):
        console.print(_UNFINISHED)


@contextmanager
def open_node(room: "ReadingRoom", settings: "NodeSettings", closing: "Closing", console: "Console") -> Iterator[None]:
    """Run a node beside a room for the length of the block; it ends within what is left of the time for that.

    Raises:
        ConfigError: The port is taken, or a file of the configuration cannot be read.
    """
    from radlet.pacs.node import DicomNode

    node = DicomNode(room, settings)
    node.start()
    console.print(
        f"[bold]The DICOM node listens:[/] [cyan]{settings.ae_title}@{settings.host}:{node.port}[/]  "
        "(stop with Ctrl-C)",
        soft_wrap=True,
    )
    try:
        yield
    finally:
        # Threads that have nothing to do need a moment to end.
        if not node.stop(max(closing.left_s(), _LEAST_S)):
            console.print(_UNFINISHED)


@contextmanager
def only_node(data_dir: Path) -> Iterator[None]:
    """Let no other node work on a folder for the length of the block.

    Raises:
        RunError: One is at work there.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not lock_file(descriptor, wait=False):
            raise RunError(f"{data_dir}: another node is at work on this folder. Stop it, or give another data_dir.")
        yield
    finally:
        os.close(descriptor)


def open_store(data_dir: Path, database: str | None) -> "Store":
    """Open a store that is there.

    Raises:
        ConfigError: There is no such folder, or it holds none.
        DataError: It cannot be opened.
    """
    from radlet.reading.store.database import sqlite_url
    from radlet.reading.store.store import Store

    if not data_dir.is_dir():
        raise ConfigError(f"{data_dir}: there is no such folder. Give the data_dir of a node or a reading room.")
    if database is None and not Path(sqlite_url(data_dir).removeprefix("sqlite:///")).is_file():
        raise ConfigError(
            f"{data_dir}: holds no store. Give the data_dir of a node or a reading room, or its database."
        )
    return Store(data_dir, database)


def export(
    store: "Store", study: str, kind: str, actor: str, checkpoint: Path | None = None, organization: str | None = None
) -> bytes:
    """Return the newest draft of a study, or its signed report, as a file.

    Args:
        store: Of the reading room.
        study: Its identifier, or its Study Instance UID.
        kind: Of the file.
        actor: Who wants it; noted in the audit log.
        checkpoint: That wrote the draft, to ask it where it looked.
        organization: For whom people sign: the signed report is then written, in place of the draft.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: There is no such kind, or none of signed reports.
        DataError: There is no such study, it has no draft or is not signed, or it cannot be written as this.
    """
    from radlet.pacs.node import looking
    from radlet.pacs.outputs.reports import Signing
    from radlet.pacs.reporting import report_file
    from radlet.reading.room import ReadingRoom, RoomSettings
    from radlet.reading.served_model import ServedModel

    if organization or checkpoint is None:
        signing = Signing(organization) if organization else None
        return report_file(store, study, kind, actor, signing=signing)
    room = ReadingRoom(store, ServedModel.load(checkpoint), RoomSettings())
    try:
        return report_file(store, study, kind, actor, looking(room))
    finally:
        room.close(0)
