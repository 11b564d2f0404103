"""So many requests at a time: the loop in which everything is asked of a teacher.

Serves design.md, section Guided CoT distillation, item 3.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from data_prep.distill.progress import Progress
from data_prep.distill.sender import Stopped

_Item = TypeVar("_Item")


async def each(
    what: str,
    items: Sequence[_Item],
    work: Callable[[_Item], Awaitable[object]],
    concurrency: int,
    progress: Progress,
) -> None:
    """Do the work on every item, so many at a time; ends early, without error, when the run is ending."""
    progress.begin(what, len(items))
    waiting = iter(items)

    async def take_turns() -> None:
        for item in waiting:
            try:
                await work(item)
            except Stopped:
                return
            progress.advance()
            await asyncio.sleep(0)  # signals are seen even where everything is in the store

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(items))):
                group.create_task(take_turns())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
