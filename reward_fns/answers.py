"""The one answer comparer: whether two answers are the same, by tiers, cheap first.

Serves the section "Domains" of the design. A tier that is not *sure* passes on: text, exact numbers, choice
letters, exact formulas, then tuples, sets, intervals, lists, matrices and equations by their parts. What is
still open goes to math-verify in a worker process (`symbolic`), within one budget of time for each call of
`is_equivalent` or `compute_score`. `tier_counts` says who decided. Everything here is total, linear in the
capped input, and evaluates no text.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

from reward_fns import exact
from reward_fns.cleaning import clean
from reward_fns.equations import is_linear, read_equation, renamed, sides, without_names
from reward_fns.exact import Arithmetic, TooHardError, Value
from reward_fns.expressions import FUNCTIONS, GREEK, is_too_large, read_expression
from reward_fns.match import Match
from reward_fns.numbers import CURRENCIES, Number, read_number, read_unit, unit_of_currency
from reward_fns.ranges import RELATION, Piece, Range, read_range
from reward_fns.structures import UNORDERED, Structure, read_structure, split_condition, split_list
from reward_fns.symbolic import Unavailable, one_budget, same_by_math_verify

__all__ = ["Match", "clean", "compare", "is_equivalent", "judge", "same_answer", "surely_same", "tier_counts"]

MAX_CHARS = 1_000
"""Longer answers are equal only when their texts are."""

MAX_OPEN_CHARS = 300
"""Longer answers are compared as text, number and formula only."""

MAX_PAIRS = 400
"""Sets with more pairs of members are not compared: that takes quadratic time."""

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
    return compare(clean(prediction), clean(gold))


def _symbolic(prediction: str, gold: str) -> tuple[Match, str]:
    one, other = (_for_math_verify(clean(text)) for text in (prediction, gold))
    if one == other:
        return Match.SAME, "text"
    try:
        return same_by_math_verify(one, other), "symbolic"
    except Unavailable as error:
        return Match.UNSURE, f"symbolic ({error})"


def _for_math_verify(text: str) -> str:
    """Without unit; ranges as unions of intervals; what it misreads in other words: sums over `i`, `\\sin x \\cdot 2`."""
    found = read_range(text)
    if found is not None and found.sure:
        return str(found)
    indexes = set(_SUM_OVER.findall(text))
    if len(indexes) == 1 and "k" not in text:
        text = renamed(text, indexes.pop(), "k")
    text = _BRACED.sub(r"\1\2", text)
    return _BARE_ARGUMENT.sub(r"\1(\2)", _without_unit(text)[0])


def compare(prediction: str, gold: str, depth: int = 0) -> tuple[Match, str]:
    """Compare two cleaned answers by the cheap tiers; also which tier decided."""
    if not prediction or not gold:
        return Match.DIFFERENT, "empty"
    if _bare(prediction) == _bare(gold):
        return Match.SAME, "text"
    if any(sign in text for text in (prediction, gold) for sign in ("=", "\\in")):
        prediction, gold = without_names(prediction, gold)
    if (
        depth == 0
        and "\\begin" not in prediction + gold
        and ("for" in prediction or "\\in" in prediction or "for" in gold or "\\in" in gold)
    ):
        (prediction, condition), (gold, gold_condition) = split_condition(prediction), split_condition(gold)
        if condition != gold_condition and (
            not condition or not gold_condition or compare(condition, gold_condition, 1)[0] is not Match.SAME
        ):
            return Match.AMBIGUOUS, "words"
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
        return _compare_parts(prediction, gold, depth), "parts"
    return Match.UNSURE, "none"


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
_SET_LIKE = re.compile(r"[<>]|\\(?:cup|cap|setminus|backslash|mathbb|infty|le|ge|lt|gt|neq)(?![A-Za-z])")
_JOINED = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|\\(?:lor|vee|land|wedge)(?![A-Za-z])")
_BARE_ARGUMENT = re.compile(
    rf"(\\(?:{'|'.join(sorted(FUNCTIONS))})(?![A-Za-z])(?: ?\^ ?(?:\{{[^{{}}]*\}}|[0-9]))?) ?"
    rf"((?:[0-9.]|[A-Za-z]|\\(?:pi|{'|'.join(sorted(GREEK))})(?![A-Za-z]))+)(?= ?(?:\\cdot|\\times|\*))"
)
_SUM_OVER = re.compile(r"\\(?:sum|prod) ?_ ?\{ ?([a-z]) ?=")
_BRACED = re.compile(r"([_^]) ?\{ ?([0-9A-Za-z]) ?\}(?! ?[0-9])")
_BASED = re.compile(r"\(?([0-9A-Fa-f]+)\)? ?_ ?\{? ?\(?([0-9]+)\)? ?\}?")
_ARITHMETIC = re.compile(r"(?:[-+*/()0-9., ]|\\(?:cdot|times|div)(?![A-Za-z]))*")
_SUMMED = re.compile(r"[+*]|\\(?:cdot|times)|[0-9)}] ?-")
_UNIT_BEHIND = re.compile(r"(.*(?:[0-9})]|\\pi))( [A-Za-z][A-Za-z /]{1,40}(?: ?\^ ?\{?[23]\}?)?)", re.DOTALL)


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


def _without_unit(text: str) -> tuple[str, str]:
    """A formula and its unit, under the unit policy of numbers: `5\\sqrt{2} cm`, `$2\\pi`."""
    currency = text[0] if text[:1] in CURRENCIES else ""
    body, unit = text[len(currency) :].lstrip(), ""
    if (match := _UNIT_BEHIND.fullmatch(body)) and (read := read_unit(match[2])) and read[0] == 0:
        body, unit = match[1], read[1]
    return body, unit_of_currency(currency, unit) if currency else unit


def _compare_formulas(prediction: str, gold: str, number: Number | None, gold_number: Number | None) -> Match:
    one, unit = _formula(prediction, number)
    other, gold_unit = _formula(gold, gold_number)
    if one is None or other is None:
        return Match.AMBIGUOUS if is_too_large(prediction) or is_too_large(gold) else Match.UNSURE
    if gold_number and not number and _SUMMED.search(prediction) and _ARITHMETIC.fullmatch(prediction):
        return Match.AMBIGUOUS  # `9 + 9` is 18 not worked out
    if unit and gold_unit and unit != gold_unit:
        return Match.AMBIGUOUS
    return _compare_values(one, other)


def _formula(text: str, number: Number | None) -> tuple[Value | None, str]:
    if number is not None:
        return (None if number.percent else exact.number(number.value)), number.unit
    body, unit = _without_unit(text)
    return read_expression(body), unit


def _compare_values(one: Value, other: Value) -> Match:
    try:
        if Arithmetic().equal(one, other):
            return Match.SAME
    except TooHardError:
        return Match.UNSURE
    return Match.DIFFERENT if one.is_complete() and other.is_complete() else Match.UNSURE


def _compare_parts(prediction: str, gold: str, depth: int) -> Match:
    if "_" in prediction or "_" in gold:
        based, gold_based = _BASED.fullmatch(prediction), _BASED.fullmatch(gold)
        if based and gold_based:
            same = based.groups() == gold_based.groups()
            return Match.SAME if same else Match.AMBIGUOUS
        if based or gold_based:
            return Match.AMBIGUOUS  # 101_2 is not 101, and may be meant by it
    one_range, gold_range = read_range(prediction), read_range(gold)
    if one_range and gold_range and (one_range.sure or gold_range.sure):
        return _compare_ranges(one_range, gold_range, depth)
    for range_, single in ((one_range, gold), (gold_range, prediction)):
        if range_ is not None and range_.sure:
            if _is_finite(single) or single in ("\\infty", "-\\infty"):
                return Match.DIFFERENT
            return Match.UNSURE if _SET_LIKE.search(single) else Match.AMBIGUOUS
    one, other = (None if read_number(text) else read_structure(text) for text in (prediction, gold))
    if one is not None and other is not None:
        return _compare_structures(one, other, depth)
    if len(sides(prediction)) > 1 or len(sides(gold)) > 1:
        return _compare_equations(prediction, gold)
    for structure, single in ((one, gold), (other, prediction)):
        if structure is not None and _is_finite(single):
            if structure.kind == "set" and len(structure.members) == 1 and depth == 0:
                return compare(structure.members[0], single, depth + 1)[0]
            return Match.DIFFERENT
    if "\\infty" in (prediction + gold) and (_is_finite(prediction) or _is_finite(gold)):
        return Match.DIFFERENT if {prediction, gold} & {"\\infty", "-\\infty"} else Match.UNSURE
    return Match.UNSURE if _shape(prediction) == _shape(gold) else Match.AMBIGUOUS


def _shape(text: str) -> tuple[bool, ...]:
    """What math-verify reads past: it may take the last of several parts for the whole."""
    several = len(split_list(text) or [text]) > 1 or _JOINED.search(text) is not None
    return several, ":" in text, RELATION.search(text) is not None, "\\pm" in text


def _is_finite(text: str) -> bool:
    """It surely is one formula."""
    value = read_expression(text)
    return value is not None and value.is_complete()


def _compare_equations(prediction: str, gold: str) -> Match:
    one, other = read_equation(prediction), read_equation(gold)
    if one is None or other is None:
        both = len(sides(prediction)) == len(sides(gold)) == 2 and _shape(prediction) == _shape(gold)
        return Match.UNSURE if both and not _shape(gold)[0] else Match.AMBIGUOUS
    if Arithmetic().proportional(one, other) and one.bottom == other.bottom:
        return Match.SAME
    return Match.DIFFERENT if is_linear(one) and is_linear(other) else Match.UNSURE


def _compare_ranges(one: Range, gold: Range, depth: int) -> Match:
    if one.letter and gold.letter and one.letter != gold.letter:
        return Match.AMBIGUOUS
    merged, gold_merged = one.merged(), gold.merged()
    if merged is not None and gold_merged is not None:
        return Match.SAME if merged == gold_merged else Match.DIFFERENT
    pairs = len(one.pieces) * len(gold.pieces)
    if pairs > MAX_PAIRS:
        return Match.AMBIGUOUS
    found = _paired([[_compare_pieces(a, b, depth) for b in gold.pieces] for a in one.pieces])
    return Match.UNSURE if found is Match.DIFFERENT and pairs > 1 else found  # pieces may touch


def _compare_pieces(one: Piece, gold: Piece, depth: int) -> Match:
    if (one.low_closed, one.high_closed) != (gold.low_closed, gold.high_closed):
        return Match.DIFFERENT
    return _all(compare(a, b, depth + 1)[0] for a, b in ((one.low, gold.low), (one.high, gold.high)))


def _compare_structures(one: Structure, gold: Structure, depth: int) -> Match:
    if one.kind != gold.kind and not {one.kind, gold.kind} <= UNORDERED:
        ordered = {one.kind, gold.kind} - UNORDERED
        return Match.DIFFERENT if len(ordered) == 2 or "set" in (one.kind, gold.kind) else Match.AMBIGUOUS
    if one.kind in UNORDERED:
        return _compare_sets(one.members, gold.members, depth)
    if len(one.members) != len(gold.members):
        return Match.DIFFERENT
    found = _all(compare(a, b, depth + 1)[0] for a, b in zip(one.members, gold.members, strict=True))
    return (
        Match.AMBIGUOUS if one.kind == ":" and found is not Match.SAME else found
    )  # 2:4 may be meant as 1:2


def _compare_sets(members: tuple[str, ...], gold_members: tuple[str, ...], depth: int) -> Match:
    """As sets: repeats do not count."""
    if len(members) * len(gold_members) > MAX_PAIRS:
        return Match.AMBIGUOUS
    return _paired([[compare(a, b, depth + 1)[0] for b in gold_members] for a in members])


def _paired(rows: list[list[Match]]) -> Match:
    """Each member on either side has its equal on the other."""
    return _all(_any(line) for line in (*rows, *zip(*rows, strict=True)))


def _first_of(*order: Match) -> Callable[[Iterable[Match]], Match]:
    def pick(verdicts: Iterable[Match]) -> Match:
        seen = set(verdicts)
        return next(verdict for verdict in order if verdict in seen)

    return pick


_all = _first_of(Match.DIFFERENT, Match.AMBIGUOUS, Match.UNSURE, Match.SAME)
_any = _first_of(Match.SAME, Match.AMBIGUOUS, Match.UNSURE, Match.DIFFERENT)
