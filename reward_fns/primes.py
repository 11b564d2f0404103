"""Prime factors of whole numbers, of huge ones where they are powers of small primes, as those in answers are."""

from __future__ import annotations

from math import isqrt

MAX_PRIME = 10**4
"""Numbers with two different prime factors over this are not factored: that would take long."""


def prime_factors(value: int) -> dict[int, int] | None:
    """The primes of a whole number that is not negative, with their powers; none for 0. None if it is not factored."""
    found: dict[int, int] = {}
    divisor = 2
    while divisor * divisor <= value and divisor <= MAX_PRIME:
        value, times = _without(value, divisor)
        if times:
            found[divisor] = times
        divisor += 1 if divisor == 2 else 2
    for rest, times in ((value, 1), (isqrt(value), 2)):
        if 1 < rest <= MAX_PRIME**2 and rest**times == value:
            return found | {rest: times}
    return None if value > 1 else found


def _without(value: int, factor: int) -> tuple[int, int]:
    """The value with every power of a factor divided out, and how many there were; in few divisions."""
    if value % factor:
        return value, 0
    rest, pairs = _without(value // factor, factor * factor)
    if rest % factor:
        return rest, 2 * pairs + 1
    return rest // factor, 2 * pairs + 2
