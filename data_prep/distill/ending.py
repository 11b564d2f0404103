"""How a command that asks a model many things ends before its time, and with which exit code.

It ends on a signal, or because its first replies are of no use: nobody pays for 100,000 replies that cannot be read.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from data_prep.distill.sender import Ending, Sender

EXIT_CODES = {
    Ending.CEILING: 3,
    Ending.INTERRUPTED: 130,
    Ending.REFUSED: 1,
    Ending.UNREACHABLE: 1,
    Ending.UNUSABLE: 4,
}
LOOKED_AT = 50
"""Replies from which a run that yields nothing is told."""
LEAST_USABLE = 0.1
"""Share of these that must be usable."""
_EXAMPLE_CHARS = 300


class Yield:
    """Counts the first `LOOKED_AT` replies of a run, and says when too few of them can be used.

    Args:
        what: what the replies are, for the message.
        least: share of them that must be usable; 0: any is enough.
    """

    def __init__(self, what: str, least: float = LEAST_USABLE) -> None:
        self._what = what
        self._least = least
        self._usable = 0
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether more replies are looked at."""
        return self._usable + self._reasons.total() < LOOKED_AT

    def count(self, reason: str | None, example: str = "") -> str | None:
        """Count a reply: why it cannot be used, None if it can; gives what is wrong with all of them, if it is.

        >>> replies = Yield("chains")
        >>> [replies.count("no answer", "I am a model") for _ in range(LOOKED_AT)][-1]
        "0 of the first 50 chains can be used. Most often: no answer (50), such as 'I am a model'. Mend the cause, \
or give --min-usable 0 to go on all the same"
        """
        if not self.is_open:
            return None
        if reason is None:
            self._usable += 1
        else:
            self._reasons[reason] += 1
            self._examples.setdefault(reason, example)
        if self.is_open or self._usable >= self._least * LOOKED_AT:
            return None
        commonest, number = self._reasons.most_common(1)[0]
        return (
            f"{self._usable} of the first {LOOKED_AT} {self._what} can be used. Most often: {commonest} ({number}), "
            f"such as {self._examples[commonest][:_EXAMPLE_CHARS]!r}. Mend the cause, or give --min-usable 0 to go "
            "on all the same"
        )


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
