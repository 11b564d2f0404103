"""Subsets of the real line: every writing of a set is that set, and open is not closed."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.answers import Match, clean, judge
from reward_fns.ranges import Range, read_range


def read(text: str) -> Range:
    found = read_range(clean(text))
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("x \\ge 0", "[0, \\infty)"),
        ("3 > y", "(-\\infty, 3)"),
        ("-1 \\le x < \\frac{1}{2}", "[-1, \\frac{1}{2})"),
        ("2 \\geq x > -1", "(-1, 2]"),
        ("x \\in (-\\infty, 2]", "(-\\infty, 2]"),
        ("x \\ne 2", "(-\\infty, 2) \\cup (2, \\infty)"),
        ("x \\neq \\pm 1", "(-\\infty, -1) \\cup (-1, 1) \\cup (1, \\infty)"),
        ("\\mathbb{R} \\setminus \\{2, 1\\}", "(-\\infty, 1) \\cup (1, 2) \\cup (2, \\infty)"),
        ("x < -2 \\text{ or } x \\ge 3", "(-\\infty, -2) \\cup [3, \\infty)"),
        ("x > 1 \\text{ and } x \\le 4", "(1, 4]"),
        ("x < -2, x > 3", "(-\\infty, -2) \\cup (3, \\infty)"),
        ("|x - 2| < 3", "(-1, 5)"),
        ("|t| \\ge 1", "(-\\infty, -1] \\cup [1, \\infty)"),
        ("\\{x \\mid 0 < x\\}", "(0, \\infty)"),
        ("\\{x \\in \\mathbb{R} : x < 1\\}", "(-\\infty, 1)"),
        ("\\mathbb{R}^+", "(0, \\infty)"),
        ("ℝ", "(-\\infty, \\infty)"),
        ("all real numbers", "(-\\infty, \\infty)"),
        ("[0, \\pi)", "[0, \\pi)"),
    ],
)
def test_read(text: str, intervals: str) -> None:
    assert str(read(text)) == intervals


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "(1,2,3)",
        "x = 1",
        "x < 2 < 3 < y",
        "x^2 > 1",
        "x < 1 \\text{ and } x > 4",
        "x < 1 or y > 2",
        "a or b",
    ],
)
def test_none(text: str) -> None:
    assert read_range(clean(text)) is None


def test_a_pair_is_not_surely_an_interval() -> None:
    assert not read("(1,2)").sure and not read("\\{1,2\\}").sure
    assert read("(1,2]").sure and read("(1,\\infty)").sure
    assert judge("(2,1)", "[2,1)") is Match.DIFFERENT


ends = st.lists(st.fractions(-9, 9, max_denominator=4), min_size=4, max_size=4, unique=True).map(sorted)


@given(ends, st.booleans())
def test_order_and_cuts_do_not_matter(points: list[Fraction], closed: bool) -> None:
    a, b, c, d = map(str, points)
    left, right = ("[", "]") if closed else ("(", ")")
    whole = f"{left}{a},{b}) \\cup ({c},{d}{right}"
    cut = f"({c},{d}{right} \\cup {left}{a},{b})"
    assert judge(cut, whole) is Match.SAME
    middle = str((points[0] + points[1]) / 2)
    assert judge(f"{left}{a},{middle}] \\cup [{middle},{b}) \\cup ({c},{d}{right}", whole) is Match.SAME
    assert judge(f"{left}{a},{middle}) \\cup ({middle},{b}) \\cup ({c},{d}{right}", whole) is Match.DIFFERENT
    assert judge(f"{left}{a},{b}] \\cup ({c},{d}{right}", whole) is Match.DIFFERENT


@given(st.text(alphabet="x01<>|,()[]{}\\ cupinmathbR\\infty", max_size=40))
def test_total(text: str) -> None:
    found = read_range(clean(text))
    assert found is None or found.merged() is None or found.pieces
