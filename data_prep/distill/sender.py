"""Sends requests: from the store if answered before, else paced, within the budget, again when a try fails.

Serves design.md, section Guided CoT distillation, item 3. Nothing is sent twice: each try is noted in the store before it
begins, each reply is on disk before it counts, and two askers of one request share one. When a run has to end
(ceiling, SIGINT, a server that refuses or stays away) no further request starts, and those in flight are waited for.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from data_prep.distill.limits import FREE, Budget, CeilingReached, Clock, Pace, Prices, backoff
from data_prep.distill.requests import Failure, Parameters, Reply, Request, request_key
from data_prep.distill.store import Store
from data_prep.distill.teachers import Malformed, Refused, Teacher, TryAgain

TOKEN_BYTES = 4
"""Bytes of a token on average, for pacing before the server has counted."""


@dataclass(frozen=True)
class Limits:
    """Options of sending. None of them changes what is written, only how fast and how dear it comes about.

    Attributes:
        requests_per_minute, tokens_per_minute: None: no limit. Tokens are those of the prompt and the completion.
        tries: of one request, failures that another try may cure; a 429 counts only while no other request gets through.
        malformed_tries: of one request, unreadable replies, before it is left out for good.
        longest_wait: seconds; a server that asks for more ends the run instead.
        max_cost: ceiling for the store as a whole, earlier runs included; None: no ceiling.
        skip_failing: leave out a request that the server refuses or that fails `tries` times, and go on.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    tries: int = 8
    malformed_tries: int = 3
    longest_wait: float = 600.0
    prices: Prices = FREE
    max_cost: Decimal | None = None
    skip_failing: bool = False


class Ending(Enum):
    """Why a run ended before its time."""

    CEILING = "ceiling"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class Stop:
    """The first reason to end, with the message for the user."""

    ending: Ending
    message: str


class Stopped(Exception):
    """The run is ending; this request is not sent."""


class Sender:
    """Answers `ask`; `stop` says why a run is ending, `counts` what this process did.

    Make it inside the running event loop.
    """

    def __init__(
        self,
        teacher: Teacher,
        store: Store,
        limits: Limits,
        prompt_version: str,
        parameters: Parameters,
        clock: Clock | None = None,
    ) -> None:
        self._teacher = teacher
        self._store = store
        self._limits = limits
        self._prompt_version = prompt_version
        self._parameters = parameters
        self._clock = clock or Clock()
        rpm, tpm = limits.requests_per_minute, limits.tokens_per_minute
        self._requests = Pace(rpm, self._clock) if rpm else None
        self._tokens = Pace(tpm, self._clock) if tpm else None
        self._budget = Budget(limits.max_cost, store.spent + store.unsettled)
        self._closed_until = 0.0
        self._began = self._clock.now()
        self._asked: dict[str, asyncio.Future[Reply | Failure]] = {}
        self._stopping = asyncio.Event()
        self.stop: Stop | None = None
        self.counts: Counter[str] = Counter()
        """Tries, replies, errors by reason, and tokens, of this process alone."""

    def end(self, ending: Ending, message: str) -> None:
        """Send nothing more; the first reason stands."""
        self.stop = self.stop or Stop(ending, message)
        self._stopping.set()

    def describe(self) -> str:
        """Rate and spend in words, for the progress line."""
        minutes = max(self._clock.now() - self._began, 1.0) / 60
        rate = f"{self.counts['replies'] / minutes:.0f} replies/min"
        return f"{rate}, spent {self._store.spent:.2f}" if self._limits.prices != FREE else rate

    def key(self, request: Request) -> str:
        """The store's key of a request."""
        return request_key(request, self._teacher.model, self._prompt_version, self._parameters)

    def known(self, request: Request) -> Reply | Failure | None:
        """What the store has."""
        return self._store.get(self.key(request))

    async def ask(self, request: Request) -> Reply | Failure:
        """The reply, from the store or the teacher; a `Failure` where the request was given up for good.

        Raises:
            Stopped: the run is ending, see `stop`.
        """
        key = self.key(request)
        if (known := self._store.get(key)) is not None:
            return known
        if (asked := self._asked.get(key)) is not None:
            return await asyncio.shield(asked)
        future = asyncio.get_running_loop().create_future()
        self._asked[key] = future
        try:
            answer = await self._send(key, request)
        except BaseException as error:
            future.set_exception(error if isinstance(error, Stopped) else Stopped())
            future.exception()  # marks it as seen: usually nobody else waits
            raise
        finally:
            del self._asked[key]
        future.set_result(answer)
        return answer

    async def _send(self, key: str, request: Request) -> Reply | Failure:
        failed = malformed = replies = 0
        while True:
            try:
                return await self._try(key, request)
            except TryAgain as error:
                # A limit that lets others through is no failure, however often it is this request's turn to wait.
                goes_on = error.busy and self.counts["replies"] > replies
                failed, replies = 1 if goes_on else failed + 1, self.counts["replies"]
                self.counts[f"error: {error}"] += 1
                wait = max(error.wait or 0.0, backoff(failed, key))
                if failed >= self._limits.tries:
                    return self._give_up(
                        key, f"the server kept failing ({error})", Ending.UNREACHABLE, request
                    )
                if wait > self._limits.longest_wait:
                    self.end(
                        Ending.UNREACHABLE,
                        f"the server asks to wait {wait:.0f} s ({error}); run again after that",
                    )
                    raise Stopped from error
                if error.wait is not None:
                    # What it asks of one request it asks of all: they share the limit that was hit.
                    self._closed_until = max(self._closed_until, self._clock.now() + error.wait)
                await self._wait(wait)
            except Malformed as error:
                malformed += 1
                self.counts[f"error: {error.reason}"] += 1
                if malformed >= self._limits.malformed_tries:
                    failure = Failure(error.reason, error.evidence)
                    self._store.failed(key, failure)
                    return failure
                await self._wait(backoff(malformed, key))
            except Refused as error:
                self.counts["error: refused"] += 1
                if error.for_all:
                    self.end(Ending.REFUSED, str(error))
                    raise Stopped from error
                return self._give_up(key, str(error), Ending.REFUSED, request)

    def _give_up(self, key: str, message: str, ending: Ending, request: Request) -> Failure:
        """Leave out this request, if that is wanted; else end the run.

        Raises:
            Stopped: it is not wanted.
        """
        if self._limits.skip_failing:
            failure = Failure(
                "refused by the server" if ending is Ending.REFUSED else "the server kept failing", message
            )
            self._store.failed(key, failure)
            return failure
        self.end(
            ending,
            f"{message}, on a request of kind {request.kind} for question {request.uid}; "
            "run again to go on where this ended, or give --skip-failing to leave out such requests",
        )
        raise Stopped

    async def _try(self, key: str, request: Request) -> Reply:
        prices = self._limits.prices
        reserved = self._estimated_tokens(request)
        await self._wait_for_turn(reserved)
        worst = prices.cost(request.most_prompt_tokens, self._parameters.max_tokens)
        try:
            await self._budget.reserve(worst)
        except CeilingReached as error:
            self.end(Ending.CEILING, f"the cost ceiling is reached: {error}")
            raise Stopped from error
        cost, used = worst, reserved  # until more is known: a cancelled request may be charged
        try:
            if self.stop is not None:
                cost = Decimal(0)
                raise Stopped
            self._store.sent(key, request, worst)
            self.counts["tries"] += 1
            try:
                begin = time.monotonic()
                reply = await self._teacher.generate(request)
            except TryAgain as error:
                cost = worst if error.billed else Decimal(0)
                self._store.erred(key, str(error), cost)
                raise
            except Malformed as error:
                self._store.erred(key, error.reason, cost)
                raise
            except Refused:
                cost = Decimal(0)
                self._store.erred(key, "refused by the server", cost)
                raise
            if reply.prompt_tokens is not None and reply.completion_tokens is not None:
                cost = prices.cost(reply.prompt_tokens, reply.completion_tokens)
                used = reply.prompt_tokens + reply.completion_tokens
            self._store.replied(key, reply, cost, time.monotonic() - begin)
            self._count(reply)
            return reply
        finally:
            self._budget.settle(worst, cost)
            if self._tokens:
                self._tokens.give_back(reserved - used)

    def _estimated_tokens(self, request: Request) -> int:
        return request.prompt_bytes // TOKEN_BYTES + self._parameters.max_tokens

    def _count(self, reply: Reply) -> None:
        self.counts["replies"] += 1
        self.counts["prompt tokens"] += reply.prompt_tokens or 0
        self.counts["completion tokens"] += reply.completion_tokens or 0

    async def _wait_for_turn(self, tokens: int) -> None:
        waits = [self._requests.take(1) if self._requests else 0.0]
        waits.append(self._tokens.take(tokens) if self._tokens else 0.0)
        await self._wait(max(waits))
        while (closed := self._closed_until - self._clock.now()) > 0:
            await self._wait(closed)

    async def _wait(self, seconds: float) -> None:
        """Sleep, unless the run ends meanwhile.

        Raises:
            Stopped: it does.
        """
        if not self._stopping.is_set() and seconds > 0:
            sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                stopping.cancel()
        if self._stopping.is_set():
            raise Stopped
