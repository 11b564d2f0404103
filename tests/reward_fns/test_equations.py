"""Names of values come off, and what is no name stays."""

import pytest

from reward_fns.answers import clean, is_equivalent
from reward_fns.equations import left_side, renamed, without_names


@pytest.mark.parametrize(
    ("text", "name", "rest"),
    [
        ("x = 5", "x", "5"),
        ("5 = x", "x", "5"),
        ("f(x) = x + 1", "f(x)", "x + 1"),
        ("a_{n} = 2^n", "a_{n}", "2^n"),
        ("Area = 12", "Area", "12"),
        ("AB = 5", "AB", "5"),
        ("\\angle ABC = 120°", "\\angle ABC", "120°"),
        ("P(X > 2) = \\frac{1}{2}", "P(X > 2)", "\\frac{1}{2}"),
        ("m + n = 73", "m + n", "73"),
        ("3 + 4 = 7", None, "7"),
        ("x = 3 + 4 = 7", "x", "7"),
        ("3 + 4 = 8", None, "3 + 4 = 8"),
        ("2x = 10", None, "10"),
        ("not = 5", None, "5"),
        ("5", None, "5"),
    ],
)
def test_left_side(text: str, name: str | None, rest: str) -> None:
    found = left_side(text)
    assert found[0] == name
    if name or "=" not in text:
        assert found[1] == rest


@pytest.mark.parametrize(
    ("prediction", "gold", "same"),
    [
        ("x = 3, y = -2", "(3, -2)", True),
        ("y = -2, x = 3", "(3, -2)", True),
        ("(x, y) = (3, -2)", "(3, -2)", True),
        ("r = 2, \\theta = \\pi", "(2, \\pi)", True),
        ("x = y = z = 1", "(1, 1, 1)", True),
        ("x = 1 \\text{ or } x = 2", "1, 2", True),
        ("x_1 = 1, x_2 = 2", "\\{2, 1\\}", True),
        ("(a,b) = (1,2), (3,4)", "(3,4), (1,2)", True),
        ("f(t) = t^2", "f(x) = x^2", True),
        ("y = x + 1", "f(x) = x + 1", True),
        ("x \\in \\{1, 2\\}", "1, 2", True),
        ("x = 3, y = 2", "(3, -2)", False),
        ("x = -2, y = 3", "(3, -2)", False),
        ("x = 1 \\text{ or } x = 2", "1", False),
        ("x = 1 \\text{ or } y = 2", "(1, 2)", False),
        ("x = 1, y = 2", "1, 2", False),
        ("f(t) = x^2", "f(x) = x^2", False),
        ("2x = 10", "5", False),
        ("x + y = 5", "5", False),
        ("y = 5", "x = 5", False),
        ("x = 4 = 5", "5", False),
    ],
)
def test_named_values(prediction: str, gold: str, same: bool) -> None:
    assert is_equivalent(prediction, gold) is same


def test_both_names_stay_where_they_differ() -> None:
    assert without_names("x = 5", "y = 5") == ("x = 5", "y = 5")
    assert without_names("x = 5", "x = 6") == ("5", "6")


def test_renamed_leaves_commands_and_words() -> None:
    assert renamed(clean("\\sin t + 2t + sqrt(t)"), "t", "x") == "\\sin x + 2x + sqrt(x)"
