"""One writing for what is written in many ways, and nothing else changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.cleaning import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("$\\dfrac12$", "\\frac{1}{2}"),
        ("\\left( 1,\\, 2 \\right)", "( 1, 2 )"),
        ("½π", "\\frac{1}{2}\\pi"),
        ("x² ≤ 3", "x^{2} \\le 3"),
        ("(−∞, 5)", "(-\\infty , 5)"),
        ("[0, infinity)", "[0, \\infty)"),
        ("1{,}234\\,567", "1,234,567"),
        ("1 234 567", "1,234,567"),
        ("1 234", "1 234"),
        ("12 \\text{ cm}^2.", "12 cm ^2"),
        ("60 \\frac{\\text{miles}}{\\text{hour}}", "60 miles/hour"),
        ("$42$ dollars", "42 dollars"),
        ("$5 and $6", "$5 and $6"),
        ("USD 18.50", "$18.50"),
        ("3:30 P.M.", "3:30 pm"),
        ("0.1\\bar6", "\\frac{15}{90}"),
        ("0.\\dot{1}\\dot{2}", "\\frac{12}{99}"),
        ("0.333...", "\\frac{3}{9}"),
        ("3.14159...", "3.14159"),
        ("C(10,3)", "\\binom{10}{3}"),
        ("1 \\ (\\text{mod } 4)", "1 mod 4"),
        ("x \\equiv 1 \\pmod{4}", "1 mod 4"),
        ("101_{two}", "101_2"),
        ("(-4;5)", "(-4,5)"),
        ("\\textcolor{red}{42}", "42"),
        ("= 42", "42"),
        ("\\left[\\begin{array}{cc}1&2\\end{array}\\right]", "\\begin{pmatrix}1&2\\end{pmatrix}"),
        ("The Empty Set", "\\emptyset"),
        ("18²", "18^{2}"),
        ("١٨", "١٨"),  # digits of another script are other characters
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(max_size=60) | st.text(alphabet="01.,\\{}$()[] _^=;overlinfcmdtx", max_size=60))
def test_total(text: str) -> None:
    assert isinstance(clean(text), str)
