"""The critique of a contrast row: a line a route, in which every word can be looked up."""

import pytest

from reward_fns.critique import render_critique, without_critique
from reward_fns.response import Verdict, render_response

RIGHT, WRONG = Verdict(True), Verdict(False)


def test_one_line_a_route() -> None:
    text = render_critique(["5", "6", "7"], [RIGHT, Verdict(False, 2), WRONG], "5", ["", "sum", ""])
    assert text == "Answer 1: 5 / 5: same\nAnswer 2: 6 / 5: differs, sum: 3\nAnswer 3: 7 / 5: differs"


def test_the_place_alone_where_its_subject_is_not_known() -> None:
    assert render_critique(["6"], [Verdict(False, 0)], "5") == "Answer 1: 6 / 5: differs at 1"


def test_a_right_answer_in_other_words_is_the_same() -> None:
    assert render_critique(["1/2"], [RIGHT], "0.5") == "Answer 1: 1/2 / 0.5: same"


def test_no_route_no_text() -> None:
    assert render_critique([], [], "5") == ""


@pytest.mark.parametrize(("verdicts", "wheres"), [([RIGHT], []), ([RIGHT, WRONG], [""])])
def test_lists_of_other_lengths_are_refused(verdicts: list[Verdict], wheres: list[str]) -> None:
    with pytest.raises(ValueError, match="one claim, one verdict and one place a route"):
        render_critique(["5", "6"], verdicts, "5", wheres)


def test_taken_out_again() -> None:
    chain = "1. add: 2 + 3: 5\n2. so 5"
    lines = render_critique(["5", "6"], [RIGHT, Verdict(False, 1)], "5", ["", "(Carry) so"])
    for verdicts in ([], [RIGHT, Verdict(False, 1)]):
        with_it = render_response(f"{chain}\n{lines}", verdicts, "5")
        assert without_critique(with_it) == render_response(chain, verdicts, "5")
    assert without_critique(f"{lines}\n{chain}").strip() == chain
    assert without_critique("Answer 1: we shall see") == "Answer 1: we shall see"


def test_taken_out_in_linear_time() -> None:
    text = "\nAnswer 1: " + "a: " * 200_000
    assert without_critique(text) == text
