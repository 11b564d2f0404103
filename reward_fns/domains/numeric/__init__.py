"""The domain `numeric`: numbers out of financial reports, as in FinQA and TAT-QA, and yes or no.

Serves the section "Domains" of the design. What counts as the same number:

* Values are exact rationals. Scale words multiply (`$1.2 million`, `1.2M`, `3bn`); an amount in a table's own
  thousands is another number.
* A number in parentheses is negative, as in accounts: `(5.2)`, `$(1,200)`, `(3.1%)`.
* A percent equals the bare number before the sign and that number over 100, as answers are written either way.
  100 basis points (`bps`) are one percent; percentage points are percent.
* A unit or currency on one side only is ignored; two different ones are never the same answer.
* Where the gold answer has a scale word, a bare number may be on that scale: with the gold `-1642 million dollars` both
  `-1642` and `-1,642,000,000` are right, `-1642 dollars` is not. The domain does not see the question, which says it.
* Rounding: a gold answer written with decimals is right as what rounds to it at its own last digit, and as what it
  rounds to at the answer's last digit, if that answer has `MIN_DIGITS` digits: for `0.1371` that is `13.7%`, not `14%`.
  All other gold answers (years, counts, whole amounts, whole millions and percents) are exact.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import ClassVar

from reward_fns.domains.base import Domain, Rule, rules_beside
from reward_fns.domains.final_answer import A_LINE, ANSWER_LINE, HASHES, final_answer
from reward_fns.domains.numeric.amounts import last_digit, read_amount, render_amount
from reward_fns.numbers import Number

TOLERANCE = Fraction(1, 2)
"""Largest difference that rounding makes, in units of the last digit."""

MIN_DIGITS = 3
"""An answer rounded to fewer digits that count is another number."""

_LINES = (HASHES, A_LINE, ANSWER_LINE)
_WORDS = ("yes", "no")


class NumericDomain(Domain):
    """Numbers with units, percent, scale and sign; yes or no."""

    name: ClassVar[str] = "numeric"

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return rules_beside(__package__)

    def extract(self, answer_text: str) -> str | None:
        """The amount as `-3`, `57/10%` or `1200000 dollar`, or `yes` or `no`."""
        return final_answer(answer_text, _canonical, _same, lambda a, b: not _same(a, b), _LINES)

    def equivalent(self, prediction: str, gold: str) -> bool:
        wanted = final_answer(gold, _written, _same, lambda a, b: not _same(a, b), _LINES)
        return wanted is not None and (_same(prediction, wanted) or _rounds(prediction, wanted))


def _canonical(text: str) -> str | None:
    word = text.strip(" \t\n*_`\"'.").casefold()
    if word in _WORDS:
        return word
    amount = read_amount(text)
    if amount is None:
        return None
    rendered = render_amount(amount)
    return rendered if read_amount(rendered) == amount else None


def _written(text: str) -> str | None:
    """One answer as it was written, with all its digits."""
    return None if _canonical(text) is None else text.strip(" \t\n*_`\"'.").casefold()


def _same(prediction: str, wanted: str) -> bool:
    if prediction == wanted:
        return True
    amount, gold = read_amount(prediction), read_amount(wanted)
    if amount is None or gold is None or not _comparable(amount, gold):
        return False
    return any(factor * amount.value == gold.value for factor in _percents(amount, gold))


def _rounds(prediction: str, wanted: str) -> bool:
    """Whether one of them is the other rounded, or the prediction is on the gold answer's scale."""
    amount, gold = read_amount(prediction), read_amount(wanted)
    if amount is None or gold is None or not _comparable(amount, gold):
        return False
    factors = list(_percents(amount, gold))
    if gold.scale and not (amount.scale or amount.unit or amount.percent):
        factors.append(Fraction(10) ** gold.scale)
    digit = last_digit(amount)
    rounded = TOLERANCE * digit if digit and abs(amount.value) >= 10 ** (MIN_DIGITS - 1) * digit else 0
    for factor in factors:
        gap = abs(factor * amount.value - gold.value)
        allowed = max(TOLERANCE * last_digit(gold), factor * rounded) if gold.decimals and gold.value else 0
        if gap <= allowed:
            return True
    return False


def _comparable(amount: Number, gold: Number) -> bool:
    return not (amount.unit and gold.unit) or amount.unit == gold.unit


def _percents(amount: Number, gold: Number) -> tuple[Fraction, ...]:
    """What to multiply `amount` by, so that it may stand on the gold answer's scale of percent."""
    if amount.percent == gold.percent:
        return (Fraction(1),)
    return (Fraction(1), Fraction(1, 100) if amount.percent else Fraction(100))


DOMAIN = NumericDomain()
