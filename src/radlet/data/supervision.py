"""Work in child processes that may crash or hang without stopping the rest; `ingest` decodes films through it.

A worker names every item before it begins it and says when it is through. When the process dies or an item takes too
long, the item is known: the process is replaced, and the task is given out again, with that item marked as poisoned if
it took too long or a process died at it before. One death may be the system's doing, or somebody's.
"""

import os
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from radlet.core.errors import DataError, RadletError, RunError

Poisoned = dict[str, str]
"""Item id -> why it is not to be touched again."""
Work = Callable[[Any, Poisoned], Iterator[str | None]]
"""Does one task; yields the id of every item just before it begins it, and None once it is through with it. Must be
importable by name, because the processes are spawned."""

_CONTEXT = get_context("spawn")
_MOST_DEATHS = 2
"""Processes that may die at one item, or one after the other outside of any, before it is not tried again."""


def run_supervised(
    work: Work, tasks: Sequence[Any], num_workers: int, item_timeout_s: float, on_item: Callable[[], None]
) -> None:
    """Do every task in one of `num_workers` processes.

    Args:
        work: The work; must be able to continue a task that was given out before.
        tasks: Picklable.
        num_workers: Processes at a time.
        item_timeout_s: How long one item may take before its process is killed.
        on_item: Called in this process for every item begun.

    Raises:
        RadletError: One that `work` raised.
        DataError: A worker failed outside of any item.
    """
    waiting = deque(_Task(payload) for payload in tasks)
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < num_workers:
                workers.append(_Worker(work, waiting.popleft()))
            _listen(workers, on_item)
            for worker in [worker for worker in workers if worker.stopped(item_timeout_s)]:
                if not worker.finished:
                    waiting.appendleft(worker.task_to_repeat())
                if worker.finished and waiting:
                    worker.give(waiting.popleft())
                else:
                    worker.close()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.close()


@dataclass
class _Task:
    payload: Any
    poisoned: Poisoned = field(default_factory=dict)
    deaths: Counter[str | None] = field(default_factory=Counter)
    """Item, or None outside of any -> processes that died there."""


class _Worker:
    """One child process and what it is doing."""

    def __init__(self, work: Work, task: _Task) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()
        self._ended = False
        self._overdue = False
        self.give(task)

    def give(self, task: _Task) -> None:
        """Hand over a task."""
        self._task = task
        self._item: str | None = None
        self._since = time.monotonic()
        self.finished = False
        self.connection.send(task)

    def receive(self) -> str | None:
        """Take one message; return the id of an item just begun, None for any other news."""
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            self._ended = True
            return None
        if kind == "raise":
            raise value
        self.finished = kind == "finished"
        self._item, self._since = (value, time.monotonic())
        return self._item

    def stopped(self, item_timeout_s: float) -> bool:
        """Tell whether the task is over: finished, the process dead, or its item overdue."""
        self._overdue = self._item is not None and time.monotonic() - self._since > item_timeout_s
        self._timeout_s = item_timeout_s
        return self.finished or self._ended or self._overdue

    def task_to_repeat(self) -> _Task:
        """Return the task, with the item at which it stopped marked if that is not to be tried again."""
        task, item = self._task, self._item
        deaths = task.deaths + Counter([item])
        if item is not None and self._overdue:
            return _Task(task.payload, {**task.poisoned, item: f"took longer than {self._timeout_s:g} s to decode"})
        if deaths[item] < _MOST_DEATHS:
            return _Task(task.payload, task.poisoned, deaths)
        if item is None or item in task.poisoned:
            raise DataError(
                "A worker process died outside of any film. Is there enough memory for num_workers processes?"
            )
        return _Task(task.payload, {**task.poisoned, item: "crashed the decoder"})

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def _listen(workers: list[_Worker], on_item: Callable[[], None]) -> None:
    by_connection = {worker.connection: worker for worker in workers}
    for connection in wait(list(by_connection), timeout=0.5):
        if by_connection[connection].receive() is not None:  # type: ignore[index]
            on_item()


def _serve(connection: Connection, work: Work) -> None:
    """Do tasks until the other side goes away."""
    # Libraries quote header values in warnings, and decoders write to stderr on their own; neither may show a patient.
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            task = connection.recv()
            for item in work(task.payload, task.poisoned):
                connection.send(("item", item))
            connection.send(("finished", None))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except RadletError as error:
            connection.send(("raise", error))
        except (
            OSError
        ) as error:  # a worker refuses films that it cannot read; what is left is about the run's own files
            connection.send(("raise", _cannot_write(error)))
        except Exception as error:  # noqa: BLE001 - handed to the parent, without its text, which may quote a patient
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {place.filename}:{place.lineno}"
            connection.send(
                ("raise", DataError(f"A worker failed with {where}. This is a fault in radlet; report it."))
            )


def _cannot_write(error: OSError) -> RunError:
    """Return the error without the path of the file, which may name a patient."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return RunError(
        f"A worker could not use the files of the run ({reason}). Make room, or give access to the folders; the same "
        "command goes on where it stood."
    )
