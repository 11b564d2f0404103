"""The one answer comparer: whether two answers are the same, by tiers, cheap first.

Serves the section "Domains" of the design. A tier that is not *sure* passes on: text, exact numbers, choice
letters, then tuples, sets, intervals and lists by their members. What no tier is sure of counts as
`unsure` (see `tier_counts`) and is not equivalent. Everything is total, linear in the capped input, and
evaluates nothing.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

from reward_fns.numbers import Number, read_number

MAX_CHARS = 1_000
"""Longer answers are equal only when their texts are."""

MAX_MEMBERS_CHARS = 200
"""Longer tuples, sets and lists are left undecided: comparing sets takes time quadratic in this."""

MAX_DEPTH = 3


class Match(Enum):
    """What a tier says about two answers."""

    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"


def is_equivalent(prediction: str, gold: str, domain: str = "math") -> bool:
    """Whether `prediction`, as a model wrote it, is the answer `gold` in that domain. Never raises on text.

    Raises:
        ValueError: no domain of that name.
    """
    from reward_fns import domains  # the domains import this module

    judge = domains.get(domain)
    read = judge.extract(prediction)
    return read is not None and judge.equivalent(read, gold)


def same_answer(prediction: str, gold: str) -> bool:
    """Whether two mathematical answers are surely the same; counts which tier decided."""
    verdict, tier = _decide(prediction, gold)
    with _lock:
        _counts[f"{tier}:{verdict.value}"] += 1
    return verdict is Match.SAME


def tier_counts() -> dict[str, int]:
    """How often each tier decided since the start of this process, as `tier:verdict`."""
    with _lock:
        return dict(_counts)


_counts: Counter[str] = Counter()
_lock = threading.Lock()


@lru_cache(maxsize=16_384)
def _cached(prediction: str, gold: str) -> tuple[Match, str]:
    return compare(clean(prediction), clean(gold))


def _decide(prediction: str, gold: str) -> tuple[Match, str]:
    if prediction.strip() == gold.strip():
        return (Match.SAME if prediction.strip() else Match.DIFFERENT), "exact"
    if len(prediction) > MAX_CHARS or len(gold) > MAX_CHARS:
        return Match.UNSURE, "long"
    return _cached(prediction, gold)


_INVISIBLE = dict.fromkeys(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)]
)
_CHARACTERS = str.maketrans(
    {"−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "∞": "\\infty ", "π": "\\pi ", "\u00a0": " "}
)
_REWRITES = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\(?:displaystyle|quad|qquad)(?![A-Za-z])", " "),
        (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})", "°"),
        (r"\{,\}|,\\!", ","),
        (r"(?<=[0-9])\\,(?=[0-9]{3})", ","),
        (r"\\[!,;: ]|~", " "),
        (r"\\([$%])", r"\1"),
        (r"\s+", " "),
    )
)
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))
_ASSIGNMENT = re.compile(r"([A-Za-z]) ?= ?(?!=)")


def clean(text: str) -> str:
    """The text without what carries no meaning: delimiters, LaTeX spacing and fonts, invisible characters."""
    text = text.translate(_INVISIBLE).translate(_CHARACTERS).strip()
    text = _undelimited(text)
    for pattern, into in _REWRITES:
        text = pattern.sub(into, text)
    return _undelimited(text.strip().rstrip(".;,").strip())


def _undelimited(text: str) -> str:
    for opening, closing in _DELIMITERS:
        size = len(opening)
        if len(text) > 2 * size and text.startswith(opening) and text.endswith(closing):
            inside = text[size:-size]
            if opening not in inside and closing not in inside and not inside.endswith("\\"):
                text = inside.strip()
    return text


def compare(prediction: str, gold: str, depth: int = 0) -> tuple[Match, str]:
    """Compare two cleaned answers; also which tier decided."""
    if not prediction or not gold:
        return Match.DIFFERENT, "empty"
    if _bare(prediction) == _bare(gold):
        return Match.SAME, "text"
    named, gold_named = _ASSIGNMENT.match(prediction), _ASSIGNMENT.match(gold)
    if named and gold_named and named[1] != gold_named[1]:
        return Match.UNSURE, "none"
    prediction = prediction[named.end() :] if named else prediction
    gold = gold[gold_named.end() :] if gold_named else gold
    number, gold_number = read_number(prediction), read_number(gold)
    if number is not None and gold_number is not None:
        return _compare_numbers(number, gold_number), "number"
    letter, gold_letter = choice_letter(prediction), choice_letter(gold)
    if letter is not None and gold_letter is not None:
        return (Match.SAME if letter == gold_letter else Match.DIFFERENT), "choice"
    if depth < MAX_DEPTH and max(len(prediction), len(gold)) <= MAX_MEMBERS_CHARS:
        members, gold_members = _members(prediction), _members(gold)
        if members is not None and gold_members is not None:
            return _compare_members(members, gold_members, depth), "members"
    return Match.UNSURE, "none"


def choice_letter(text: str) -> str | None:
    """The option that a text like `B`, `(b)`, `B.` or `(B) five` names, upper case; None if none surely."""
    match = _CHOICE.fullmatch(text)
    return (match[1] or match[2]).upper() if match else None


_CHOICE = re.compile(r"\(([A-Ja-j])\)(?: .*)?|([A-J])[.:)]?", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]+")
_IDLE_BLANK = re.compile(r"(?<![0-9A-Za-z.]) | (?![0-9A-Za-z.])")


def _bare(text: str) -> str:
    """Words without case, formulas without the blanks that separate nothing (`1 2` is not `12`)."""
    return text.casefold() if _WORDS.fullmatch(text) else _IDLE_BLANK.sub("", text)


def _compare_numbers(number: Number, gold: Number) -> Match:
    """Unit policy: a unit on one side only is ignored, two different units are left undecided.

    A percent equals the bare number before the sign and that number over 100, as answers to "what percent"
    are written either way.
    """
    if number.unit and gold.unit and number.unit != gold.unit:
        return Match.UNSURE
    if len(gold.unit) == 1 and not number.unit:
        return Match.UNSURE  # `5 m` may be a product
    if number.percent == gold.percent:
        same = number.value == gold.value
    else:
        percent, bare = (number, gold) if number.percent else (gold, number)
        same = bare.value in (percent.value, percent.value / 100)
    if same:
        return Match.SAME
    return Match.UNSURE if number.unit != gold.unit else Match.DIFFERENT


_KINDS = (("\\{", "\\}", "set"), ("(", ")", "tuple"), ("(", "]", "(]"), ("[", ")", "[)"), ("[", "]", "[]"))


def _members(text: str) -> tuple[str, list[str]] | None:
    """Kind and members of a tuple, interval, set or bare list; None if the text is none."""
    for opening, closing, kind in _KINDS:
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            parts = _split(text[len(opening) : -len(closing)])
            if parts is not None and (len(parts) > 1 or kind == "set"):
                return kind, parts
    parts = _split(text)
    return ("list", parts) if parts is not None and len(parts) > 1 else None


def _split(text: str) -> list[str] | None:
    """Parts between top-level commas; None when brackets do not match or a part is empty."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return parts if depth == 0 and all(parts) else None


def _compare_members(one: tuple[str, list[str]], gold: tuple[str, list[str]], depth: int) -> Match:
    (kind, members), (gold_kind, gold_members) = one, gold
    unordered = {"set", "list"}
    if kind != gold_kind and not {kind, gold_kind} <= unordered:
        return Match.UNSURE
    if kind in unordered:
        return _compare_sets(members, gold_members, depth)
    if len(members) != len(gold_members):
        return Match.DIFFERENT
    verdicts = [compare(a, b, depth + 1)[0] for a, b in zip(members, gold_members, strict=True)]
    return _all(verdicts)


def _compare_sets(members: list[str], gold_members: list[str], depth: int) -> Match:
    """Each member has its equal on the other side; repeats do not count."""
    rows = [[compare(a, b, depth + 1)[0] for b in gold_members] for a in members]
    return _all([_any(line) for line in (*rows, *zip(*rows, strict=True))])


def _all(verdicts: Sequence[Match]) -> Match:
    if Match.DIFFERENT in verdicts:
        return Match.DIFFERENT
    return Match.UNSURE if Match.UNSURE in verdicts else Match.SAME


def _any(verdicts: Sequence[Match]) -> Match:
    if Match.SAME in verdicts:
        return Match.SAME
    return Match.UNSURE if Match.UNSURE in verdicts else Match.DIFFERENT
