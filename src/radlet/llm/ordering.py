"""Work on many things side by side, a bounded number at a time, and hand the results out in the order they came.

What is made then does not depend on which answer of a server comes first.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    runner: asyncio.Runner, items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, R]], limit: int
) -> Iterator[R]:
    """Yield what `work` makes of each item, in their order, with `limit` items under way at most.

    What is under way is given up when a piece of work raises, or nobody asks for more.
    """
    waiting: deque[asyncio.Task[R]] = deque()
    coming = iter(items)
    try:
        while True:
            runner.run(_fill(waiting, coming, work, limit))
            if not waiting:
                return
            yield runner.run(_result(waiting[0]))
            waiting.popleft()
    finally:
        runner.run(_give_up(waiting))


async def _fill(
    waiting: "deque[asyncio.Task[R]]", coming: Iterator[T], work: Callable[[T], Coroutine[Any, Any, R]], limit: int
) -> None:
    for item in coming:
        waiting.append(asyncio.create_task(work(item)))
        if len(waiting) >= limit:
            return


async def _result(task: "asyncio.Task[R]") -> R:
    return await task


async def _give_up(waiting: "Iterable[asyncio.Task[R]]") -> None:
    """Stop what is under way; what went wrong in it no longer matters."""
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
