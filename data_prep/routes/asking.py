"""First errors from the teachers of `realm distill`: paced, within a budget, every reply kept.

Serves design.md, section Guided CoT distillation (items 3 and 7). A bank is annotated batch by batch in plain code; here
each batch becomes requests to a `Sender`, in one event loop that lives as long as the run. Nothing that the store has is
asked again, so a run that was ended is repeated for free up to there.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console

from data_prep.distill.ending import Yield, signals_end
from data_prep.distill.progress import Live
from data_prep.distill.requests import FIRST_ERROR, Failure, Parameters, Reply, Request
from data_prep.distill.sender import Ending, Limits, Sender, Stop
from data_prep.distill.store import Store
from data_prep.distill.teachers import Teacher
from data_prep.distill.turns import each
from data_prep.outputs import hash_text
from data_prep.routes.first_errors import PROMPT_VERSION, says_something

_TAIL = 200


class AskingEnded(Exception):
    """The run ends before its time, and not by the ceiling: the file at hand stays as it was."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.message)
        self.stop = stop


class StoredTeacher:
    """A teacher for `first_errors.Annotator`; use as a context.

    At the cost ceiling what is not known yet is answered with empty texts, so that all that was paid for is used.

    Args:
        teacher: closed at the end.
        store: folder of the replies.
        concurrency: requests at a time.
        send_seeds: a seed with each request, made of the prompt and the number of the sample.
        total: requests to expect at most, for the progress line.
        min_usable: share of the first replies that must say something.

    Raises:
        StoreInUse: another process has the store open.
    """

    def __init__(
        self,
        teacher: Teacher,
        store: Path,
        limits: Limits,
        parameters: Parameters,
        *,
        concurrency: int,
        send_seeds: bool,
        total: int,
        min_usable: float,
        console: Console,
    ) -> None:
        self._teacher = teacher
        self._limits = limits
        self._parameters = parameters
        self._concurrency = concurrency
        self._send_seeds = send_seeds
        self._total = total
        self._yield = Yield("replies", min_usable)
        self._console = console
        self._runner = asyncio.Runner()
        self.store = Store(store)
        self.unanswered = 0
        """Prompts that got an empty text: not asked, given up, cut off or withheld."""

    def __enter__(self) -> Self:
        self.store.__enter__()
        try:
            for notice in self.store.notices:
                self._console.print(f"realm routes: {notice}", style="yellow", markup=False, highlight=False)
            self.sender = self._runner.run(self._make_sender())
            self._live = Live(self._console, self.sender.describe).__enter__()
        except BaseException:
            self.store.__exit__()
            raise
        self._live.begin("first errors", self._total)
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__()
        try:
            self._runner.run(self._teacher.close())
        finally:
            self._runner.close()
            self.store.__exit__()

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """One text for each prompt, "" where there is none; equal prompts are further samples.

        Raises:
            AskingEnded: interrupted, or the server refuses or stays away.
            asyncio.CancelledError: interrupted twice.
        """
        numbers: Counter[str] = Counter()
        requests = []
        for prompt in prompts:
            requests.append(self._request(prompt, numbers[prompt]))
            numbers[prompt] += 1
        self._runner.run(self._ask(requests))
        stop = self.sender.stop
        if stop is not None and stop.ending is not Ending.CEILING:
            raise AskingEnded(stop)
        known = [self.sender.known(request) for request in requests]
        texts = [reply.content if isinstance(reply, Reply) and reply.is_whole else "" for reply in known]
        self.unanswered += texts.count("")
        return texts

    async def _make_sender(self) -> Sender:
        return Sender(self._teacher, self.store, self._limits, PROMPT_VERSION, self._parameters)

    async def _ask(self, requests: Sequence[Request]) -> None:
        with signals_end(self.sender, self._console):
            await each("first errors", requests, self._ask_one, self._concurrency, _SameBar(self._live))

    async def _ask_one(self, request: Request) -> None:
        reply = await self.sender.ask(request)
        if isinstance(reply, Failure):
            complaint = self._yield.count(reply.reason, reply.evidence)
        elif not reply.is_whole:
            complaint = self._yield.count(f"ended early: {reply.finish}", reply.content[-_TAIL:])
        elif not says_something(reply.content):
            complaint = self._yield.count("no line `first wrong step: ...`", reply.content[-_TAIL:])
        else:
            complaint = self._yield.count(None)
        if complaint is not None:
            self.sender.end(Ending.UNUSABLE, complaint)

    def _request(self, prompt: str, attempt: int) -> Request:
        digest = hash_text(prompt)
        seed = int(hash_text(prompt, f"{attempt}")[:8], 16) >> 1 if self._send_seeds else None
        return Request(FIRST_ERROR, digest[:16], "", attempt, (("user", prompt),), seed)


class _SameBar:
    """Progress of one batch, shown on the bar of the whole."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def begin(self, what: str, total: int) -> None:
        """Nothing: the bar is there."""

    def advance(self) -> None:
        """One request more."""
        self._live.advance()
