"""The domain `numeric`: numbers out of financial reports, as in FinQA and TAT-QA, and yes or no.

Serves the section "Domains" of the design. What counts as the same number:

* Values are exact rationals. Scale words multiply (`$1.2 million`, `1.2M`, `3bn`); an amount in a table's own
  thousands is another number.
* A number in parentheses is negative, as in accounts: `(5.2)`, `$(1,200)`, `(3.1%)`.
* A percent equals the bare number before the sign and that number over 100, as answers are written either way.
  100 basis points (`bps`) are one percent; percentage points are percent.
* A unit or currency on one side only is ignored; two different ones are never the same answer.
* `TOLERANCE` (ours): where the gold answer was rounded, that is written with a decimal point, a percent sign or a
  scale word, a value within 1/200 of it is right. Other gold answers (years, counts, whole amounts) are exact.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import ClassVar

from reward_fns.domains.base import Domain, Rule, rules_beside
from reward_fns.domains.final_answer import A_LINE, ANSWER_LINE, HASHES, final_answer
from reward_fns.domains.numeric.amounts import read_amount, render_amount, was_rounded
from reward_fns.numbers import Number

TOLERANCE = Fraction(1, 200)
"""Largest difference from a rounded gold answer, relative to it."""

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
        wanted = self.extract(gold)
        if wanted is None:
            return False
        return _same(prediction, wanted, TOLERANCE if was_rounded(gold) else Fraction(0))


def _canonical(text: str) -> str | None:
    word = text.strip(" \t\n*_`\"'.").casefold()
    if word in _WORDS:
        return word
    amount = read_amount(text)
    if amount is None:
        return None
    rendered = render_amount(amount)
    return rendered if read_amount(rendered) == amount else None


def _same(prediction: str, wanted: str, tolerance: Fraction = Fraction(0)) -> bool:
    if prediction == wanted:
        return True
    amount, gold = read_amount(prediction), read_amount(wanted)
    if amount is None or gold is None or (amount.unit and gold.unit and amount.unit != gold.unit):
        return False
    return any(abs(value - gold.value) <= tolerance * abs(gold.value) for value in _values(amount, gold))


def _values(amount: Number, gold: Number) -> tuple[Fraction, ...]:
    """What `amount` may stand for on the gold answer's scale of percent."""
    if amount.percent == gold.percent:
        return (amount.value,)
    return (amount.value, amount.value / 100 if amount.percent else amount.value * 100)


DOMAIN = NumericDomain()
