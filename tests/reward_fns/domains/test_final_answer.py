"""Which of the answers in a text is the final one: the rule that all domains share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
