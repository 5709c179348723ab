"""Drafts written by several models at once: the processes of a Ray cluster, each with the checkpoints it was asked for.

Each is given the batches that one process would have written, so the drafts are the same. A process that dies is
started again by Ray, and its batch with it.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from radlet.core.console import Progress
from radlet.core.errors import DataError, RadletError
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.stages.executors import ExecutorSettings
from radlet.stages.executors.on_ray import MAX_RETRIES, UNSHARED, num_workers_at, ray_cluster

Spread = Callable[[Drafter, Path], Drafter]
"""Given a drafter and its checkpoint, returns one that drafts where the settings say, and does all else here."""


@contextmanager
def drafting(settings: ExecutorSettings) -> Iterator[Spread]:
    """Yield what spreads drafters as the settings say; a cluster is joined, or started, with the first draft."""
    if settings.executor == "local":
        yield lambda drafter, _: drafter
        return
    with ExitStack() as stack:
        workers = _Workers(settings, stack)
        yield lambda drafter, checkpoint: _DrafterOnRay(drafter, checkpoint.resolve(), workers)


class _Workers:
    """The processes of the cluster that hold models."""

    def __init__(self, settings: ExecutorSettings, stack: ExitStack) -> None:
        self._settings, self._stack = settings, stack
        self._ray: Any = None
        self._pool: Any = None

    def draft(
        self, checkpoint: Path, batches: Sequence[Sequence[DraftRequest]], sampling: Sampling
    ) -> Iterator[list[str]]:
        """Yield the drafts of each batch, in order.

        Raises:
            ConfigError: Ray is not installed, or no cluster answers.
            DataError: A process died again and again, or a film cannot be read.
        """
        if self._pool is None:
            self._start()
        asked = self._pool.map(lambda actor, batch: actor.draft.remote(checkpoint, batch, sampling), list(batches))
        try:
            for drafts in asked:
                if isinstance(drafts, RadletError):
                    raise drafts
                yield drafts
        except self._ray.exceptions.RayError as error:
            raise DataError(
                f"A Ray worker died {MAX_RETRIES + 1} times over the same drafts ({type(error).__name__}). Is there "
                "enough memory for a model in each? Lower num_workers; the same command goes on where it stood."
            ) from None

    def _start(self) -> None:
        self._ray = self._stack.enter_context(ray_cluster(self._settings, with_gpus=True))
        num_gpus = int(self._ray.cluster_resources().get("GPU", 0))
        num_workers = min(num_workers_at(self._ray, self._settings), num_gpus or sys.maxsize)
        options = {"num_cpus": 1, "num_gpus": int(num_gpus > 0), "max_restarts": MAX_RETRIES}
        actor = self._ray.remote(max_task_retries=MAX_RETRIES, **options)(_Worker)
        self._pool = self._ray.util.ActorPool([actor.remote(Path.cwd()) for _ in range(num_workers)])


class _Worker:
    """A process of the cluster; errors are returned, because Ray would log those that are raised."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drafters: dict[Path, Drafter] = {}

    def draft(self, checkpoint: Path, batch: list[DraftRequest], sampling: Sampling) -> list[str] | RadletError:
        """Write one batch of drafts with a checkpoint, which is loaded once."""
        try:
            if not self._folder.is_dir():
                raise DataError(UNSHARED)
            os.chdir(self._folder)
            if checkpoint not in self._drafters:
                self._drafters[checkpoint] = Drafter.load(checkpoint)
            return self._drafters[checkpoint].draft(batch, sampling, batch_size=len(batch))
        except RadletError as error:
            return error


class _DrafterOnRay(Drafter):
    """A drafter whose drafts are written by the workers; what else it is asked it does itself."""

    def __init__(self, drafter: Drafter, checkpoint: Path, workers: _Workers) -> None:
        vars(self).update(vars(drafter))
        self._checkpoint, self._workers = checkpoint, workers

    def draft(
        self,
        requests: Sequence[DraftRequest],
        sampling: Sampling | None = None,
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> list[str]:
        """Return one draft for each request, as `Drafter.draft` does."""
        sampling = sampling or Sampling(guidance=self.card.guidance)
        batches = self.batches(requests, batch_size)
        asked = self._workers.draft(self._checkpoint, [[requests[i] for i in batch] for batch in batches], sampling)
        drafts = [""] * len(requests)
        followed = (progress or Progress(quiet=True)).track(asked, "drafts", len(batches))
        for batch, answers in zip(batches, followed, strict=True):
            for index, answer in zip(batch, answers, strict=True):
                drafts[index] = answer
        return drafts
