"""Stages that wait for nothing of each other, at the same time: the first here, the others in processes beside it.

A small language model uses two cores little better than one, so a model and its text-only baseline are trained sooner
side by side, each with its share of the cores, than one after the other. On a GPU, or with one thread, they take turns.
"""

import importlib
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from radlet.core.config import StageConfig
from radlet.core.console import make_console

if TYPE_CHECKING:
    from rich.console import Console


def run_together(stages: Mapping[str, tuple[str, StageConfig]], console: "Console | None") -> dict[str, Path]:
    """Run stages and return their run directories; when one fails, the others end before its error is raised.

    Args:
        stages: Recipe -> (name of the stage's module, its configuration). The first one shows its progress.
        console: Where to say what is going on.
    """
    import torch

    first, *others = stages
    threads = torch.get_num_threads() // len(stages)
    if not others or not threads or torch.cuda.is_available():
        return {recipe: _run(*stage, console) for recipe, stage in stages.items()}
    console = console or make_console()
    before = torch.get_num_threads()
    context = multiprocessing.get_context("spawn")
    try:
        torch.set_num_threads(before - threads * len(others))
        with ProcessPoolExecutor(len(others), context, initializer=_start, initargs=(os.getpid(), threads)) as pool:
            beside = {recipe: pool.submit(_run_unseen, *stages[recipe]) for recipe in others}
            for recipe in others:
                console.print(f"{recipe}  goes on beside {first}")
            done = {first: _run(*stages[first], console)}
            for recipe, future in beside.items():
                done[recipe] = future.result()
                console.print(f"{recipe}  done\n{done[recipe]}")
    finally:
        torch.set_num_threads(before)
    return done


def _run(stage: str, config: StageConfig, console: "Console | None") -> Path:
    path: Path = importlib.import_module(f"radlet.stages.{stage}").run(config, console)
    return path


def _run_unseen(stage: str, config: StageConfig) -> Path:
    from rich.console import Console

    return _run(stage, config, Console(quiet=True))


def _start(parent: int, threads: int) -> None:
    """Take a share of the cores, and end with the parent, however that ends: a run must not hold its lock unseen."""
    import torch
    from transformers.utils import logging

    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
