"""Which of the answers in a text is the final one: the rule that all domains share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.answers import is_equivalent
from reward_fns.domains.final_answer import MAX_CANDIDATES, boxes, final_answer

WORDS = ("alpha", "beta")


def read(text: str) -> str | None:
    word = text.strip(" $*.").lower()
    return word if word in WORDS else None


def find(text: str) -> str | None:
    return final_answer(text, read, str.__eq__, str.__ne__)


def test_boxes() -> None:
    text = "\\boxed{a\\boxed{b}c} \\fbox{d} \\boxed {e} \\boxed{\\{f\\}} \\boxed{g"
    assert [box.text for box in boxes(text)] == ["a\\boxed{b}c", "e", "\\{f\\}"]
    assert [text[box.start : box.end] for box in boxes(text)][1] == "\\boxed {e}"
    assert [box.text for box in boxes("\\boxed{ { \\boxed{5}")] == ["5"]
    assert boxes("}}}") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha", "alpha"),
        ("beta, so \\boxed{alpha}", "alpha"),
        ("thus\n#### alpha", "alpha"),
        ("thus\n**Answer:** alpha", "alpha"),
        ("My answer is alpha. Done", "alpha"),
        ("The correct option is alpha", "alpha"),
        ("the answer is \\boxed{alpha}", "alpha"),
        ("\\boxed{alpha}, and once more \\boxed{Alpha}.", "alpha"),
        ("the answer is hard to find\n#### alpha", "alpha"),
        ("\\boxed{alpha} \\boxed{beta}", None),
        ("\\boxed{beta} \\boxed{}", None),
        ("#### beta\n\\boxed{alpha}", None),
        ("the answer is beta. \\boxed{alpha}", None),
        ("\\boxed{alpha} is wrong", None),
        ("$\\boxed{alpha}$? No", None),
        ("\\boxed{alpha} or beta", None),
        ("\\boxed{alpha}\nNot.", None),
        ("anything but \\boxed{alpha}", None),
        ("it is not \\boxed{alpha}", None),
        ("maybe \\boxed{alpha}", None),
        ("the answer is not alpha", None),
        ("the answer is alpha. the answer is beta", None),
        ("the answer is beta, no, the answer is alpha", None),
        ("\\boxed{alpha} / \\boxed{alpha}", None),
        ("\\boxed{alpha} " * (MAX_CANDIDATES + 1), None),
        ("", None),
    ],
)
def test_final_answer(text: str, expected: str | None) -> None:
    assert find(text) == expected


pieces = st.sampled_from(
    ["alpha", "beta", "\\boxed{", "}", "#### ", "\n", "the answer is ", " ", "not ", " or ", "Answer: "]
)


@given(st.lists(pieces, max_size=20).map("".join))
def test_an_answer_is_a_word_that_stands_there(text: str) -> None:
    found = find(text)
    assert found is None or found in text


KNOWN = {"art. 6(1)(b)": "Art. 6(1)(b)", "art": "Art", "u.s": "U.S.", "u.s. law": "U.S. law"} | {
    "urgent": "Urgent",
    "not urgent": "Not urgent",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is Art. 6(1)(b).", "Art. 6(1)(b)"),
        ("The answer is Art.", "Art"),
        ("The answer is U.S. law. It applies.", "U.S. law"),
        ("The answer is U.S.", "U.S."),
        ("The answer is not urgent.", "Not urgent"),
        ("The answer is urgent. It burns.", "Urgent"),
        ("The answer is urgent. The answer is not urgent.", None),
        ("\\boxed{Not urgent}", "Not urgent"),
        ("not \\boxed{Urgent}", None),
        ("Answer：Art. 6(1)(b)。", "Art. 6(1)(b)"),
    ],
)
def test_of_a_closed_set_the_longest_answer_counts(text: str, expected: str | None) -> None:
    found = final_answer(text, lambda part: KNOWN.get(part.strip(' *"`.').casefold()), closed=True)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "gold", "domain", "same"),
    [
        ("The answer is Art. 6.", "Art. 6", "logic", True),
        ("The answer is Yes. 3 of them.", "yes", "logic", True),
        ("The answer is 18. 9*2 = 18.", "18", "math", True),
        ("\\boxed{\\boxed{12}}", "12", "math", True),
        ("\\boxed{ $\\boxed{12}$ }", "12", "math", True),
        ("\\fbox{12}", "12", "math", True),
        ("\\boxed{\\fbox{12}}", "12", "math", True),
        ("\\boxed{\\boxed{B}}", "B", "choice", True),
        ("\\boxed{\\boxed{4.9}}", "$4.9 million", "numeric", True),
        ("\\boxed{\\boxed{12} \\boxed{13}}", "12", "math", False),
        ("\\boxed{\\boxed{12}} \\boxed{13}", "12", "math", False),
        ("\\boxed{12 \\boxed{13}}", "13", "math", False),
        ("\\boxed{\\boxed{12}} is wrong", "12", "math", False),
        ("Answer：12", "12", "math", True),
        ("Answer： B", "B", "choice", True),
        ("（B）", "B", "choice", True),
        ("【B】", "B", "choice", True),
        ("Answer：B。", "B", "choice", True),
        ("（1，2）", "(1,2)", "math", True),
        ("5％", "5%", "numeric", True),
        ("（5）", "-5", "numeric", True),
        ("B、C", "B", "choice", False),
        ("B？", "B", "choice", False),
        ("12？", "12", "math", False),
        ("1，234", "1234", "math", False),
        ("１２", "12", "math", False),
        ("Ｂ", "B", "choice", False),
    ],
)
def test_boxes_in_boxes_and_full_width_punctuation(text: str, gold: str, domain: str, same: bool) -> None:
    assert is_equivalent(text, gold, domain) is same
