"""Shows how a run goes: a live line on a terminal, a plain one now and then elsewhere.

Serves design.md, section Guided CoT distillation, item 3: rate, spend, estimated end.
"""

import time
from collections.abc import Callable
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

SECONDS_BETWEEN_LINES = 60.0


class Progress(Protocol):
    """Told of what happens; shows it or not."""

    def begin(self, what: str, total: int) -> None:
        """A part of the run begins."""
        ...

    def advance(self) -> None:
        """One question of that part is done."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, what: str, total: int) -> None:
        """Nothing."""

    def advance(self) -> None:
        """Nothing."""


class Live:
    """`status` is called for each view and gives rate and spend in words. Use as a context."""

    def __init__(self, console: Console, status: Callable[[], str]) -> None:
        self._console = console
        self._status = status
        self._bars = Bars(
            TextColumn("{task.description:>13}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._what, self._total, self._done = "", 0, 0
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def begin(self, what: str, total: int) -> None:
        """A new bar."""
        self._what, self._total, self._done = what, total, 0
        self._task = self._bars.add_task(what, total=total, status=self._status())

    def advance(self) -> None:
        """Moves the bar, or prints a line when the last is a minute old."""
        self._done += 1
        self._bars.update(self._task, advance=1, status=self._status())
        if not self._console.is_terminal and time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            self._console.print(
                f"{self._what}: {self._done} of {self._total}; {self._status()}", highlight=False
            )
