"""The processes that train one model together: who they are, how they talk, and how they end together.

They are started by torchrun, or by ``--processes``; without either the world is one process, and nothing here does
anything. The process of rank 0 leads: it alone writes runs and speaks. Between processes of one machine everything
stays on loopback.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch.autograd.function import FunctionCtx
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from radlet.core.errors import RadletError, RunError
from radlet.core.runs import Run

T = TypeVar("T")

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LOOPBACK_INTERFACE = "lo0" if sys.platform == "darwin" else "lo"
_COLLECTIVE_TIMEOUT = timedelta(minutes=30)
_PATIENCE = timedelta(days=30)
"""How long the others wait while the leader validates; a leader that dies is noticed at once all the same."""

SPOKEN = "radlet/spoken"
"""In the launcher's store: how many processes had an error to tell."""

LOST = "Another process of this training ended. The same command goes on from the last saved state."


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: FunctionCtx, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: torch.Tensor) -> torch.Tensor:
        return _Summed.forward(ctx, gradients[0])


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of the processes' tensors; the gradient of each is the sum of all their gradients."""
    total: torch.Tensor = _Summed.apply(tensor)  # type: ignore[no-untyped-call]
    return total


@dataclass(frozen=True)
class World:
    """One process's view of all.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
        patient: Group of all, on the CPU, for short messages and long waits.
        store: What the launcher keeps for all.
    """

    rank: int = 0
    size: int = 1
    patient: Any = None
    store: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every process has come here, however long that takes."""
        if self.size > 1:
            dist.barrier(group=self.patient)

    def sums(self, *values: float) -> list[float]:
        """Return the sum of each value over the processes."""
        if self.size == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(together, group=self.patient)
        summed: list[float] = together.tolist()
        return summed

    def each(self, value: int) -> list[int]:
        """Return every process's number, by rank."""
        numbers = [0.0] * self.size
        numbers[self.rank] = float(value)
        return [int(number) for number in self.sums(*numbers)]

    def rows(self, own: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """Return the rows (sum of counts, ...) of every process in the order of rank; gradients find their way back.

        Args:
            own: This process's rows (counts[rank], ...).
            counts: Rows of each process.
        """
        if self.size == 1:
            return own
        before, after = sum(counts[: self.rank]), sum(counts[self.rank + 1 :])
        placed = F.pad(own, (0, 0) * (own.ndim - 1) + (before, after))
        return summed(placed)

    def told(self, find: Callable[[], Any]) -> Any:
        """Let the leader find something that JSON can say, and tell every process.

        Raises:
            RadletError: The leader's, in every process.
        """
        if self.size == 1:
            return find()
        said: dict[str, Any] = {}
        failure: Exception | None = None
        if self.leads:
            try:
                said = {"value": find()}
            except RadletError as error:
                failure, said = error, {"error": str(error)}
        text = self._broadcast(json.dumps(said).encode())
        if failure is not None:
            raise failure
        answer = json.loads(text)
        if "error" in answer:
            raise RunError(answer["error"])
        return answer["value"]

    def _broadcast(self, text: bytes) -> bytes:
        length = torch.tensor([len(text)])
        dist.broadcast(length, 0, group=self.patient)
        data = torch.zeros(int(length), dtype=torch.uint8)
        if self.leads:
            data = torch.from_numpy(np.frombuffer(text, np.uint8).copy())
        dist.broadcast(data, 0, group=self.patient)
        return bytes(data.numpy())


ALONE = World()


class _ReadOnlyRun(Run):
    """The run directory as processes see it that do not lead: they write nothing."""

    def log(self, **values: Any) -> None:
        """Leave the row to the leader."""

    def finish(self) -> None:
        """Leave the end to the leader."""


def shared_run(make: Callable[[], Run]) -> Run:
    """Let the leader open a run directory; the others are given a view of it that writes nothing.

    Raises:
        RadletError: It cannot be opened; in every process.
    """
    made: list[Run] = []

    def open_and_tell() -> list[Any]:
        made.append(make())
        return [str(made[0].path), made[0].finished]

    path, finished = world().told(open_and_tell)
    return made[0] if made else _ReadOnlyRun(Path(path), finished)


def world_size() -> int:
    """Return how many processes the launcher started, without waiting for any of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@cache
def world() -> World:
    """Return the processes that train together; the first call waits until all are there."""
    if world_size() == 1:
        return ALONE
    if os.environ.get("MASTER_ADDR", "127.0.0.1") in _LOOPBACK:
        # Every process is on this machine: none need listen beyond loopback.
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, _LOOPBACK_INTERFACE)
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    store, rank, size = next(rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    dist.init_process_group(
        backend, store=PrefixStore("radlet", store), rank=rank, world_size=size, timeout=_COLLECTIVE_TIMEOUT
    )
    return World(rank, size, dist.new_group(timeout=_PATIENCE, backend="gloo"), store)


@contextmanager
def together() -> Iterator[World]:
    """Take part in the world for the length of the block; who is left alone in it says so.

    Raises:
        RunError: Another process ended first.
    """
    everyone = world()
    if everyone.size == 1:
        yield everyone
        return
    signal.signal(signal.SIGTERM, _stopped)
    try:
        yield everyone
    except BaseException as error:
        # It ends anyway, and has something to tell first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, RuntimeError) and (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise RunError(LOST) from None
        raise
    everyone.wait()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    dist.destroy_process_group()
    world.cache_clear()


def speaks_for_all() -> bool:
    """Say whether this process is the first of all that has an error to tell; the others leave it at that."""
    if world_size() == 1 or not world.cache_info().currsize:
        return True
    try:
        return int(world().store.add(SPOKEN, 1)) == 1
    except RuntimeError:  # the launcher has ended: nobody else may be left to speak
        return True


def _stopped(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise RunError(LOST)
