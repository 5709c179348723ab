"""Stages as tasks of a Ray cluster, each begun when those before it are done: how `ablate` runs its cells there."""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radlet.core.config import StageConfig
from radlet.core.errors import RadletError
from radlet.stages.executors import ExecutorSettings
from radlet.stages.executors.on_ray import MAX_RETRIES, UNSHARED, num_workers_at, ray_cluster


@dataclass(frozen=True)
class StageTask:
    """One stage to run.

    Attributes:
        key: What tells it apart.
        recipe: Its name, for people.
        stage: Module of the stage.
        config: From the runs of the stages before it, by recipe, to its configuration.
        after: Recipe -> key of the task before it.
    """

    key: str
    recipe: str
    stage: str
    config: Callable[[Mapping[str, Path]], StageConfig]
    after: Mapping[str, str]


def run_stages_on_ray(
    tasks: Sequence[StageTask], settings: ExecutorSettings, on_done: Callable[[StageTask, Path | str], None]
) -> None:
    """Run every task; a stage that finished before is found again.

    Args:
        tasks: Each after those that it comes after.
        settings: Which cluster, and how many stages at a time.
        on_done: Called with a task and its run, or why it failed, as they end.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """
    with ray_cluster(settings, with_gpus=True) as ray:
        gpus = ray.cluster_resources().get("GPU", 0) > 0
        cpus = max(1, int(ray.cluster_resources().get("CPU", 1)) // num_workers_at(ray, settings))
        remote = ray.remote(num_cpus=cpus, num_gpus=int(gpus), max_retries=MAX_RETRIES)(_run_stage)
        references: dict[str, Any] = {}
        for task in tasks:
            before = {recipe: references[key] for recipe, key in task.after.items()}
            references[task.key] = remote.remote(
                task.recipe, task.stage, task.config, Path.cwd(), list(before), *before.values()
            )
        waiting = {references[task.key]: task for task in tasks}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            task = waiting.pop(done)
            try:
                on_done(task, ray.get(done))
            except ray.exceptions.RayError as error:
                on_done(task, f"{task.recipe}: its Ray worker died {MAX_RETRIES + 1} times ({type(error).__name__})")


def _run_stage(
    recipe: str,
    stage: str,
    config: Callable[[Mapping[str, Path]], StageConfig],
    folder: Path,
    before: list[str],
    *runs: Path | str,
) -> Path | str:
    """Run a stage in a process of the cluster; return its run, or why it or one before it failed."""
    from rich.console import Console

    failed = [run for run in runs if isinstance(run, str)]
    if failed:
        return failed[0]
    if not folder.is_dir():
        return f"{recipe}: {UNSHARED}"
    try:
        os.chdir(folder)
        paths = {name: run for name, run in zip(before, runs, strict=True) if isinstance(run, Path)}
        path: Path = importlib.import_module(f"radlet.stages.{stage}").run(config(paths), Console(quiet=True))
    except RadletError as error:
        return f"{recipe}: {error}"
    except Exception as error:  # noqa: BLE001 - one cell must not end the others; its text may quote a report
        return f"{recipe}: {type(error).__name__}. `radlet --debug {recipe}` with its recipe tells more."
    return path
