"""The process that listens."""

import socket
import threading
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from radlet.core.errors import ConfigError
from radlet.reading.closing import Closing
from radlet.reading.room import ReadingRoom
from radlet.serving.access_log import log_to_stderr
from radlet.serving.app import create_app
from radlet.serving.connections import uvicorn_settings
from radlet.serving.settings import ServeConfig

if TYPE_CHECKING:
    from rich.console import Console


def listen(config: ServeConfig) -> socket.socket:
    """Take the port.

    Raises:
        ConfigError: It is taken.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{config.host}:{config.port} cannot be listened on ({error.strerror}). Give another --port; 0 takes a "
            "free one."
        ) from None
    return listening


def serve(
    room: ReadingRoom, config: ServeConfig, listening: socket.socket, closing: Closing, console: "Console"
) -> None:
    """Serve until the process is told to stop; what is under way is finished first."""
    scheme = "https" if config.tls_certificate else "http"
    address = f"{scheme}://{config.host}:{listening.getsockname()[1]}"
    settings = uvicorn.Config(
        create_app(room, config, closing),
        **uvicorn_settings(config.traffic),
        timeout_graceful_shutdown=int(config.drain_s) + 1,
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
    )
    log_to_stderr()
    # From the moment on that it says so: who comes before the loop turns waits, and is not refused.
    listening.listen()
    console.print(f"[bold]The reading room is open:[/] [cyan]{address}[/]  (stop with Ctrl-C)", soft_wrap=True)
    _DrainingServer(settings, room, closing).run(sockets=[listening])


class _DrainingServer(uvicorn.Server):
    """Told to stop, it goes on until the drafts in line are written; new ones are turned away meanwhile (HTTP 503).

    Texts can be saved and signed until then.

    Args:
        settings: Of uvicorn.
        room: Whose drafts are finished.
        closing: For how long at most.
    """

    def __init__(self, settings: uvicorn.Config, room: ReadingRoom, closing: Closing) -> None:
        super().__init__(settings)
        self._room, self._closing = room, closing
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        if self._draining:
            super().handle_exit(sig, frame)
            return
        self._draining = True
        threading.Thread(target=self._drain, args=(sig, frame), name="draining", daemon=True).start()

    def _drain(self, sig: int, frame: FrameType | None) -> None:
        self._room.close(self._closing.left_s())
        # Answers that are still on their way have what is left of the time, not all of it once more.
        self.config.timeout_graceful_shutdown = int(self._closing.left_s()) + 1
        super().handle_exit(sig, frame)
