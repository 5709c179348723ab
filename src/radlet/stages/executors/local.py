"""The executor `local`: processes of this machine, one per processor."""

from collections.abc import Callable, Sequence
from typing import Any

from radlet.data.supervision import Work, run_supervised
from radlet.stages.executors import ExecutorSettings


def run_local(
    work: Work,
    tasks: Sequence[Any],
    settings: ExecutorSettings,
    item_timeout_s: float,
    on_item: Callable[[int], None],
) -> None:
    """Do every task in a process of this machine that may crash or hang without stopping the rest."""
    run_supervised(
        work,
        tasks,
        num_workers=min(settings.num_processes, len(tasks)),
        item_timeout_s=item_timeout_s,
        on_item=lambda: on_item(1),
    )
