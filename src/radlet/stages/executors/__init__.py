"""Where the shards of `ingest` and `build` are worked on: one recipe switch for both, of no effect on the result."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pydantic import Field, field_validator

from radlet.core.config import Config
from radlet.core.registry import Registry
from radlet.data.supervision import Work

EXECUTORS = Registry(
    "executors",
    {
        "local": "radlet.stages.executors.local:run_local",
        "ray": "radlet.stages.executors.on_ray:run_on_ray",
    },
)


class ExecutorSettings(Config):
    """Who does the work, and how many at a time."""

    num_workers: int | None = Field(default=None, ge=1)
    """Processes that work at a time; without it, one per processor. The result does not depend on it."""
    executor: str = "local"
    """``local``: processes of this machine. ``ray``: those of a Ray cluster (extra `ray`), all of which see the folders
    of the recipe under the same paths."""
    ray_address: str | None = None
    """``host:port`` of the cluster that executor = 'ray' joins; without it, one is started here, on loopback alone."""

    @field_validator("executor")
    @classmethod
    def _known(cls, executor: str) -> str:
        EXECUTORS[executor]
        return executor

    @property
    def num_processes(self) -> int:
        """How many processes of this machine may work."""
        return self.num_workers or os.cpu_count() or 1


class Executor(Protocol):
    """Does every task; ends when all are done, or with the error of one."""

    def __call__(
        self,
        work: Work,
        tasks: Sequence[Any],
        settings: ExecutorSettings,
        item_timeout_s: float,
        on_item: Callable[[int], None],
    ) -> None:
        """Do every task as `radlet.data.supervision` says.

        Args:
            work: The work; must be able to continue a task that was given out before.
            tasks: Picklable, with absolute paths.
            settings: Where, and how many at a time.
            item_timeout_s: How long one item may take before its process is killed.
            on_item: Called here with the number of items that were begun since the last call.

        Raises:
            RadletError: One that `work` raised.
            DataError: A worker failed outside of any item, or the cluster cannot be used.
        """


def run_tasks(
    work: Work,
    tasks: Sequence[Any],
    settings: ExecutorSettings,
    item_timeout_s: float,
    on_item: Callable[[int], None],
) -> None:
    """Do every task with the executor of the settings; see `Executor`."""
    executor: Executor = EXECUTORS[settings.executor]
    if tasks:
        executor(work, tasks, settings, item_timeout_s, on_item)
