"""How fast and how dear: pacing of requests and tokens, the cost ceiling, and waits between tries.

Serves design.md, section Guided CoT distillation, item 3. Money is `Decimal`, time comes from a `Clock`, so that all of
it can be tested without waiting.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime

MILLION = Decimal(1_000_000)
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0


class Clock:
    """Real time; tests give another."""

    def now(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def date(self) -> datetime:
        """The time of day, for Retry-After given as a date."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens, in any currency."""

    prompt: Decimal = Decimal(0)
    completion: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.prompt < 0 or self.completion < 0:
            raise ValueError(f"prices are 0 or more; got {self.prompt} and {self.completion}")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / MILLION


class Pace:
    """Spreads `per_minute` units evenly over time: no window of a minute sees more, whatever was asked at once."""

    def __init__(self, per_minute: float, clock: Clock) -> None:
        if per_minute <= 0:
            raise ValueError(f"a limit per minute must be above 0; got {per_minute}")
        self._seconds_each = 60 / per_minute
        self._clock = clock
        self._free_at = clock.now()

    def take(self, units: float) -> float:
        """Reserve units; returns the seconds to wait before using them."""
        start = max(self._free_at, self._clock.now())
        self._free_at = start + units * self._seconds_each
        return start - self._clock.now()

    def give_back(self, units: float) -> None:
        """Units that were reserved and not used."""
        self._free_at -= units * self._seconds_each


class CeilingReached(Exception):
    """The next request could cost more than what is left, and nothing in flight can free any of it."""


class Budget:
    """Keeps known cost plus the worst case of everything in flight at or below a ceiling.

    Args:
        ceiling: the most that may be spent; None: no limit.
        before: what earlier runs have spent, or can have: tries that a kill left open count at their worst.
    """

    def __init__(self, ceiling: Decimal | None, before: Decimal = Decimal(0)) -> None:
        self._ceiling = ceiling
        self._spent = before
        self._in_flight: list[Decimal] = []
        self._changed = asyncio.Event()

    async def reserve(self, worst: Decimal) -> None:
        """Wait until a request that costs at most `worst` is affordable.

        Raises:
            CeilingReached: it never will be.
        """
        while self._ceiling is not None and self._spent + sum(self._in_flight) + worst > self._ceiling:
            if not self._in_flight:
                raise CeilingReached(
                    f"{self._spent:.4f} of {self._ceiling} are spent, and the next request may cost {worst:.4f}"
                )
            self._changed.clear()
            await self._changed.wait()
        self._in_flight.append(worst)

    def settle(self, worst: Decimal, cost: Decimal) -> None:
        """The request ended and cost that much."""
        self._in_flight.remove(worst)
        self._spent += cost
        self._changed.set()


FREE = Prices()


def backoff(tries: int, seed: str) -> float:
    """Seconds to wait after so many failed tries: half fixed, half drawn, doubling up to a minute."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 16))
    return longest * (0.5 + random.Random(f"{seed}/{tries}").random() / 2)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    if text is None or (seconds := _number(text)) is not None:
        return None if text is None else seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _number(text: str | None) -> float | None:
    """A finite number of 0 or more; None for anything else."""
    try:
        value = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    return float(value) if value.is_finite() and value >= 0 else None
