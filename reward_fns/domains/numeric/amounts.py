"""Amounts as financial reports write them: parentheses for negatives, scale letters, percent, basis points.

Serves the section "Domains" of the design. On top of `reward_fns.numbers`, which reads the number itself.
Values stay exact, nothing is evaluated, and what is not surely one amount is none.
"""

from __future__ import annotations

import re
from dataclasses import replace

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
_ROUNDED = re.compile(
    rf"[0-9]?\.[0-9]|%|percent|{'|'.join(SCALES)}|[0-9] ?(?:{'|'.join(_SCALE_LETTERS)})\b", re.IGNORECASE
)
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
    value = number.value / 100 if points else number.value
    return replace(number, value=-value if negative else value)


def render_amount(number: Number) -> str:
    """The canonical text of an amount, which `read_amount` reads back."""
    return render_number(number.value) + "%" * number.percent + (f" {number.unit}" if number.unit else "")


def was_rounded(gold: str) -> bool:
    """Whether a gold answer is written as rounded numbers are: with decimals, a percent sign or a scale word."""
    return _ROUNDED.search(gold) is not None
