"""Answers of several parts: tuples, intervals, sets, lists, matrices, ratios and times.

Serves the section "Domains" of the design (one answer comparer). Reading splits a cleaned text into parts that
stay text; how two parts compare is the caller's matter. Subsets of the real line are `ranges`' matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNORDERED = frozenset({"set", "list", "cases"})

_PAIRS = (
    ("\\{", "\\}", "set"),
    ("{", "}", "braces"),
    ("(", ")", "()"),
    ("(", "]", "(]"),
    ("[", ")", "[)"),
    ("[", "]", "[]"),
    ("\\langle", "\\rangle", "<>"),
)
_MATRIX = re.compile(r"\\begin ?\{([pbB]?matrix)\}(.*)\\end ?\{\1\}")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![A-Za-z])")
_JOINED = re.compile(r",? and |(?<=[)\]}]),? or (?=[(\[\\])")
_CASES = re.compile(r"\\begin ?\{cases\}(.*)\\end ?\{cases\}")
_CONDITION = re.compile(
    r"(.+?)(?:,? (?:for|where|with|if|when) (?:all |any |every |some |each )?| ?, ?(?=[A-Za-z] ?\\in)| ?\((?=[A-Za-z] ?\\in))(.+)"
)
_WHOLE = re.compile(r"[A-Za-z] ?(?:\\in ?\\mathbb ?\{? ?Z ?\}?|(?:is )?an(?:y)? integer|integers? [A-Za-z])")


@dataclass(frozen=True)
class Structure:
    """Parts of one kind."""

    kind: str
    members: tuple[str, ...]


def read_structure(text: str) -> Structure | None:
    """The structure that a cleaned text writes out; None if it surely is none, or not surely one."""
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(matrix[2])
    if cases := _CASES.fullmatch(text):
        return _cases(cases[1])
    for opening, closing, kind in _PAIRS:
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            parts = split_list(text[len(opening) : -len(closing)])
            if parts is not None and (len(parts) > 1 or kind == "set"):
                is_set = kind in ("set", "braces")
                return Structure("set", with_both_signs(parts)) if is_set else Structure(kind, tuple(parts))
    if ":" in text and all(terms := [part.strip() for part in text.split(":")]):
        return Structure(":", tuple(terms))
    parts = split_list(_JOINED.sub(", ", text))
    members = with_both_signs(parts or [])
    return Structure("list", members) if len(members) > 1 else None


def split_condition(text: str) -> tuple[str, str]:
    """The answer and the condition that follows it, as in `2^k for k \\ge 0`; that a letter is whole goes without saying."""
    may_have = "\\begin" not in text and (" " in text or "\\in" in text)
    match = _CONDITION.fullmatch(text) if may_have else None
    if match is None:
        return text, ""
    condition = match[2].removesuffix(")") if match[2].count("(") < match[2].count(")") else match[2]
    return match[1].rstrip(" ,"), "" if _WHOLE.fullmatch(condition) else condition


def split_list(text: str) -> list[str] | None:
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


def _cases(inside: str) -> Structure | None:
    """Value and condition of each row as a pair."""
    rows = [[cell.strip(" ,") for cell in row.split("&")] for row in inside.split("\\cr") if row.strip()]
    if not rows or any(len(row) != 2 or not all(row) for row in rows):
        return None
    return Structure("cases", tuple(f"({value}, {condition})" for value, condition in rows))


def _matrix(inside: str) -> Structure | None:
    rows = [row.split("&") for row in inside.split("\\cr")]
    if rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()  # a row end behind the last row
    cells = tuple(cell.strip() for row in rows for cell in row)
    if not rows or len({len(row) for row in rows}) != 1 or not all(cells) or "\\begin" in inside:
        return None
    return Structure(f"matrix of {len(rows)} by {len(rows[0])}", cells)


def with_both_signs(parts: list[str]) -> tuple[str, ...]:
    """Parts with `\\pm` written out; parts with several stay."""
    members = []
    for part in parts:
        if len(_PLUS_MINUS.findall(part)) == 1:
            members += [_PLUS_MINUS.sub(sign, part) for sign in ("+", "-")]
        else:
            members.append(part)
    return tuple(members)
