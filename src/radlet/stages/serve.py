"""Stage `serve`: a model, a store and what is searched, behind the reading room's address and a DICOM port."""

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from radlet.core.console import Progress
from radlet.core.errors import ConfigError, RadletError
from radlet.data.manifests import read_examples
from radlet.pacs.settings import NodeSettings
from radlet.serving.settings import ServeConfig
from radlet.stages.served import Served, open_room, put_card_in_force

if TYPE_CHECKING:
    from rich.console import Console

    from radlet.reading.room import ReadingRoom

FILLED_BY = "demo"


class ServeRecipe(ServeConfig):
    """Settings of ``radlet serve``."""

    node: NodeSettings | None = None
    """A DICOM node around the same room, store and model; without, there is none."""

    @model_validator(mode="after")
    def _signed_by_somebody(self) -> Self:
        if self.node and self.node.delivers_signed and not self.accounts:
            raise ValueError(
                "node.deliveries holds signed reports: those name who answers for them, which needs accounts = true"
            )
        return self


def check_accounts(config: ServeConfig) -> None:
    """Refuse to begin where everybody must log in and nobody can.

    Raises:
        ConfigError: There is no account.
        DataError: The store cannot be opened.
    """
    from radlet.reading.store.accounts import Accounts
    from radlet.reading.store.store import Store

    if not config.accounts or config.oidc:
        return
    with Store(config.data_dir, config.database) as store:
        if not Accounts(store).all():
            raise ConfigError(
                "accounts = true, and there is none yet. Make the first: "
                f"radlet account add NAME --role reader --data-dir {config.data_dir}"
            )


def fill_worklist(room: "ReadingRoom", examples: Path, count: int) -> None:
    """Put frontal films of a build run's test split on the worklist."""
    rows = [row for row in read_examples(examples) if row.split == "test"]
    for row in rows[:count]:
        for path, view in zip(row.image_paths, row.views, strict=True):
            if view != "LATERAL":
                room.keep(room.read(Path(path).read_bytes()), FILLED_BY, FILLED_BY, row.indication)


def run(served: Served, config: ServeRecipe, console: "Console") -> None:
    """Serve until the process is told to stop; what is under way is finished first.

    Raises:
        ConfigError: A port is taken, a file of the configuration cannot be used, or nobody could log in.
        DataError: The store cannot be opened.
        RunError: Another node is at work on the same folder.
    """
    from radlet.reading.certificates import check_tls
    from radlet.reading.closing import Closing
    from radlet.reading.offline import stay_offline
    from radlet.reading.store.store import Store
    from radlet.serving.server import listen, serve
    from radlet.stages.node import check_node, only_node, open_node

    # Before the model is loaded: what cannot be served should be told at once.
    check_tls(config.tls_certificate, config.tls_key)
    if config.node:
        check_node(config.node)
    check_accounts(config)
    listening = listen(config)
    # From here on nothing leaves this machine but for the peers of the recipe, whatever a library may try.
    stay_offline((*config.peers, *(config.node.machines if config.node else ())))
    # By itself the signal would end the process as it stands.
    signal.signal(signal.SIGTERM, _leave)
    closing = Closing(config.drain_s)
    with ExitStack() as ending:
        if config.node:
            ending.enter_context(only_node(config.data_dir))
        store = ending.enter_context(Store(config.data_dir, config.database))
        room = open_room(served, store, config.room, Progress())
        if served.fill and served.examples and store.worklist(limit=1)[1] == 0:
            fill_worklist(room, served.examples, served.fill)
        put_card_in_force(room, served, config.drift, console)
        if config.node:
            ending.enter_context(open_node(room, config.node, closing, console))
        _swap_at_hangup(room, served, config, console)
        serve(room, config, listening, closing, console)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _swap_at_hangup(room: "ReadingRoom", served: Served, config: ServeRecipe, console: "Console") -> None:
    """At SIGHUP, load the checkpoint anew and let it write from then on; no request is dropped."""
    from radlet.reading.served_model import ServedModel

    one_at_a_time = threading.Lock()

    def swap() -> None:
        with one_at_a_time:
            try:
                model = ServedModel.load(served.checkpoint, served.name)
                room.store.note("signal", "model.swap", model.identity.checkpoint_digest)
            except RadletError as error:
                console.print(f"The model stays the same: {error}", markup=False, soft_wrap=True)
                return
            room.swap(model)
            console.print(f"The model is now {model.identity.checkpoint_digest[:12]}.", soft_wrap=True)
            try:
                put_card_in_force(room, served, config.drift, console)
            except RadletError as error:
                console.print(f"drift: {error}", markup=False, soft_wrap=True)

    if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=swap, name="swapping", daemon=True).start())
