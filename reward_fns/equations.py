"""Names and equals signs in answers: `x = 5`, `x = 3, y = -2`, `(a, b) = (1, 2)`, `y = 2x + 3`.

Serves the section "Domains" of the design (one answer comparer). What is only a name for the answer is taken off;
what is an equation becomes one side minus the other.
"""

from __future__ import annotations

import re

from reward_fns.exact import Arithmetic, TooHardError, Value
from reward_fns.expressions import GREEK, read_expression
from reward_fns.structures import split_list

_EQUALS = re.compile(r"(?<![<>!:=])=(?!=)")
_LETTER = rf"(?:[A-Za-z]|\\(?:{'|'.join(sorted(GREEK))})(?![A-Za-z]))"
_SUBSCRIPT = r"(?:_(?:[0-9A-Za-z]|\{ ?[0-9A-Za-z]+ ?\}))?"
_VARIABLE = re.compile(rf"{_LETTER}(?P<subscript>{_SUBSCRIPT})")
_FUNCTION_OF = re.compile(rf"(?P<function>{_LETTER}{_SUBSCRIPT}) ?\( ?(?P<letter>[A-Za-z]) ?\)")
_NAME = re.compile(
    rf"{_LETTER}{_SUBSCRIPT}(?:'{{0,2}}| ?\^ ?\{{ ?-1 ?\}})(?: ?\( ?[0-9A-Za-z] ?\))?"  # x, a_n, f(x), f'(2)
    r"|(?!.*\b(?:not|never|no|wrong|incorrect)\b)(?:[A-Za-z][a-z]{3,}(?: [a-z]+){0,4}|[A-Z][a-z]{2,})"  # Area, sum of roots
    r"|[A-Z]{2,4}|\[[A-Z]{3,}\]|\|[A-Z]{2}\|"  # AB, [ABC], |AB|
    r"|(?:m ?)?\\angle ?(?:[A-Z]{1,3}|\{ ?[A-Z]{1,3} ?\})"
    r"|P ?\([^()=]*\)|E ?[\[(][^()\[\]=]*[\])]"  # probabilities and expectations
    r"|[a-w](?: ?\+ ?[a-w]){1,4}"  # m + n, as AIME asks for; x + y = 5 is a line
)
_NAMED_TUPLE = re.compile(rf"\( ?({_LETTER}(?: ?, ?{_LETTER})+) ?\) ?(?:=|\\in(?![A-Za-z])) ?(?=[(\\])")
_MEMBER = re.compile(rf"{_LETTER} ?\\in(?![A-Za-z]) ?(?=\\\{{[^|<>=]*\\\}}\Z)")
_ALTERNATIVE = re.compile(r" or |\\(?:lor|vee)(?![A-Za-z])")
_AND = re.compile(r",? and ")
_TOKEN = re.compile(r"\\?[A-Za-z]{3,}|\\[A-Za-z]+|[A-Za-z]")


def without_names(prediction: str, gold: str) -> tuple[str, str]:
    """Both without the names of their values, where only one has a name or both have the same; else as they are."""
    prediction, gold = _in_one_letter(_values_of_names(prediction), _values_of_names(gold))
    name, read = left_side(prediction)
    gold_name, gold_read = left_side(gold)
    if name == gold_name or "=" not in prediction or "=" not in gold or _same_function(name, gold_name):
        return read, gold_read
    return prediction, gold


def left_side(text: str) -> tuple[str | None, str]:
    """The name on one side of the first equals sign, and the rest; None and the text where there is none.

    Of a chain of equal formulas (`3 + 4 = 7`) the last stays.
    """
    if "=" not in text:
        return None, text
    parts = sides(text)
    if len(parts) == 2 and not _NAME.fullmatch(parts[0]) and _VARIABLE.fullmatch(parts[1]):
        parts.reverse()
    first, *others = parts
    if not others or ("," in first and not first.startswith("P")):
        return None, text
    name = first if _NAME.fullmatch(first) else None
    chain = others if name else [first, *others]
    if len(chain) > 1 and ("," in text or not _all_equal(chain)):
        return None, text
    return name, chain[-1]


def sides(text: str) -> list[str]:
    """The parts between equals signs outside braces (`\\sum_{k=1}` has one inside)."""
    parts, start, depth, position = [], 0, 0, 0
    for match in _EQUALS.finditer(text):
        depth += text.count("{", position, match.start()) - text.count("}", position, match.start())
        position = match.start()
        if depth == 0:
            parts.append(text[start : match.start()].strip())
            start = match.end()
    return [*parts, text[start:].strip()]


def read_equation(text: str) -> Value | None:
    """Left side minus right side of a text with one equals sign."""
    parts = sides(text)
    if len(parts) != 2:
        return None
    left, right = read_expression(parts[0]), read_expression(parts[1])
    if left is None or right is None:
        return None
    try:
        return Arithmetic().add(left, Arithmetic().negate(right))
    except TooHardError:
        return None


def is_linear(value: Value) -> bool:
    """A sum of rational multiples of single letters, and a number."""
    return len(value.bottom) == 1 and all(
        len(monomial) < 2 and all(power == 1 and name[0] != "?" for name, power in monomial)
        for monomial in value.top
    )


def renamed(text: str, old: str, new: str) -> str:
    """The text with one letter in place of another; commands and words stay."""
    return _TOKEN.sub(lambda match: new if match[0] == old else match[0], text)


def _values_of_names(text: str) -> str:
    """`(x, y) = (1, 2)` and `x = 1, y = 2` as `(1,2)`; `x = 1 or x = 2` and `x_1 = 1, x_2 = 2` as `1, 2`.

    Tuples are in the alphabetical order of the names, which is the order that questions ask for.
    """
    if member := _MEMBER.match(text):
        return text[member.end() :]
    if text.count("=") < 2 and "(" not in text:
        return text
    if named := _NAMED_TUPLE.search(text):
        names = [name.strip() for name in named[1].split(",")]
        if names == sorted(set(names), key=_alphabetical):
            text = _NAMED_TUPLE.sub(lambda match: "" if match[1] == named[1] else match[0], text)
    either = _ALTERNATIVE.search(text) is not None
    parts = split_list(_ALTERNATIVE.sub(", ", _AND.sub(", ", text))) or []
    named_values = [value for part in parts for value in _named_values(part)]
    values = [value for value in named_values if value is not None]
    if len(values) < 2 or len(values) != len(named_values):
        return text
    names = [name for name, _ in values]
    bases = {_without_subscript(name) for name in names}
    if len(bases) == 1:
        return ", ".join(value for _, value in values)
    if either or len(set(names)) != len(names) or not all(_VARIABLE.fullmatch(name) for name in names):
        return text
    values.sort(key=lambda value: _alphabetical(value[0]))
    return f"({', '.join(value for _, value in values)})"


def _named_values(part: str) -> list[tuple[str, str] | None]:
    """The names of a part with its value: several in `x = y = 1`; `[None]` where it is something else."""
    *names, value = sides(part)
    if not names or not all(_VARIABLE.fullmatch(name) or _FUNCTION_OF.fullmatch(name) for name in names):
        return [None]
    return [(name.replace(" ", ""), value) for name in names]


def _alphabetical(name: str) -> tuple[bool, str]:
    """Latin letters before Greek ones: `(r, \\theta)`."""
    return name.startswith("\\"), name


def _without_subscript(name: str) -> str:
    variable = _VARIABLE.fullmatch(name)
    return name[: variable.start("subscript")] if variable else name


def _in_one_letter(prediction: str, gold: str) -> tuple[str, str]:
    """`f(t) = t + 1` in the letter of `f(x) = x + 1`."""
    one, other = _FUNCTION_OF.match(prediction), _FUNCTION_OF.match(gold)
    if not one or not other or one["function"] != other["function"] or one["letter"] == other["letter"]:
        return prediction, gold
    if other["letter"] in _TOKEN.findall(prediction):
        return prediction, gold
    return renamed(prediction, one["letter"], other["letter"]), gold


def _same_function(name: str | None, other: str | None) -> bool:
    """`y = x + 1` and `f(x) = x + 1`."""
    return "y" in (name, other) and any(
        name and re.fullmatch(r"[fgh](?:\^\{-1\})? ?\( ?x ?\)", name) for name in (name, other)
    )


def _all_equal(chain: list[str]) -> bool:
    values = [read_expression(part) for part in chain]
    first = values[0]
    try:
        return first is not None and all(v is not None and Arithmetic().equal(first, v) for v in values[1:])
    except TooHardError:
        return False
