"""Aggregations and judgements of the tasks, on cases worked by hand."""

import pytest

from eval_tasks.scoring import (
    first_error_hits,
    informedness,
    judgements,
    macro_f1,
    mean_of_lists,
    mean_of_present,
)
from reward_fns.response import Verdict
from reward_fns.routes import Route

RIGHT = Route(("a", "b"), "x", True, True, None, "s")
WRONG = Route(("a", "b"), "y", False, False, 1, "s")
DISPUTED = Route(("a", "b"), "x", True, False, 1, "s")


def test_macro_f1() -> None:
    # A: precision 1, recall 1/2; B: precision 1/2, recall 1; C: never read
    assert macro_f1([("A", "A"), ("A", "B"), ("B", "B"), ("C", "")]) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert macro_f1([]) == 0.0


def test_means() -> None:
    assert mean_of_present([1.0, None, 0.0]) == 0.5
    assert mean_of_present([None]) == 0.0
    assert mean_of_lists([[True], [], [False, False]]) == pytest.approx(1 / 3)


def test_informedness() -> None:
    assert informedness([[(True, True)], [(False, False), (False, False)]]) == 1.0
    assert informedness([[(True, True), (False, True)]]) == 0.0
    assert informedness([[(True, False), (False, True)]]) == -1.0
    assert informedness([[(True, True)]]) == 0.0


def test_missing_verdicts_count_as_wrong_and_disputed_routes_not_at_all() -> None:
    routes = [RIGHT, WRONG, DISPUTED]
    assert judgements(routes, [None, None, None]) == [(True, False), (False, True)]
    assert judgements(routes, [Verdict(True), Verdict(False, 0), None]) == [(True, True), (False, False)]


@pytest.mark.parametrize(
    ("verdict", "hit"),
    [(Verdict(False, 1), True), (Verdict(False, 0), False), (Verdict(False), False), (Verdict(True), False)],
)
def test_first_errors(verdict: Verdict, hit: bool) -> None:
    assert first_error_hits([RIGHT, WRONG, DISPUTED], [None, verdict, Verdict(False, 1)]) == [hit]
