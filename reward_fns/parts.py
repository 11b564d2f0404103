"""Comparing answers of several parts: ranges, tuples, sets, lists, matrices, equations, numbers in other bases.

Serves the section "Domains" of the design (one answer comparer). `structures`, `ranges` and `equations` read them;
how their parts compare is given by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from reward_fns.equations import is_linear, read_equation, sides
from reward_fns.exact import Arithmetic
from reward_fns.expressions import read_expression
from reward_fns.match import Match
from reward_fns.numbers import read_number
from reward_fns.ranges import RELATION, Piece, Range, read_range
from reward_fns.structures import UNORDERED, Structure, read_structure, split_list

MAX_PAIRS = 400
"""Sets with more pairs of members are not compared: that takes quadratic time."""

Compare: TypeAlias = Callable[[str, str], Match]

_SET_LIKE = re.compile(r"[<>]|\\(?:cup|cap|setminus|backslash|mathbb|infty|le|ge|lt|gt|neq)(?![A-Za-z])")
_JOINED = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|\\(?:lor|vee|land|wedge)(?![A-Za-z])")
_BASED = re.compile(r"\(?([0-9A-Fa-f]+)\)? ?_ ?\{? ?\(?([0-9]+)\)? ?\}?")


def compare_parts(prediction: str, gold: str, compare: Compare, outermost: bool = True) -> Match:
    """What two cleaned texts that are no numbers or formulas have in common.

    Args:
        compare: for their parts.
        outermost: whether they are whole answers: then a set of one is that one.
    """
    based, gold_based = _BASED.fullmatch(prediction), _BASED.fullmatch(gold)
    if based or gold_based:  # 101_2 is not 101, and may be meant by it
        same = (
            based and gold_based and based[2] == gold_based[2] and based[1].upper() == gold_based[1].upper()
        )
        return Match.SAME if same else Match.AMBIGUOUS
    one_range, gold_range = read_range(prediction), read_range(gold)
    if one_range and gold_range and (one_range.sure or gold_range.sure):
        return _compare_ranges(one_range, gold_range, compare)
    for range_, single in ((one_range, gold), (gold_range, prediction)):
        if range_ is not None and range_.sure:
            if _is_finite(single) or single in ("\\infty", "-\\infty"):
                return Match.DIFFERENT
            return Match.UNSURE if _SET_LIKE.search(single) else Match.AMBIGUOUS
    one, other = (None if read_number(text) else read_structure(text) for text in (prediction, gold))
    if one is not None and other is not None:
        return _compare_structures(one, other, compare)
    if len(sides(prediction)) > 1 or len(sides(gold)) > 1:
        return _compare_equations(prediction, gold)
    for structure, single in ((one, gold), (other, prediction)):
        if structure is not None and _is_finite(single):
            if structure.kind == "set" and len(structure.members) == 1 and outermost:
                return compare(structure.members[0], single)
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


def _compare_ranges(one: Range, gold: Range, compare: Compare) -> Match:
    if one.letter and gold.letter and one.letter != gold.letter:
        return Match.AMBIGUOUS
    merged, gold_merged = one.merged(), gold.merged()
    if merged is not None and gold_merged is not None:
        return Match.SAME if merged == gold_merged else Match.DIFFERENT
    pairs = len(one.pieces) * len(gold.pieces)
    if pairs > MAX_PAIRS:
        return Match.AMBIGUOUS
    found = _paired([[_compare_pieces(a, b, compare) for b in gold.pieces] for a in one.pieces])
    return Match.UNSURE if found is Match.DIFFERENT and pairs > 1 else found  # pieces may touch


def _compare_pieces(one: Piece, gold: Piece, compare: Compare) -> Match:
    if (one.low_closed, one.high_closed) != (gold.low_closed, gold.high_closed):
        return Match.DIFFERENT
    return _all(compare(a, b) for a, b in ((one.low, gold.low), (one.high, gold.high)))


def _compare_structures(one: Structure, gold: Structure, compare: Compare) -> Match:
    if one.kind != gold.kind and not {one.kind, gold.kind} <= UNORDERED:
        ordered = {one.kind, gold.kind} - UNORDERED
        return Match.DIFFERENT if len(ordered) == 2 or "set" in (one.kind, gold.kind) else Match.AMBIGUOUS
    if one.kind in UNORDERED:
        return _compare_sets(one.members, gold.members, compare)
    if len(one.members) != len(gold.members):
        return Match.DIFFERENT
    found = _all(compare(a, b) for a, b in zip(one.members, gold.members, strict=True))
    if one.kind == ":" and found is not Match.SAME:
        return Match.AMBIGUOUS  # 2:4 may be meant as 1:2
    return found


def _compare_sets(members: tuple[str, ...], gold_members: tuple[str, ...], compare: Compare) -> Match:
    """As sets: repeats do not count."""
    if len(members) * len(gold_members) > MAX_PAIRS:
        return Match.AMBIGUOUS
    return _paired([[compare(a, b) for b in gold_members] for a in members])


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
