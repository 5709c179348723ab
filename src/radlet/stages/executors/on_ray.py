"""The executor `ray`: shards as tasks of a Ray cluster whose machines share the folders of the recipe.

A task works through a batch of shards under the supervision that the executor `local` has, on its own machine: a film
that crashes or hangs its decoder is known and refused, and Ray sees nothing of it. When a worker or a machine dies,
Ray gives its batch out again, and the journals of the shards go on where they stood.
"""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radlet.core.errors import ConfigError, DataError, RadletError
from radlet.data.supervision import Work, run_supervised
from radlet.stages.executors import ExecutorSettings

if TYPE_CHECKING:
    from types import ModuleType

_LOOPBACK = "127.0.0.1"
_BATCHES_PER_WORKER = 4
"""Batches are small enough that the workers end together, and large enough that starting a process pays."""
MAX_RETRIES = 3
UNSHARED = "A machine of the Ray cluster does not see the working folder. Share it, at the same path."
_MIN_OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""Next to nothing passes through it: tasks read and write files."""


def run_on_ray(
    work: Work,
    tasks: Sequence[Any],
    settings: ExecutorSettings,
    item_timeout_s: float,
    on_item: Callable[[int], None],
) -> None:
    """Do every task on a Ray cluster: the one at the address of the settings, or one that is started here.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers at the address.
    """
    with ray_cluster(settings) as ray:
        num_workers = num_workers_at(ray, settings)
        size = -(-len(tasks) // (num_workers * _BATCHES_PER_WORKER))
        batches = iter([list(tasks[start : start + size]) for start in range(0, len(tasks), size)])
        remote = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_work_through)
        pending: set[Any] = set()
        while True:
            for batch in batches:
                pending.add(remote.remote(work, batch, item_timeout_s, Path.cwd()))
                if len(pending) >= num_workers:
                    break
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1)
            pending -= set(done)
            on_item(_result(ray, done[0]))


def _work_through(work: Work, tasks: list[Any], item_timeout_s: float, folder: Path) -> int | RadletError:
    """Do a batch of tasks in a process beside this one; return the number of items begun, or the error.

    An error is returned, because Ray would log one that is raised.
    """
    begun = 0

    def count() -> None:
        nonlocal begun
        begun += 1

    try:
        if not folder.is_dir():
            raise DataError(UNSHARED)
        os.chdir(folder)
        # A spawned process first imports the program of its parent: here that of the Ray worker, and Ray with it.
        vars(sys.modules["__main__"]).pop("__file__", None)
        run_supervised(work, tasks, num_workers=1, item_timeout_s=item_timeout_s, on_item=count)
    except RadletError as error:
        return error
    return begun


def _result(ray: "ModuleType", reference: Any) -> int:
    try:
        result: int | RadletError = ray.get(reference)
    except ray.exceptions.RayError as error:
        raise DataError(
            f"A Ray worker died {MAX_RETRIES + 1} times over the same shards ({type(error).__name__}). Is there "
            "enough memory for the workers? The same command goes on where it stood."
        ) from None
    if isinstance(result, RadletError):
        raise result
    return result


@contextmanager
def ray_cluster(settings: ExecutorSettings, with_gpus: bool = False) -> Iterator["ModuleType"]:
    """Join the Ray cluster of the settings, or start one on loopback, for the length of the block.

    Args:
        settings: Which cluster.
        with_gpus: Let a cluster that is started here have the GPUs of this machine.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not settings.ray_address:
        # Read when Ray is imported: without it, Ray's processes listen on every interface, whatever address they have.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError("executor = 'ray' needs Ray, which is not installed: pip install \"radlet[ray]\"") from None
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    folder = None
    try:
        if settings.ray_address:
            ray.init(address=settings.ray_address, **quiet)
        else:
            folder = tempfile.mkdtemp(prefix="radlet-ray-")
            ray.init(
                address="local",
                num_cpus=settings.num_processes,
                num_gpus=None if with_gpus else 0,
                include_dashboard=False,
                object_store_memory=_MIN_OBJECT_STORE_BYTES,
                _node_ip_address=_LOOPBACK,
                _temp_dir=folder,
                **quiet,
            )
    except Exception as error:  # noqa: BLE001 - Ray raises bare ones, as when a busy machine starts it in over 30 s
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        raise ConfigError(
            f"Ray could not be started here ({type(error).__name__}). Is the machine busy? Try again, or use 'local'."
            if folder
            else f"No Ray cluster answers at {settings.ray_address} ({type(error).__name__}). Correct ray_address."
        ) from None
    try:
        # Ray tells of a worker that died on standard output, where results alone belong.
        with redirect_stdout(sys.stderr):
            yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def num_workers_at(ray: "ModuleType", settings: ExecutorSettings) -> int:
    """Return how many may work at a time on the cluster that was joined."""
    available = int(ray.cluster_resources().get("CPU", 1))
    return min(settings.num_workers or available, available)
