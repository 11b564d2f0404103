"""Answers of several parts: tuples, intervals, sets, lists, unions, matrices, inequalities, equations.

Serves the section "Domains" of the design (one answer comparer). Reading splits a cleaned text into parts that
stay text; how two parts compare is the caller's matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reward_fns.exact import Arithmetic, TooHardError, Value
from reward_fns.expressions import read_expression

UNORDERED = frozenset({"set", "list", "union"})

_PAIRS = (("\\{", "\\}", "set"), ("(", ")", "()"), ("(", "]", "(]"), ("[", ")", "[)"), ("[", "]", "[]"))
_MEMBER_OF = re.compile(r"([A-Za-z]) ?\\in ?(?![A-Za-z])")
_MATRIX = re.compile(r"\\begin ?\{([pbB]?matrix)\}(.*)\\end ?\{\1\}")
_RELATION = re.compile(r"<=|>=|\\(?:lt|gt|le|ge|neq)(?![A-Za-z])|<|>")
_RELATION_SIGNS = {"<=": "\\le", ">=": "\\ge", "\\lt": "<", "\\gt": ">"}
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\neq": "\\neq"}
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")
_AND = re.compile(r",? and ")
_EQUALS = re.compile(r"(?<![<>!:=])=(?!=)")
_LEFT_SIDE = re.compile(
    r"(?:[A-Za-z]|\\[A-Za-z]+)(?:_(?:[0-9A-Za-z]|\{[0-9A-Za-z]+\}))?(?: ?\( ?[A-Za-z] ?\))?"
)


@dataclass(frozen=True)
class Structure:
    """Parts of one kind. Inequalities in one letter are intervals; `letter` is then that letter."""

    kind: str
    members: tuple[str, ...]
    letter: str | None = None


def read_structure(text: str) -> Structure | None:
    """The structure that a cleaned text writes out; None if it surely is none, or not surely one."""
    letter = None
    if named := _MEMBER_OF.match(text):
        letter, text = named[1], text[named.end() :]
    elif _RELATION.search(text):
        return _inequality(text)
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(matrix[2])
    if "\\cup" in text:
        return Structure("union", tuple(part.strip() for part in text.split("\\cup")), letter)
    for opening, closing, kind in _PAIRS:
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            parts = _split(text[len(opening) : -len(closing)])
            if parts is not None and (len(parts) > 1 or kind == "set"):
                return Structure(kind, _with_both_signs(parts) if kind == "set" else tuple(parts), letter)
    parts = _split(_AND.sub(", ", text))
    members = _with_both_signs(parts or [])
    return Structure("list", members) if len(members) > 1 else None


def left_side(text: str) -> tuple[str | None, str]:
    """The name before the first equals sign, and what stands behind; None and the text where there is none.

    Of a chain of equal formulas (`3 + 4 = 7`) the last stays.
    """
    if "=" not in text or "," in text:
        return None, text
    first, *parts = sides(text)
    if not parts:
        return None, text
    name = first if _LEFT_SIDE.fullmatch(first) else None
    chain = parts if name else [first, *parts]
    if len(chain) > 1 and not _all_equal(chain):
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


def _all_equal(chain: list[str]) -> bool:
    values = [read_expression(part) for part in chain]
    first = values[0]
    try:
        return first is not None and all(v is not None and Arithmetic().equal(first, v) for v in values[1:])
    except TooHardError:
        return False


def _inequality(text: str) -> Structure | None:
    signs = [_RELATION_SIGNS.get(sign, sign) for sign in _RELATION.findall(text)]
    parts = [part.strip() for part in _RELATION.split(text)]
    if not all(parts) or "," in text or "=" in _RELATION.sub("", text):
        return None
    if len(parts) == 2:
        if _is_letter(parts[1]) and not _is_letter(parts[0]):
            parts, signs = parts[::-1], [_FLIPPED[signs[0]]]
        (letter, bound), sign = parts, signs[0]
        if not _is_letter(letter):
            return None
        if sign == "\\neq":
            return Structure("\\neq", (bound,), letter)
        closed = sign in ("\\le", "\\ge")
        if sign in ("<", "\\le"):
            return Structure("(]" if closed else "()", ("-\\infty", bound), letter)
        return Structure("[)" if closed else "()", (bound, "\\infty"), letter)
    if len(parts) != 3 or not _is_letter(parts[1]):
        return None
    if set(signs) <= {">", "\\ge"}:
        parts, signs = parts[::-1], [_FLIPPED[sign] for sign in reversed(signs)]
    if not set(signs) <= {"<", "\\le"}:
        return None
    kind = ("[" if signs[0] == "\\le" else "(") + ("]" if signs[1] == "\\le" else ")")
    return Structure(kind, (parts[0], parts[2]), parts[1])


def _is_letter(text: str) -> bool:
    return len(text) == 1 and text.isalpha()


def _matrix(inside: str) -> Structure | None:
    rows = [row.split("&") for row in inside.split("\\cr")]
    if rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()  # a row end behind the last row
    cells = tuple(cell.strip() for row in rows for cell in row)
    if not rows or len({len(row) for row in rows}) != 1 or not all(cells) or "\\begin" in inside:
        return None
    return Structure(f"matrix of {len(rows)} by {len(rows[0])}", cells)


def _with_both_signs(parts: list[str]) -> tuple[str, ...]:
    """Parts with `\\pm` written out; parts with several stay."""
    members = []
    for part in parts:
        if len(_PLUS_MINUS.findall(part)) == 1:
            members += [_PLUS_MINUS.sub(sign, part) for sign in ("+", "-")]
        else:
            members.append(part)
    return tuple(members)


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
