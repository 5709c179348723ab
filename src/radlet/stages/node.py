"""Stage `node`: a model and a store behind a DICOM port; what the store owes to others, listed and sent again."""

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from radlet.core.errors import ConfigError, DataError, RunError
from radlet.core.locks import lock_file

if TYPE_CHECKING:
    from rich.console import Console

    from radlet.pacs.settings import PacsConfig
    from radlet.reading.store.store import Store

_LOCK = "node.lock"


def run(checkpoint: Path, config: "PacsConfig", console: "Console", name: str | None = None) -> None:
    """Listen, draft and deliver until the process is told to stop.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: The port is taken, or a file of the configuration cannot be read.
        DataError: The store cannot be opened.
        RunError: Another node is at work on the same folder.
    """
    from radlet.pacs.node import DicomNode
    from radlet.reading.offline import stay_offline
    from radlet.reading.room import ReadingRoom, ServedModel
    from radlet.reading.store.store import Store

    # Before the model is loaded: from here on nothing leaves this machine but for the peers of the recipe.
    stay_offline(config.machines)
    with Store(config.data_dir, config.database) as store:
        lock = _only_one(config.data_dir)
        try:
            room = ReadingRoom(store, ServedModel.load(checkpoint, name), config.room)
            node = DicomNode(room, config)
            stopping = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopping.set())
            node.start()
            console.print(
                f"[bold]The DICOM node listens:[/] [cyan]{config.ae_title}@{config.host}:{node.port}[/]  "
                "(stop with Ctrl-C)",
                soft_wrap=True,
            )
            stopping.wait()
            room_finished = room.close(config.drain_s)
            if not (node.stop() and room_finished):
                console.print("What was under way is in the store, and goes on at the next start.")
        finally:
            os.close(lock)


def _only_one(data_dir: Path) -> int:
    descriptor = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    if not lock_file(descriptor, wait=False):
        os.close(descriptor)
        raise RunError(f"{data_dir}: another node is at work on this folder. Stop it, or give another data_dir.")
    return descriptor


def open_store(data_dir: Path, database: str | None) -> "Store":
    """Open a store that is there.

    Raises:
        ConfigError: There is no such folder.
        DataError: It cannot be opened.
    """
    from radlet.reading.store.database import sqlite_url
    from radlet.reading.store.store import Store

    if not data_dir.is_dir():
        raise ConfigError(f"{data_dir}: there is no such folder. Give the data_dir of a node or a reading room.")
    if database is None and not Path(sqlite_url(data_dir).removeprefix("sqlite:///")).is_file():
        raise DataError(f"{data_dir}: holds no store. Give the data_dir of a node or a reading room, or --database.")
    return Store(data_dir, database)


def export(store: "Store", study: str, kind: str, checkpoint: Path | None, actor: str) -> bytes:
    """Return the newest draft of a study as a file.

    Args:
        store: Of the reading room.
        study: Its identifier, or its Study Instance UID.
        kind: Of the file.
        checkpoint: That wrote the draft, to ask it where it looked.
        actor: Who wants it; noted in the audit log.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: There is no such kind.
        DataError: There is no such study, it has no draft, or the draft cannot be written as this.
    """
    from radlet.pacs.node import looking
    from radlet.pacs.reporting import report_file
    from radlet.reading.room import ReadingRoom, RoomSettings, ServedModel

    if checkpoint is None:
        return report_file(store, study, kind, actor)
    room = ReadingRoom(store, ServedModel.load(checkpoint), RoomSettings())
    try:
        return report_file(store, study, kind, actor, looking(room))
    finally:
        room.close(0)
