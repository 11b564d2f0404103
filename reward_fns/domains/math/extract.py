"""One mathematical answer in canonical text, and the final answer of a text in the domain `math`.

Serves the section "Domains" of the design. Which of the answers in a text is the final one is decided in
`reward_fns.domains.final_answer`. A hedge is no answer. Linear in the text.
"""

from __future__ import annotations

import re

from reward_fns.answers import MAX_CHARS, Match, clean, compare, prepared, surely_same
from reward_fns.domains.final_answer import A_LINE, ANSWER_LINE, HASHES
from reward_fns.domains.final_answer import final_answer as find_final
from reward_fns.numbers import read_number, render_number

MAX_ANSWER_CHARS = 300
"""Longer texts are no answer, unless they are one number."""

_HEDGE = re.compile(
    r"\b(?:either|maybe|perhaps|possibly|probably|alternatively|versus|vs|not sure|between|guess)\b"
    r"|[?;]",
    re.IGNORECASE,
)
_DIGITS = re.compile(rf"[-+]?[0-9.,]{{1,{MAX_CHARS - 1}}}")
_OR = re.compile(r"\bor\b|\\(?:lor|vee)(?![A-Za-z])", re.IGNORECASE)
_STATED = re.compile(r".*?(?:[=<>]|\\(?:le|ge|lt|gt|neq)(?![A-Za-z]))| ?[(\[].*,.*[)\]] ?\Z")
"""`x < 1 or x > 2`, `x = 1 or x = 2` and `(1, 2) or (3, 4)` are one answer each, `1 or 2` is none."""
_NO_UNITS = frozenset(
    ["wrong", "incorrect", "false", "never", "nope", "unlikely", "ish", "approx", "approximately", "roughly"]
)
"""Words that stand where a unit stands and take the number back."""


def final_answer(text: str) -> str | None:
    """The canonical final answer in `text`; None if there is none, it is hedged, or several differ."""
    return find_final(text, canonical, surely_same, _contradicts, lines=(HASHES, A_LINE, ANSWER_LINE))


def canonical(answer: str) -> str | None:
    """One answer in canonical text: a bare number as `-3` or `7/2`, else cleaned text.

    None for a hedge, an empty text, or one too long to be an answer.
    """
    answer = answer.strip()
    if not answer or "\n" in answer or (len(answer) > MAX_ANSWER_CHARS and not _DIGITS.fullmatch(answer)):
        return None
    cleaned = clean(answer)
    alternatives = _OR.split(cleaned)
    if _HEDGE.search(cleaned) or (len(alternatives) > 1 and not all(map(_STATED.match, alternatives))):
        return None
    number = read_number(cleaned)
    if number is None:
        return cleaned or None
    if _NO_UNITS.intersection(number.unit.split()):
        return None
    return cleaned if number.percent or number.unit else render_number(number.value)


def _contradicts(one: str, other: str) -> bool:
    return compare(prepared(one), prepared(other))[0] is Match.DIFFERENT
