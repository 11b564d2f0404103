"""The answer comparer: what is surely the same, and look-alikes that are not."""

import string
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.answers import Match, clean, is_equivalent, judge, same_answer, tier_counts
from reward_fns.numbers import read_number, render_number

SAME = [
    ("18", "18.0"), ("18", "018"), ("18", "+18"), ("18", "$18$"), ("18", "\\(18\\)"), ("18", "**18**"),
    ("18", "\\$18.00"), ("18", "18 dollars"), ("18", "$18 per day"), ("18", "18."), ("-3", "−3"), ("-3", "-$3"),
    ("1000", "1,000"), ("1000", "1{,}000"), ("1000", "1\\,000"), ("1000000", "1 million"), ("0.5", ".5"),
    ("0.5", "1/2"), ("0.5", "\\frac{1}{2}"), ("0.5", "\\dfrac12"), ("-0.5", "-\\frac{1}{2}"),
    ("-0.5", "\\frac{-1}{2}"), ("3/2", "1 1/2"), ("3/2", "1\\frac{1}{2}"), ("-3/2", "-1 1/2"), ("50", "50%"),
    ("50\\%", "50"), ("50\\%", "0.5"), ("300000", "3e5"), ("300000", "3 \\times 10^5"), ("0.003", "3 x 10^{-3}"),
    ("100", "10^2"), ("5\\text{ cm}", "5 cm"), ("5\\text{ cm}", "5"), ("5", "5 \\text{ m}^2"), ("90", "90^\\circ"),
    ("A", "(A)"), ("A", "(a)"), ("(B)", "B."), ("B", "\\text{(B)}"), ("Paris", "paris"), ("x=5", "5"),
    ("5", "x = 5"), ("(1,2)", "\\left( 1, 2.0 \\right)"), ("(1,2)", "$(1, 2)$"), ("[1,2)", "[1, \\frac{4}{2})"),
    ("\\{1,2\\}", "\\{2,1\\}"), ("\\{1,2\\}", "2, 1"), ("1,2", "2, 1.0"), ("\\sqrt{2}", "\\sqrt{ 2 }"),
]  # fmt: skip
DIFFERENT = [
    ("18", "81"), ("18", "-18"), ("18", "1 8"), ("18", "18x"), ("18", "18 xy"), ("18", "18 dozen"), ("1000", "1,00"),
    ("1234", "12,34"), ("0.5", "50"), ("1/3", "0.3333333333"), ("1/3", "33.33%"), ("11/2", "1 1/2"), ("3", "3/0"),
    ("1.5", "1/5"), ("2", "1\\frac{2}{2}"), ("5 m", "5 s"), ("$5", "5 cents"), ("A", "B"), ("A", "a"), ("x", "X"),
    ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), ("[1,2)", "(1,2)"), ("(1,2)", "(1,2,3)"), ("\\{1,2\\}", "\\{1,3\\}"),
    ("\\{1,2\\}", "\\{1,2,3\\}"), ("1,2", "1"), ("x=5", "y=5"), ("10^5", "105"), ("2^{10}", "210"), ("5", ""),
    ("5", "5 or 6"), ("-5", "5 less"), ("9", "9**9**9"), ("1e999999999", "1e999999998"), ("x^2", "x_2"),
    ("1e5", "1e6"), ("12:30", "12.30"), ("18", "1.8e"), ("18", "18²"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "prediction"), SAME)
def test_same(gold: str, prediction: str) -> None:
    assert is_equivalent(prediction, gold)
    assert is_equivalent(gold, gold)


@pytest.mark.parametrize(("gold", "prediction"), DIFFERENT)
def test_different(gold: str, prediction: str) -> None:
    assert not is_equivalent(prediction, gold)
    assert not same_answer(prediction, gold)


def test_each_tier_counts() -> None:
    for tier, prediction, gold, verdict in [
        ("exact:same", "5", "5", Match.SAME),
        ("number:different", "5", "6", Match.DIFFERENT),
        ("number:ambiguous", "5 m", "5 s", Match.AMBIGUOUS),
        ("formula:same", "(x+1)^2", "x^2+2x+1", Match.SAME),
        ("formula:ambiguous", "2 + 3", "5", Match.AMBIGUOUS),
        ("formula:ambiguous", "9^{9^{9}}", "5", Match.AMBIGUOUS),
        ("words:ambiguous", "neve", "even", Match.AMBIGUOUS),
        ("long:unsure", "x" * 2000, "5", Match.UNSURE),
    ]:
        before = tier_counts().get(tier, 0)
        assert judge(prediction, gold) is verdict
        assert tier_counts()[tier] == before + 1


@given(st.fractions(max_denominator=10**6))
def test_every_writing_of_a_number_is_read_exactly(value: Fraction) -> None:
    top, bottom = value.numerator, value.denominator
    forms = [
        f"{top}/{bottom}",
        f"\\frac{{{top}}}{{{bottom}}}",
        f"${'-' if top < 0 else ''}\\dfrac{{{abs(top)}}}{{{bottom}}}$",
        render_number(value),
    ]
    if bottom == 1:
        forms += [f"{top:,}", f"{top}.00", f"\\${top}", f"{top} apples", f"{top}e0"]
    if abs(top) > bottom > 1:
        whole, rest = divmod(abs(top), bottom)
        forms.append(f"{'-' if top < 0 else ''}{whole} {rest}/{bottom}")
    for form in forms:
        number = read_number(clean(form))
        assert number is not None and number.value == value, form


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_decimals_and_percent_are_exact(value: object) -> None:
    number = read_number(f"{value:f}%")
    assert number is not None and number.percent and number.value == Fraction(f"{value:f}")


@given(st.fractions(), st.fractions())
def test_different_numbers_never_match(one: Fraction, other: Fraction) -> None:
    assert same_answer(str(one), str(other)) is (one == other)


mathlike = st.text(alphabet=string.digits + "xyA.,/%$\\{}()[]^+-= e", max_size=30)


@given(mathlike | st.text(max_size=30), mathlike | st.text(max_size=30))
def test_total_and_symmetric_without_units(one: str, other: str) -> None:
    assert isinstance(is_equivalent(one, other), bool)
    if one.strip():
        assert same_answer(one, one)
    assert isinstance(same_answer(one, other), bool)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{}", "${}$", "\\({}\\)", "**{}**", "{}."]))
def test_wrapping_changes_nothing(value: int, wrapping: str) -> None:
    assert is_equivalent(wrapping.format(value), str(value))


@pytest.mark.parametrize(
    "text", ["9" * 500, "1e401", "10^{999}", "1/0", "\\frac{1}{0}", "1e", "--1", "$-$5", "1,0000"]
)
def test_no_number(text: str) -> None:
    assert read_number(text) is None
