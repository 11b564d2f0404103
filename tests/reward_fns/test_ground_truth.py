"""Gold answers of a row, in the forms in which people's data hold them."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from reward_fns import compute_score
from reward_fns.domains import get
from reward_fns.ground_truth import golds
from reward_fns.mrpv import Reason

FORMS = [
    "8",
    " 8 ",
    8,
    ["8"],
    [8],
    ("8",),
    ["8", "8"],
    {"target": ["8"]},
    {"target": "8"},
    {"target": 8, "numbers": None},
    np.array(["8"]),
    np.array(["8"], dtype=object),
    np.array([8]),
    np.array(8),
    np.int64(8),
    [np.int64(8)],
    {"target": np.array(["8"], dtype=object)},
    Decimal(8),
]
REFUSED: dict[str, Any] = {
    "missing": None,
    "empty list": [],
    "an empty list": {"target": []},
    "nan": float("nan"),
    "inf": np.float64("inf"),
    "blank": " ",
    "list": [["8"]],
    "dict": [{"target": "8"}],
    "'target': {": {"target": {"target": "8"}},
    "numbers": {"target": 98, "numbers": [44, 19, 35]},
    "'answer'": {"answer": "8"},
    "bytes": b"8",
    "missing or": ["8", None],
    "NaN": Decimal("NaN"),
    "set": {"8"},
}


@pytest.mark.parametrize("value", FORMS, ids=repr)
def test_one_gold_in_every_form(value: Any) -> None:
    assert golds(value) == ("8",)
    assert compute_score("realm/math", "<answer> 8 </answer>", value)["acc"] == 1
    assert compute_score("realm/math", "<answer> 9 </answer>", value)["acc"] == 0


@pytest.mark.parametrize("named", REFUSED)
def test_no_gold_is_refused_by_name(named: str) -> None:
    with pytest.raises(ValueError, match="ground_truth") as error:
        golds(REFUSED[named])
    assert named in str(error.value)
    row = {"reward_model": {"ground_truth": REFUSED[named]}}
    assert get("math").check_row(row) == [str(error.value)]


@pytest.mark.parametrize("value", [None, [], float("nan"), {"answer": "8"}, [["8"]]], ids=repr)
def test_the_reward_refuses_what_is_no_gold(value: Any) -> None:
    with pytest.raises(ValueError, match="ground_truth"):
        compute_score("realm/math", "<answer> 8 </answer>", value)


def test_a_blank_text_is_a_counted_zero() -> None:
    result = compute_score("realm/math", "<answer> 8 </answer>", " ")
    assert (result["acc"], result["reason"]) == (0, Reason.BAD_ROW)


@pytest.mark.parametrize(("answer", "acc"), [("8", 1), ("eight", 1), ("9", 0), ("8, eight", 0)])
def test_any_of_several_is_right(answer: str, acc: int) -> None:
    result = compute_score("realm/math", f"<answer> {answer} </answer>", ["eight", "8"])
    assert result["acc"] == acc


def test_check_row_proves_each_gold() -> None:
    domain = get("choice")
    assert domain.check_row({"reward_model": {"ground_truth": ["B", "(B) aspirin"]}}) == []
    problems = domain.check_row({"reward_model": {"ground_truth": ["B", "aspirin"]}})
    assert len(problems) == 1 and "aspirin" in problems[0]


@pytest.mark.parametrize("name", ["logic", "search_relevance"])
def test_check_row_reads_a_list(name: str) -> None:
    gold = {"logic": "yes", "search_relevance": "Exact"}[name]
    assert get(name).check_row({"reward_model": {"ground_truth": [gold]}}) == []
