"""Amounts as financial reports write them: parentheses for negatives, scale letters, percent, basis points.

Serves the section "Domains" of the design. On top of `reward_fns.numbers`, which reads the number itself.
Values stay exact, nothing is evaluated, and what is not surely one amount is none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from reward_fns.answers import clean
from reward_fns.numbers import SCALES, Number, read_number, render_number

MAX_AMOUNT_CHARS = 120

_SCALE_LETTERS = {
    "k": "thousand",
    "m": "million",
    "mm": "million",
    "mn": "million",
    "mln": "million",
    "b": "billion",
    "bn": "billion",
    "tn": "trillion",
}
_ABOUT = re.compile(r"(?:about|approximately|approx\.?|around|roughly|[~≈]) ?", re.IGNORECASE)
_LETTER = re.compile(
    rf"(?<=[0-9]) ?({'|'.join(sorted(_SCALE_LETTERS, key=len, reverse=True))})(?![A-Za-z])", re.IGNORECASE
)
_NEGATIVE = re.compile(
    r"(?P<before>[$€£¥₹]?) ?\( ?(?P<inner>[$€£¥₹]? ?[0-9.][^()+-]*?) ?\)(?P<after>(?: ?%| [A-Za-z ]+)?)"
)
_TIMES = re.compile(r"(?<=[0-9]) ?(?:x|times|\\times)\Z", re.IGNORECASE)
_POINTS = re.compile(r"(?:basis points?|bps|bp)\Z", re.IGNORECASE)
_PERCENT_POINTS = re.compile(r"(?:percentage points?|per cent|percents?|pp)\Z", re.IGNORECASE)
_SMALL_SCALES = {power: name for name, power in SCALES.items() if power <= 3}
_DENIALS = frozenset(
    ["wrong", "incorrect", "false", "never", "nope", "unlikely", "maybe", "perhaps", "probably", "possibly"]
)


def read_amount(text: str) -> Number | None:
    """One amount, sign and scale applied; None if the text is not surely one. Basis points become percent."""
    if len(text) > MAX_AMOUNT_CHARS:
        return None
    cleaned = clean(text.strip(" \t\n*_`\"'"))
    about = _ABOUT.match(cleaned)
    cleaned = _LETTER.sub(
        lambda match: f" {_SCALE_LETTERS[match[1].lower()]}", cleaned[about.end() if about else 0 :]
    )
    negative = _NEGATIVE.fullmatch(cleaned)
    if negative:
        if negative["before"] and negative["inner"][0] in "$€£¥₹":
            return None
        cleaned = negative["before"] + negative["inner"] + negative["after"]
    cleaned = _TIMES.sub("", cleaned)
    points = _POINTS.search(cleaned)
    cleaned = cleaned[: points.start()].rstrip() + "%" if points else _PERCENT_POINTS.sub("%", cleaned)
    number = read_number(cleaned)
    if number is None or number.unit in _SCALE_LETTERS or _DENIALS.intersection(number.unit.split()):
        return None
    value = -number.value if negative else number.value
    return replace(number, value=value / 100, decimals=None) if points else replace(number, value=value)


def render_amount(number: Number) -> str:
    """The canonical text of an amount, which `read_amount` reads back.

    Zeros at the end of decimals stay, as they say how far it was rounded, and so do the words hundred and thousand: where
    the answer is asked for in millions, `5 thousand` is not 5.
    """
    small = _SMALL_SCALES.get(number.scale) if not number.unit and not number.percent else None
    value = number.value / 10**number.scale if small else number.value
    written = render_number(value)
    if number.decimals and not number.scale and number.decimals > (_decimals(value) or 0):
        whole, tail = divmod(
            abs(value.numerator) * 10**number.decimals // value.denominator, 10**number.decimals
        )
        written = f"{'-' * (value < 0)}{whole}.{tail:0{number.decimals}d}"
    return written + "%" * number.percent + "".join(f" {word}" for word in (small, number.unit) if word)


def last_digit(number: Number) -> Fraction:
    """One unit of the last digit that was given, on the scale of the value; 0 where it has no end, as for 1/3."""
    decimals = number.decimals
    if decimals is None:
        decimals = _decimals(number.value / 10**number.scale)
    return Fraction(0) if decimals is None else Fraction(10) ** (number.scale - decimals)


def _decimals(value: Fraction) -> int | None:
    """How many digits its decimals have; None if they never end, or after very many."""
    return next((n for n in range(MAX_AMOUNT_CHARS) if 10**n % value.denominator == 0), None)
