"""Exact arithmetic on small formulas: fractions of sums of rational multiples of roots, pi and letters.

Serves the section "Domains" of the design (one answer comparer). A monomial is a product of powers of atoms:
`√p` for a prime p, `π`, `i`, letters, and opaque atoms for what is not computed (`sin`, letters in exponents).
Without opaque atoms two values are equal exactly when their cross products have the same terms: different
roots of primes are linearly independent over the rationals, pi is transcendental, letters are free. With
opaque atoms equal terms still mean equal values, but different terms mean nothing.

Numbers are compared by all their digits. Every step is counted and every number capped, so no formula takes long:
`TooHardError` is the way out. A power over the cap stays a product of prime powers, of which only equality is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial, floor, log2, prod
from typing import TypeAlias

from reward_fns.primes import prime_factors

MAX_STEPS = 4_000
"""Products of two terms that one comparison may need."""

MAX_BITS = 200_000
"""About 60,000 digits: larger coefficients are not computed."""

MAX_WORK = 10**11
"""Products of bits that one comparison may need, as the common divisor of two numbers takes: a tenth of a second."""

PRIMES_WORK, TERM_WORK = 3 * 10**5, 5 * 10**4
"""What a bit of a number to be factored and a term of a sum take beside that."""

MAX_POWER = 24
MAX_POWER_ANYWHERE = 200
MAX_EXPONENT = 10**30
MAX_FACTORIAL = 10_000
MAX_ROOT = 12
MAX_SHIFT = 6

MAX_KEY_CHARS = 2_000
"""Opaque atoms stand in each other's names, so these could grow without bound."""

Rational: TypeAlias = int | Fraction
"""Whole numbers stay `int`, which is many times faster; nothing here divides two of them."""

Monomial = tuple[tuple[str, Rational], ...]
Terms = dict[Monomial, Rational]

OPAQUE = "?"
"""First character of the atoms of which only equality is known."""

HUGE = "?^"
"""In the name of atoms for primes whose powers are over the cap."""

_ONE: Terms = {(): 1}


class TooHardError(Exception):
    """The formula is not one that this module computes."""


class TooLargeError(TooHardError):
    """It is so large that nobody should try."""


@dataclass(frozen=True)
class Value:
    """`top / bottom`; the terms of the bottom are never all gone."""

    top: Terms
    bottom: Terms

    def rational(self) -> Rational | None:
        """The value as a plain rational number; None if it is none."""
        if self.bottom != _ONE or any(self.top.keys() - {()}):
            return None
        return self.top.get((), 0)

    def is_complete(self) -> bool:
        """No opaque atom: what differs from it is different."""
        return not any(atom.startswith(OPAQUE) for atom in self._atoms())

    def is_huge(self) -> bool:
        """It holds a power over the cap: no tier should work on it."""
        return any(HUGE in atom for atom in self._atoms())

    def _atoms(self) -> Iterator[str]:
        return (atom for monomial in (*self.top, *self.bottom) for atom, _ in monomial)

    def key(self) -> str:
        """A text that only equal values share."""
        return "/".join(
            " + ".join(f"{_name(factor)} {monomial}" for monomial, factor in sorted(terms.items()))
            for terms in (self.top, self.bottom)
        )


def number(value: Rational) -> Value:
    """A rational number."""
    return Value({(): _capped(value)} if value else {}, _ONE)


def atom(name: str) -> Value:
    """A letter, `π` or `i`."""
    return Value({((name, 1),): 1}, _ONE)


def opaque(name: str, *arguments: Value) -> Value:
    """Something that is not computed: equal only where name and arguments are."""
    key = "; ".join(argument.key() for argument in arguments)
    if len(key) > MAX_KEY_CHARS:
        raise TooHardError("nesting")
    return atom(f"{OPAQUE}{name}({key})")


class Arithmetic:
    """Sums, products, quotients and powers within one budget of steps."""

    def __init__(self) -> None:
        self._left = MAX_STEPS
        self._work = MAX_WORK

    def equal(self, one: Value, other: Value) -> bool:
        """Whether the values have the same terms."""
        if one.bottom == other.bottom:
            return one.top == other.top
        return self._times(one.top, other.bottom) == self._times(other.top, one.bottom)

    def proportional(self, one: Value, other: Value) -> bool:
        """Whether one top is a non-zero rational multiple of the other."""
        if not one.top or one.top.keys() != other.top.keys():
            return False
        ratios = {Fraction(one.top[monomial]) / other.top[monomial] for monomial in one.top}
        return len(ratios) == 1

    def add(self, one: Value, other: Value) -> Value:
        if one.bottom == other.bottom:
            return self._value(self._plus(one.top, other.top), one.bottom)
        top = self._plus(self._times(one.top, other.bottom), self._times(other.top, one.bottom))
        return self._value(top, self._times(one.bottom, other.bottom))

    def negate(self, value: Value) -> Value:
        return Value({monomial: -factor for monomial, factor in value.top.items()}, value.bottom)

    def multiply(self, one: Value, other: Value) -> Value:
        return self._value(self._times(one.top, other.top), self._times(one.bottom, other.bottom))

    def divide(self, one: Value, other: Value) -> Value:
        if not other.top:
            raise TooHardError("division by zero")
        return self._value(self._times(one.top, other.bottom), self._times(one.bottom, other.top))

    def power(self, base: Value, exponent: Value) -> Value:
        """`base ^ exponent`: whole powers of anything small, rational powers of single positive terms."""
        rational = exponent.rational()
        if rational is None:
            return opaque("power", base, exponent)
        if rational.denominator == 1:
            return self._whole_power(base, int(rational))
        return self._root(base, rational)

    def factorial(self, value: Value) -> Value:
        """`n!` for small n; of a sum with a small whole number, as `(n+2)!`, that of the rest with the factors between."""
        rational = value.rational()
        if rational is not None:
            return number(factorial(_factor_of(value)))
        shift: Rational = value.top.get((), 0)
        if value.bottom != _ONE or shift.denominator != 1 or not -MAX_SHIFT <= shift <= MAX_SHIFT:
            return opaque("factorial", value)
        rest = self.add(value, number(-shift))
        result = opaque("factorial", rest)
        for i in range(1, int(shift) + 1):
            result = self.multiply(result, self.add(rest, number(i)))
        for i in range(int(shift) + 1, 1):
            result = self.divide(result, self.add(rest, number(i)))
        return result

    def double_factorial(self, value: Value) -> Value:
        """`n!!`, the product of every second number."""
        if value.rational() is None:
            return opaque("double factorial", value)
        return number(prod(range(_factor_of(value), 0, -2)))

    def binomial(self, top: Value, bottom: Value) -> Value:
        """`n` choose `k`: a number where both are, else by factorials."""
        if top.rational() is not None and bottom.rational() is not None:
            n, k = whole(top, 2**MAX_BITS), whole(bottom, 2**MAX_BITS)
            if min(k, n - k) * n.bit_length() > MAX_BITS:
                raise TooLargeError("binomial")
            return number(comb(n, k))
        below = self.multiply(self.factorial(bottom), self.factorial(self.add(top, self.negate(bottom))))
        return self.divide(self.factorial(top), below)

    def logarithm(self, value: Value) -> Value:
        """`ln value` as a sum over its factors: equal where both sides are defined, as answers leave domains out."""
        if len(value.top) != 1 or len(value.bottom) != 1:
            return opaque("ln", value)
        ((above, factor),), ((below, divisor),) = value.top.items(), value.bottom.items()
        quotient = Fraction(factor) / divisor
        if quotient < 0 or any(name == "i" for name, _ in above):
            return opaque("ln", value)
        total = number(0)
        for part, sign in ((quotient.numerator, 1), (quotient.denominator, -1)):
            for prime, times in self._primes(part).items():
                total = self.add(total, _log_of(f"√{prime}", sign * times))
        for name, power in (*above, *((name, -power) for name, power in below)):
            total = self.add(total, _log_of(name, power))
        return total

    def _whole_power(self, base: Value, exponent: int) -> Value:
        if exponent < 0:
            return self._whole_power(self.divide(number(1), base), -exponent)
        if exponent == 0 and not base.top:
            raise TooHardError("0^0")
        if not base.top:
            return base
        if base.bottom == _ONE and len(base.top) == 1:
            ((monomial, factor),) = base.top.items()
            bits = log2(max(abs(factor.numerator), factor.denominator))
            if bits and exponent > MAX_BITS / bits:
                return _huge_power(base, exponent)
            more, monomial = _reduced({name: power * exponent for name, power in monomial})
            return Value({monomial: _capped(factor**exponent * more)}, _ONE)
        if exponent > MAX_POWER_ANYWHERE:
            raise TooLargeError("power of a sum")
        if exponent > MAX_POWER:
            return opaque("power", base, number(exponent))
        result = number(1)
        for _ in range(exponent):
            result = self.multiply(result, base)
        return result

    def _root(self, base: Value, exponent: Rational) -> Value:
        if not base.top and exponent > 0:
            return base
        if base.bottom != _ONE or len(base.top) != 1 or exponent.denominator > MAX_ROOT:
            return opaque("power", base, number(exponent))
        ((monomial, factor),) = base.top.items()
        free = [(name, power) for name, power in monomial if name[0] not in "√π"]
        negative = factor < 0
        if any(name[0] in f"i{OPAQUE}" for name, _ in free):
            return opaque("power", base, number(exponent))
        if exponent.denominator % 2 == 0 and (len(free) > 1 or any(power != 1 for _, power in free)):
            return opaque("power", base, number(exponent))
        if negative and (free or exponent.denominator != 2):
            return opaque("power", base, number(exponent))
        if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
            raise TooHardError("power too large")
        powers = {name: power * exponent for name, power in monomial}
        for part, sign in ((abs(factor.numerator), 1), (factor.denominator, -1)):
            for prime, times in self._primes(part).items():
                powers[f"√{prime}"] = powers.get(f"√{prime}", 0) + sign * times * exponent
        if negative:
            powers["i"] = exponent.numerator
        whole, monomial = _reduced(powers)
        return Value({monomial: whole}, _ONE)

    def _plus(self, one: Terms, other: Terms) -> Terms:
        self._spend(TERM_WORK * len(one) + _size(one) * _size(other))
        total = dict(one)
        for monomial, factor in other.items():
            total[monomial] = total.get(monomial, 0) + factor
        return {monomial: _capped(factor) for monomial, factor in total.items() if factor}

    def _times(self, one: Terms, other: Terms) -> Terms:
        if other == _ONE:
            return one
        if one == _ONE:
            return other
        self._left -= len(one) * len(other)
        if self._left < 0:
            raise TooHardError("too many terms")
        self._spend(_size(one) * _size(other))
        total: Terms = {}
        for a, factor_a in one.items():
            for b, factor_b in other.items():
                more, monomial = _joined(a, b)
                total[monomial] = total.get(monomial, 0) + _capped(factor_a * factor_b * more)
        return {monomial: factor for monomial, factor in total.items() if factor}

    def _value(self, top: Terms, bottom: Terms) -> Value:
        """With a single term below the line divided out."""
        if len(bottom) != 1 or bottom == _ONE:
            return Value(top, bottom)
        self._spend(_size(top) * _size(bottom))
        ((monomial, factor),) = bottom.items()
        more, inverse = _reduced({name: -power for name, power in monomial})
        result: Terms = {}
        for a, factor_a in top.items():
            extra, joined = _joined(a, inverse)
            result[joined] = _capped(Fraction(factor_a) / factor * more * extra)
        return Value(result, _ONE)

    def _primes(self, value: int) -> dict[int, int]:
        self._spend(PRIMES_WORK * value.bit_length())
        found = prime_factors(value)
        if found is None:
            raise TooHardError("large prime factors")
        return found

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise TooLargeError("too many digits")


def _log_of(name: str, power: Rational) -> Value:
    """`ln` of a power of one atom."""
    if name == "e":
        return number(power)
    return Value({((f"{OPAQUE}ln({name.removeprefix('√').removeprefix(HUGE)})", 1),): _simplest(power)}, _ONE)


def _huge_power(base: Value, exponent: int) -> Value:
    """A power over the cap as a product of prime powers, each with an atom of its own."""
    ((monomial, factor),) = base.top.items()
    above, below = prime_factors(abs(factor.numerator)), prime_factors(factor.denominator)
    if above is None or below is None or exponent > MAX_EXPONENT:
        raise TooLargeError("power too large")
    powers: dict[str, Rational] = {f"{HUGE}{prime}": times * exponent for prime, times in above.items()}
    powers |= {f"{HUGE}{prime}": -times * exponent for prime, times in below.items()}
    more, rest = _reduced(powers | {name: power * exponent for name, power in monomial})
    return Value({rest: more if factor > 0 or exponent % 2 == 0 else -more}, _ONE)


def _factor_of(value: Value) -> int:
    """The `n` of `n!`."""
    if (value.rational() or 0) > MAX_FACTORIAL:
        raise TooLargeError("factorial")
    return whole(value, MAX_FACTORIAL)


def whole(value: Value, most: int) -> int:
    """The value as a whole number from 0 to `most`.

    Raises:
        TooHardError: it is none.
    """
    rational = value.rational()
    if rational is None or rational.denominator != 1 or not 0 <= rational <= most:
        raise TooHardError("not a small whole number")
    return int(rational)


def _joined(one: Monomial, other: Monomial) -> tuple[Rational, Monomial]:
    if not one or not other:
        return 1, one or other
    powers = dict(one)
    for name, power in other:
        powers[name] = powers.get(name, 0) + power
    return _reduced(powers)


def _reduced(powers: dict[str, Rational]) -> tuple[Rational, Monomial]:
    """The rational factor and the rest of a product: powers of roots within [0, 1), of `i` 0 or 1."""
    factor: Rational = 1
    rest = []
    for name, power in powers.items():
        if name[0] == "√":
            times = floor(power)
            if abs(times) * (int(name[1:]).bit_length() - 1) > MAX_BITS:
                raise TooLargeError("power too large")
            factor *= Fraction(int(name[1:])) ** times if times else 1
            power -= times
        elif name == "i":
            if power % 4 >= 2:
                factor = -factor
            power %= 2
        elif not -MAX_EXPONENT <= power <= MAX_EXPONENT:
            raise TooLargeError("exponent too large")
        if power:
            rest.append((name, power))
    return factor, tuple(sorted(rest))


def _simplest(value: Rational) -> Rational:
    return value.numerator if value.denominator == 1 else value


def _size(terms: Terms) -> int:
    return sum(map(_bits, terms.values()))


def _bits(value: Rational) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _capped(value: Rational) -> Rational:
    if _bits(value) > MAX_BITS:
        raise TooLargeError("number too large")
    return _simplest(value)


def _name(value: Rational) -> str:
    """In hexadecimal digits, of which Python writes any number."""
    return f"{value.numerator:x}/{value.denominator:x}"
