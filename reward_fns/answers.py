"""The one answer comparer: whether two answers are the same, by tiers, cheap first.

Serves the section "Domains" of the design. A tier that is not *sure* passes on: text, exact numbers, choice
letters, exact formulas, then tuples, sets, intervals, lists, matrices and equations by their `parts`. What is
still open goes to math-verify in a worker process (`symbolic`), within one budget of time for each call of
`is_equivalent` or `compute_score`. `tier_counts` says who decided. Everything here is total, linear in the
capped input, and evaluates no text.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from functools import lru_cache

from reward_fns import exact
from reward_fns.cleaning import clean
from reward_fns.commas import separated
from reward_fns.equations import without_names
from reward_fns.exact import Arithmetic, TooHardError, TooLargeError, Value
from reward_fns.expressions import FUNCTIONS, GREEK, is_too_large, read_expression
from reward_fns.match import Match
from reward_fns.numbers import Number, read_number, without_unit
from reward_fns.parts import compare_parts
from reward_fns.rewording import reworded
from reward_fns.structures import split_condition
from reward_fns.symbolic import Unavailable, one_budget, same_by_math_verify

__all__ = ["Match", "clean", "compare", "is_equivalent", "judge", "same_answer", "surely_same", "tier_counts"]

MAX_CHARS = 1_000
"""Longer answers are equal only when their texts are."""

MAX_OPEN_CHARS = 300
"""Longer answers are compared as text, number and formula only."""

MAX_DEPTH = 3


def is_equivalent(prediction: str, gold: str, domain: str = "math") -> bool:
    """Whether `prediction`, as a model wrote it, is the answer `gold` in that domain. Never raises on text.

    Raises:
        ValueError: no domain of that name.
    """
    from reward_fns import domains  # the domains import this module

    judging = domains.get(domain)
    with one_budget():
        read = judging.extract(prediction)
        return read is not None and judging.equivalent(read, gold)


def judge(prediction: str, gold: str) -> Match:
    """What the tiers say of two mathematical answers, `TIMEOUT` included; counts which tier decided."""
    verdict, tier = _cheap(prediction, gold)
    if verdict is Match.UNSURE and tier != "long":
        verdict, tier = _symbolic(prediction, gold)
    with _lock:
        _counts[f"{tier}:{verdict.value}"] += 1
    return verdict


def same_answer(prediction: str, gold: str) -> bool:
    """Whether two mathematical answers are surely the same, by all tiers."""
    return judge(prediction, gold) is Match.SAME


def surely_same(one: str, other: str) -> bool:
    """Whether two answers are the same for the cheap tiers alone: no worker, no waiting."""
    return _cheap(one, other)[0] is Match.SAME


def tier_counts() -> dict[str, int]:
    """How often each tier decided since the start of this process, as `tier:verdict`."""
    with _lock:
        return dict(_counts)


_counts: Counter[str] = Counter()
_lock = threading.Lock()


def _cheap(prediction: str, gold: str) -> tuple[Match, str]:
    prediction, gold = prediction.strip(), gold.strip()
    if prediction == gold:
        return (Match.SAME if prediction else Match.DIFFERENT), "exact"
    if len(prediction) > MAX_CHARS or len(gold) > MAX_CHARS:
        return Match.UNSURE, "long"
    return _cached(prediction, gold)


@lru_cache(maxsize=16_384)
def _cached(prediction: str, gold: str) -> tuple[Match, str]:
    return compare(prepared(prediction), prepared(gold))


def prepared(text: str) -> str:
    """The text as `compare` takes it: cleaned, with the commas told apart."""
    return separated(clean(text))


def _symbolic(prediction: str, gold: str) -> tuple[Match, str]:
    one, other = (reworded(prepared(text)) for text in (prediction, gold))
    if one == other:
        return Match.SAME, "text"
    try:
        return same_by_math_verify(one, other), "symbolic"
    except Unavailable as error:
        return Match.UNSURE, f"symbolic ({error})"


def compare(prediction: str, gold: str, depth: int = 0) -> tuple[Match, str]:
    """Compare two `prepared` answers by the cheap tiers; also which tier decided."""
    if not prediction or not gold:
        return Match.DIFFERENT, "empty"
    if _bare(prediction) == _bare(gold):
        return Match.SAME, "text"
    if any(sign in text for text in (prediction, gold) for sign in ("=", "\\in")):
        prediction, gold = without_names(prediction, gold)
    if depth == 0:
        bodies = _under_one_condition(prediction, gold)
        if bodies is None:
            return Match.AMBIGUOUS, "words"
        prediction, gold = bodies
    number, gold_number = read_number(prediction), read_number(gold)
    if number is not None and gold_number is not None:
        return _compare_numbers(number, gold_number), "number"
    letter, gold_letter = choice_letter(prediction), choice_letter(gold)
    if letter is not None and gold_letter is not None:
        return (Match.SAME if letter == gold_letter else Match.DIFFERENT), "choice"
    verdict = _compare_formulas(prediction, gold, number, gold_number)
    if verdict is not Match.UNSURE:
        return verdict, "formula"
    if _is_wordy(prediction) or _is_wordy(gold):
        same = _bare(prediction).casefold() == _bare(gold).casefold()
        return (Match.SAME if same else Match.AMBIGUOUS), "words"
    if _UNREAD.search(prediction) or _UNREAD.search(gold):
        return Match.AMBIGUOUS, "characters"
    if max(len(prediction), len(gold)) > MAX_OPEN_CHARS:
        return Match.AMBIGUOUS, "long"
    if depth < MAX_DEPTH:

        def deeper(one: str, other: str) -> Match:
            return compare(one, other, depth + 1)[0]

        return compare_parts(prediction, gold, deeper, outermost=depth == 0), "parts"
    return Match.UNSURE, "none"


def _under_one_condition(prediction: str, gold: str) -> tuple[str, str] | None:
    """Both without the conditions under which they hold; None where these may differ."""
    (body, condition), (gold_body, gold_condition) = split_condition(prediction), split_condition(gold)
    if condition != gold_condition and (
        not condition or not gold_condition or compare(condition, gold_condition, 1)[0] is not Match.SAME
    ):
        return None
    return body, gold_body


def choice_letter(text: str) -> str | None:
    """The option that a text like `B`, `(b)`, `B.` or `(B) five` names, upper case; None if none surely."""
    match = _CHOICE.fullmatch(text)
    return (match[1] or match[2]).upper() if match else None


_CHOICE = re.compile(r"\(([A-Ja-j])\)(?: .*)?|([A-J])[.:)]?", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]+")
_IDLE_BLANK = re.compile(r"(?<![0-9A-Za-z.]) | (?![0-9A-Za-z.])")
_COMMAND_BLANK = re.compile(r"(\\[A-Za-z]+) (?![A-Za-z])")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{3,}|(?<![A-Za-z])(?:no|on)(?![A-Za-z])", re.IGNORECASE)
_KNOWN_WORDS = FUNCTIONS | GREEK | {"and", "sqrt", "matrix", "pmatrix", "bmatrix", "cases", "array"}
_UNREAD = re.compile(r"(?<![_^])[0-9] [0-9]|[^ -&(-~°]|\|\||\.\.|\\[lc]?dots(?![A-Za-z])")
_ARITHMETIC = re.compile(r"(?:[-+*/()0-9., ]|\\(?:cdot|times|div)(?![A-Za-z]))*")
_SUMMED = re.compile(r"[+*]|\\(?:cdot|times)|[0-9)}] ?-")


def _bare(text: str) -> str:
    """Words without case, formulas without the blanks that separate nothing (`1 2` is not `12`)."""
    if " " not in text and not text.isalpha():
        return text
    return text.casefold() if _WORDS.fullmatch(text) else _IDLE_BLANK.sub("", _COMMAND_BLANK.sub(r"\1", text))


def _is_wordy(text: str) -> bool:
    """Ordinary words stand in it: they would be read as products of letters."""
    return any(word not in _KNOWN_WORDS for word in _WORD.findall(_COMMAND.sub(" ", text)))


def _compare_numbers(number: Number, gold: Number) -> Match:
    """Unit policy: a unit on one side only is ignored, two different units are not compared.

    A percent equals the bare number before the sign and that number over 100, as answers to "what percent"
    are written either way. Only where the gold answer is a bare number below 1, `0.5%` is not 0.5.
    """
    if number.unit and gold.unit and number.unit != gold.unit:
        return Match.AMBIGUOUS
    if number.percent == gold.percent:
        same = number.value == gold.value
    elif (gold if number.percent else number).unit:
        return Match.AMBIGUOUS
    elif number.percent:
        same = gold.value == number.value / 100 or (gold.value == number.value and abs(gold.value) >= 1)
    else:
        same = number.value in (gold.value, gold.value / 100)
    if same:
        return Match.SAME
    return Match.AMBIGUOUS if number.unit != gold.unit else Match.DIFFERENT


def _compare_formulas(prediction: str, gold: str, number: Number | None, gold_number: Number | None) -> Match:
    one, unit = _formula(prediction, number)
    other, gold_unit = _formula(gold, gold_number)
    if one is None or other is None:
        return Match.AMBIGUOUS if is_too_large(prediction) or is_too_large(gold) else Match.UNSURE
    if gold_number and not number and _SUMMED.search(prediction) and _ARITHMETIC.fullmatch(prediction):
        return Match.AMBIGUOUS  # `9 + 9` is 18 not worked out
    if unit and gold_unit and unit != gold_unit:
        return Match.AMBIGUOUS
    verdict = _compare_values(one, other)
    if verdict is Match.DIFFERENT and prediction.endswith("%") != gold.endswith("%"):
        return Match.UNSURE  # `25\pi%` may be meant as `25\pi`
    return verdict


def _formula(text: str, number: Number | None) -> tuple[Value | None, str]:
    if number is not None:
        return exact.number(number.value / 100 if number.percent else number.value), number.unit
    body, unit = without_unit(text.removesuffix("%"))
    return read_expression(f"({body})/100" if text.endswith("%") else body), unit


def _compare_values(one: Value, other: Value) -> Match:
    try:
        if Arithmetic().equal(one, other):
            return Match.SAME
    except TooHardError as error:
        return Match.AMBIGUOUS if isinstance(error, TooLargeError) else Match.UNSURE
    if one.is_huge() or other.is_huge():
        return Match.AMBIGUOUS
    return Match.DIFFERENT if one.is_complete() and other.is_complete() else Match.UNSURE
