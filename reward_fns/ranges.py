"""Subsets of the real line: intervals, unions, inequalities, set builders, what is left without some points.

Serves the section "Domains" of the design (one answer comparer). All of these become pieces from one end to
another. Ends that are rational are put in order and merged, so that `x \\neq 2`, `\\mathbb{R} \\setminus \\{2\\}` and
`(-\\infty,2) \\cup (2,\\infty)` are one range; other ends stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import inf
from typing import TypeAlias

from reward_fns.expressions import GREEK, read_expression
from reward_fns.structures import split_list, with_both_signs

_LETTER = rf"(?:[A-Za-z]|\\(?:{'|'.join(sorted(GREEK))})(?![A-Za-z]))"
_REALS = r"(?:\\mathbb ?\{ ?R ?\}|\( ?-\\infty ?, ?\\infty ?\))"
_BUILDER = re.compile(
    rf"\\\{{ ?({_LETTER}) ?(?:\\in ?{_REALS} ?)?(?:\\mid(?![A-Za-z])|\||:|\\colon(?![A-Za-z])) ?(.+?) ?\\\}}"
)
_POSITIVE = re.compile(r"\\mathbb ?\{ ?R ?\} ?(?:\^ ?\{? ?\+ ?\}?|_ ?\{ ?> ?0 ?\}|_ ?\{? ?\+ ?\}?)")
_MEMBER_OF = re.compile(rf"({_LETTER}) ?\\in(?![A-Za-z]) ?(?=[(\[\\])")
_WITHOUT = re.compile(rf"{_REALS} ?(?:\\setminus(?![A-Za-z])|\\backslash(?![A-Za-z])|-) ?\\\{{(.+)\\\}}")
RELATION = re.compile(r"<=|>=|\\(?:lt|gt|le|ge|neq)(?![A-Za-z])|<|>")
_SIGNS = {"<=": "\\le", ">=": "\\ge", "\\lt": "<", "\\gt": ">"}
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\neq": "\\neq"}
_NOT_EQUAL = re.compile(rf"({_LETTER}) ?\\neq(?![A-Za-z]) ?(.+)")
_OR = re.compile(r",? or |\\(?:lor|vee|cup)(?![A-Za-z])")
_AND = re.compile(r",? and |\\(?:land|wedge)(?![A-Za-z])")
_DISTANCE = re.compile(rf"\| ?({_LETTER}) ?(?:([+-]) ?([0-9./]+) ?)?\|")
_POINTS = re.compile(r"\\\{(.+)\\\}")
MAX_PIECES = 12
MAX_END = 10**400
"""Ends of larger numbers stay text."""

End: TypeAlias = Fraction | float
"""Exact, or plus or minus infinity."""


@dataclass(frozen=True)
class Piece:
    """From one end to the other; the ends are texts."""

    low: str
    high: str
    low_closed: bool = False
    high_closed: bool = False

    def __str__(self) -> str:
        if self.low == self.high and self.low_closed and self.high_closed:
            return f"\\{{{self.low}\\}}"
        return f"{'(['[self.low_closed]}{self.low}, {self.high}{')]'[self.high_closed]}"


@dataclass(frozen=True)
class Range:
    """A union of pieces; `letter` is what the text named. `sure`: it cannot be a tuple or a list."""

    pieces: tuple[Piece, ...]
    letter: str | None = None
    sure: bool = True

    def __str__(self) -> str:
        return " \\cup ".join(map(str, self.pieces))

    def merged(self) -> tuple[tuple[End, End, bool, bool], ...] | None:
        """The set in its one normal form: (low, high, low in, high in).

        None unless all ends are rational or infinite and no piece is empty.
        """
        spans = []
        for piece in self.pieces:
            low, high = _end(piece.low), _end(piece.high)
            if low is None or high is None:
                return None
            if low > high or (low == high and not (piece.low_closed and piece.high_closed)):
                return None
            spans.append((low, high, piece.low_closed, piece.high_closed))
        return _merged(spans)


def read_range(text: str) -> Range | None:
    """The range that a cleaned text writes out; None if it surely is none, or not surely one."""
    builder, letter = _BUILDER.fullmatch(text), None
    if builder is not None:
        text = builder[2]
        if not RELATION.search(text):
            return None
    if named := _MEMBER_OF.match(text):
        letter, text = named[1], text[named.end() :]
    found = _either(text)
    if found is None or (letter and found.letter and letter != found.letter):
        return None
    if builder is not None:
        return Range(found.pieces) if found.letter in (None, builder[1]) else None
    return Range(found.pieces, letter or found.letter, found.sure or letter is not None)


def _either(text: str) -> Range | None:
    parts = [part.strip() for part in _OR.split(text)]
    if len(parts) == 1:
        return _both(text)
    found = [_both(part) or _points(part) for part in parts[:MAX_PIECES]]
    ranges = [part for part in found if part is not None]
    letters = {part.letter for part in ranges}
    if len(ranges) < len(parts) or len(letters) > 1:
        return None
    sure = "\\cup" in text or any(part.sure for part in ranges)
    return Range(tuple(piece for part in ranges for piece in part.pieces), letters.pop(), sure)


def _both(text: str) -> Range | None:
    """Two inequalities joined by `and` or by a comma: what satisfies both, or either where nothing satisfies both."""
    parts = [part.strip() for part in _AND.split(text)]
    joined = len(parts) == 2
    if not joined:
        parts = (split_list(text) or []) if RELATION.search(text) else []
    if len(parts) < 2:
        return _one(text)
    ranges = [_inequality(part) for part in parts]
    if None in ranges:
        return _exclusions(parts)
    one, other, *more = (part for part in ranges if part is not None)
    if more or one.letter != other.letter or len(one.pieces) + len(other.pieces) != 2:
        return _exclusions(parts)
    common = _common(one.pieces[0], other.pieces[0])
    if common is None:
        return None
    if _end(common.low) < _end(common.high):  # type: ignore[operator]  # `_common` has read them
        return Range((common,), one.letter)
    return None if joined else Range((*one.pieces, *other.pieces), one.letter)


def _common(one: Piece, other: Piece) -> Piece | None:
    """What two rays in opposite directions share; its ends are the wrong way round where that is nothing."""
    if one.low != "-\\infty":
        one, other = other, one
    if one.low != "-\\infty" or other.high != "\\infty":
        return None
    if _end(one.high) is None or _end(other.low) is None:
        return None
    return Piece(other.low, one.high, other.low_closed, one.high_closed)


def _exclusions(parts: list[str]) -> Range | None:
    """`x \\neq 1, x \\neq 2` and `x \\neq 1, 2`."""
    letter, points = None, []
    for part in parts:
        match = _NOT_EQUAL.fullmatch(part)
        if match is not None and letter in (None, match[1]):
            letter = match[1]
        elif match is not None or letter is None or RELATION.search(part):
            return None
        points.append(part if match is None else match[2])
    return _without(points, letter)


def _one(text: str) -> Range | None:
    if RELATION.search(text) and not _POSITIVE.fullmatch(text):
        return _inequality(text)
    if _POSITIVE.fullmatch(text):
        return Range((Piece("0", "\\infty"),))
    if re.fullmatch(_REALS, text):
        return Range((Piece("-\\infty", "\\infty"),))
    if match := _WITHOUT.fullmatch(text):
        return _without(split_list(match[1]) or [], None)
    if points := _points(text):
        return replace(points, sure=False)
    if text[:1] not in ("(", "[") or text[-1:] not in (")", "]"):
        return None
    ends = split_list(text[1:-1])
    if ends is None or len(ends) != 2:
        return None
    low, high = (end.replace("+\\infty", "\\infty") for end in ends)
    sure = text[0] + text[-1] in ("(]", "[)") or "\\infty" in (low, high) or low == "-\\infty"
    return Range((Piece(low, high, text[0] == "[", text[-1] == "]"),), None, sure)


def _points(text: str) -> Range | None:
    match = _POINTS.fullmatch(text)
    points = split_list(match[1]) if match else None
    return Range(tuple(Piece(point, point, True, True) for point in points)) if points else None


def _inequality(text: str) -> Range | None:
    signs = [_SIGNS.get(sign, sign) for sign in RELATION.findall(text)]
    parts = [part.strip() for part in RELATION.split(text)]
    if not signs or not all(parts) or "=" in RELATION.sub("", text) or "," in text:
        return None
    if len(parts) == 2:
        if _is_letter(parts[1]) and not _is_letter(parts[0]):
            parts, signs = parts[::-1], [_FLIPPED[signs[0]]]
        (letter, bound), sign = parts, signs[0]
        if distance := _DISTANCE.fullmatch(letter):
            return _distance(distance, sign, bound)
        if not _is_letter(letter):
            return None
        closed = sign in ("\\le", "\\ge")
        if sign == "\\neq":
            return _without([bound], letter)
        if sign in ("<", "\\le"):
            return Range((Piece("-\\infty", bound, False, closed),), letter)
        return Range((Piece(bound, "\\infty", closed, False),), letter)
    if len(parts) != 3 or not _is_letter(parts[1]):
        return None
    if set(signs) <= {">", "\\ge"}:
        parts, signs = parts[::-1], [_FLIPPED[sign] for sign in reversed(signs)]
    if not set(signs) <= {"<", "\\le"}:
        return None
    return Range((Piece(parts[0], parts[2], signs[0] == "\\le", signs[1] == "\\le"),), parts[1])


def _distance(match: re.Match[str], sign: str, bound: str) -> Range | None:
    """`|x - 2| < 3`, with rational numbers."""
    letter, direction, number = match.groups()
    centre, radius = _end(number or "0"), _end(bound)
    if not isinstance(centre, Fraction) or not isinstance(radius, Fraction) or radius <= 0:
        return None
    centre = -centre if direction == "+" else centre
    low, high, closed = str(centre - radius), str(centre + radius), sign in ("\\le", "\\ge")
    if sign in ("<", "\\le"):
        return Range((Piece(low, high, closed, closed),), letter)
    if sign == "\\neq":
        return None
    return Range((Piece("-\\infty", low, False, closed), Piece(high, "\\infty", closed, False)), letter)


def _without(points: list[str], letter: str | None) -> Range | None:
    """The real line without these points, in any order; several must be rational."""
    points = list(with_both_signs(points))
    if len(points) > 1:
        values = [_end(point) for point in points]
        if not all(isinstance(value, Fraction) for value in values):
            return None
        points = [str(value) for value in sorted({value for value in values if value is not None})]
    if not points:
        return None
    return Range(tuple(Piece(*ends) for ends in pairwise(["-\\infty", *points, "\\infty"])), letter)


def _end(text: str) -> End | None:
    if text in ("\\infty", "-\\infty"):
        return inf if text == "\\infty" else -inf
    value = read_expression(text)
    rational = None if value is None else value.rational()
    if rational is None or max(abs(rational.numerator), rational.denominator) > MAX_END:
        return None
    return Fraction(rational)


def _merged(spans: Iterable[tuple[End, End, bool, bool]]) -> tuple[tuple[End, End, bool, bool], ...]:
    merged: list[tuple[End, End, bool, bool]] = []
    for low, high, low_in, high_in in sorted(spans, key=lambda span: (span[0], not span[2])):
        if merged and (merged[-1][1] > low or (merged[-1][1] == low and (merged[-1][3] or low_in))):
            start, end, start_in, end_in = merged[-1]
            if high > end:
                end, end_in = high, high_in
            elif high == end:
                end_in = end_in or high_in
            merged[-1] = (start, end, start_in, end_in)
        else:
            merged.append((low, high, low_in, high_in))
    return tuple(merged)


def _is_letter(text: str) -> bool:
    return re.fullmatch(_LETTER, text) is not None
