"""How a command that asks a teacher ends before its time: on a signal, and with which exit code.

Serves design.md, section Guided CoT distillation, item 3.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from data_prep.distill.sender import Ending, Sender

EXIT_CODES = {
    Ending.CEILING: 3,
    Ending.INTERRUPTED: 130,
    Ending.REFUSED: 1,
    Ending.UNREACHABLE: 1,
}


@contextmanager
def signals_end(sender: Sender, console: Console) -> Iterator[None]:
    """Inside a task: SIGINT and SIGTERM let what is in flight finish; a second one cancels the task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end() -> None:
        if sender.stop is not None and task is not None:
            task.cancel()
            return
        console.print("ending: waiting for what is in flight; once more to end at once", style="yellow")
        sender.end(Ending.INTERRUPTED, "interrupted; run the same command again to go on")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
