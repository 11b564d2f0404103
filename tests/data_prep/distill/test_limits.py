"""Pace, budget and waits, without waiting."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from data_prep.distill.limits import Budget, CeilingReached, Clock, Pace, Prices, backoff, retry_after

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


class Stopwatch(Clock):
    """Time goes on only when someone sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        return self._until(self.time + seconds)

    async def _until(self, due: float) -> None:
        await asyncio.sleep(0)
        self.time = max(self.time, due)


def test_no_minute_sees_more_than_the_limit() -> None:
    clock = Stopwatch()
    pace = Pace(30, clock)
    starts = []
    for number in range(200):
        clock.time += pace.take(1)
        starts.append(clock.time)
        clock.time += (number % 7) * 0.5
    busiest = max(sum(start <= other < start + 60 for other in starts) for start in starts)
    assert busiest <= 30


def test_unused_units_are_given_back() -> None:
    clock = Stopwatch()
    pace = Pace(60, clock)
    assert pace.take(10) == 0
    pace.give_back(8)
    assert pace.take(1) == 2


def test_prices() -> None:
    assert Prices(Decimal("0.5"), Decimal(2)).cost(1000, 500) == Decimal("0.0015")
    with pytest.raises(ValueError, match="0 or more"):
        Prices(Decimal(-1), Decimal(0))


def test_the_worst_case_in_flight_counts_against_the_ceiling() -> None:
    async def scene() -> list[str]:
        budget, said = Budget(Decimal(10), before=Decimal(3)), []

        async def spend(name: str, worst: int, cost: int) -> None:
            await budget.reserve(Decimal(worst))
            said.append(f"{name} begins")
            await asyncio.sleep(0.01)
            budget.settle(Decimal(worst), Decimal(cost))
            said.append(f"{name} ends")

        await asyncio.gather(spend("a", 4, 1), spend("b", 4, 2))
        with pytest.raises(CeilingReached, match=r"6\.0000 of 10"):
            await budget.reserve(Decimal(5))
        return said

    assert asyncio.run(scene()) == ["a begins", "a ends", "b begins", "b ends"]


def test_backoff_doubles_up_to_a_minute_and_is_drawn_from_the_seed() -> None:
    waits = [backoff(tries, "key") for tries in range(1, 12)]
    assert (
        waits
        == [backoff(tries, "key") for tries in range(1, 12)]
        != [backoff(t, "other") for t in range(1, 12)]
    )
    assert all(
        min(2 ** (n - 1), 60) / 2 <= wait <= min(2 ** (n - 1), 60) for n, wait in enumerate(waits, start=1)
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 GMT"}, 30),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds
