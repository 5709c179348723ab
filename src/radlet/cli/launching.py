"""Training in several processes: starting them on this machine, and being one of them."""

import logging
import os
import socket
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from radlet.core.console import make_console
from radlet.core.errors import ConfigError, RunError

if TYPE_CHECKING:
    from rich.console import Console
    from torch.distributed.distributed_c10d import Store
    from torch.distributed.elastic.rendezvous import RendezvousInfo

TRAINING = ("pretrain", "align", "finetune")
"""Stages that several processes can work on."""

_LOOPBACK = "127.0.0.1"
_BACKEND = "radlet-loopback"


def one_of_several() -> bool:
    """Say whether torchrun, or `launch`, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def check_command(name: str | None) -> None:
    """Refuse, in a process that is one of several, a command that is no training.

    Raises:
        ConfigError: It is not.
    """
    if one_of_several() and name not in TRAINING:
        if os.environ.get("RANK") != "0":
            sys.exit(2)
        raise ConfigError(
            f"Under torchrun, {os.environ['WORLD_SIZE']} processes would each do '{name}'. It starts "
            f"{', '.join(TRAINING)} alone; run this command without it."
        )


@contextmanager
def taking_part() -> Iterator["Console"]:
    """Be one of the processes for the length of the block; yields the console, which is quiet but for the leader's."""
    from rich.console import Console
    from transformers.utils import logging

    from radlet.training.world import together

    with together() as world:
        if not world.leads:
            logging.disable_progress_bar()
        yield make_console() if world.leads else Console(quiet=True)


def speaks() -> bool:
    """Say whether it is for this process to tell of an error: of several, the first one that has any."""
    if not one_of_several():
        return True
    from radlet.training.world import speaks_for_all

    return speaks_for_all()


def launch(num_processes: int, command: Sequence[str]) -> None:
    """Run a command of radlet in several processes of this machine, which speak to each other on loopback alone.

    Exits with the status of the process that failed first, if one does; the others are then stopped.

    Raises:
        RunError: A process was killed, and none was left to say so.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import rendezvous_handler_registry
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from radlet.training.world import SPOKEN

    # Its words about processes that ended would stand beside radlet's.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL + 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    store, port = _loopback_store()
    rendezvous_handler_registry.register(_BACKEND, lambda _: _rendezvous(store, port))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend=_BACKEND,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        local_addr=_LOOPBACK,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "radlet.cli", *command)
    except SignalException as error:
        if store.add(SPOKEN, 1) == 1:
            raise KeyboardInterrupt from None
        sys.exit(128 + error.sigval)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        if first.exitcode < 0 and store.add(SPOKEN, 1) == 1:
            raise RunError(
                f"Process {rank} was killed (signal {-first.exitcode}). The same command goes on from the "
                "last saved state."
            ) from None
        sys.exit(first.exitcode if first.exitcode > 0 else 2)


def _loopback_store() -> tuple["Store", int]:
    """Return the store through which the processes find each other, and its port; torchrun's listens everywhere."""
    from torch._C._distributed_c10d import TCPStore

    listener = socket.socket()
    listener.bind((_LOOPBACK, 0))
    listener.listen()
    port = listener.getsockname()[1]
    store = TCPStore(
        _LOOPBACK,
        port,
        is_master=True,
        wait_for_workers=False,
        timeout=timedelta(minutes=10),
        master_listen_fd=listener.detach(),
    )
    return store, port


def _rendezvous(store: "Store", port: int) -> Any:
    from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

    class Loopback(RendezvousHandler):
        """One machine, whose store is there already."""

        def get_backend(self) -> str:
            return _BACKEND

        @property
        def use_agent_store(self) -> bool:
            return True

        def next_rendezvous(self) -> "RendezvousInfo":
            return RendezvousInfo(store, 0, 1, RendezvousStoreInfo(_LOOPBACK, port))

        def is_closed(self) -> bool:
            return False

        def set_closed(self) -> None:
            return

        def num_nodes_waiting(self) -> int:
            return 0

        def get_run_id(self) -> str:
            return _BACKEND

        def shutdown(self) -> bool:
            return True

    return Loopback()
