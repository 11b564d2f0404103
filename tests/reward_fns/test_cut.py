"""Routes shown in part: which verdicts count, that constant judges still expect 0, and the way through compute_score."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns import compute_score
from reward_fns.cut import cut_routes
from reward_fns.domains import domain_of
from reward_fns.mrpv import Reason, decisive_credit, is_consistent, verdict_credit
from reward_fns.response import Verdict
from reward_fns.routes import Route, route_to_mapping

MATH = domain_of("realm/math")
RIGHT, WRONG = Verdict(True), Verdict(False)


def route(label: bool, steps: int = 4, first_error: int | None = None, mark: str = "") -> Route:
    texts = tuple(f"{mark}s{i}" for i in range(steps))
    return Route(texts, "18" if label else "20", label, None, first_error, "test")


BANK = [route(True), route(False, first_error=1), route(False, first_error=3), route(False)]


def test_whole_routes_stay_as_they_are() -> None:
    assert cut_routes(BANK, (2, 0), (4, 4)) == (BANK[2], BANK[0])


@pytest.mark.parametrize(
    ("index", "n_steps", "first_error"),
    [(1, 2, 1), (1, 3, 1), (1, 1, None), (2, 3, None), (3, 3, None)],
)
def test_a_wrong_route_counts_when_its_first_error_is_shown(
    index: int, n_steps: int, first_error: int | None
) -> None:
    (cut,) = cut_routes(BANK, (index,), (n_steps,))
    assert cut.steps == BANK[index].steps[:n_steps]
    assert cut.first_error == first_error
    assert cut.disputed == (first_error is None)
    for verdict in (RIGHT, WRONG):
        assert (verdict_credit([cut], [verdict], 0.5) is None) == (first_error is None)
        assert first_error is not None or decisive_credit([cut], [verdict]) is None


def test_the_step_named_counts_against_a_guess_among_the_steps_shown() -> None:
    (cut,) = cut_routes([route(True, 8), route(False, 8, 1)], (1,), (4,))
    rates = {8: (0.5,) * 8, 4: (0.5,) * 4}
    assert decisive_credit([cut], [Verdict(False, 1)], rates) == 1.0
    assert decisive_credit([cut], [Verdict(False, 0)], rates) == pytest.approx(-1 / 3)
    assert (
        decisive_credit(cut_routes([route(True), route(False, 4, 0)], (1,), (1,)), [Verdict(False, 0)])
        is None
    )


def test_without_both_kinds_no_cut_route_counts() -> None:
    for bank in ([route(True)] * 3, [route(False, first_error=0)] * 3):
        assert all(cut.disputed for cut in cut_routes(bank, (0, 1, 2), (1, 2, 3)))


def test_unknown_first_errors_do_not_leave_the_right_routes_alone() -> None:
    bank = [route(True), route(False), route(False)]
    assert all(cut.disputed for cut in cut_routes(bank, (0, 1, 2), (3, 3, 3)))


@pytest.mark.parametrize(("n_steps", "n_shown"), [(1, 4), (2, 4), (2, 3), (3, 1), (5, 2)])
def test_constant_judges_expect_nothing_however_much_is_cut(n_steps: int, n_shown: int) -> None:
    """First errors lie where they like (early, here): right routes count as often as wrong ones."""
    draw = random.Random(7)
    totals = {True: 0.0, False: 0.0}
    n_counted = 0
    for question in range(6000):
        errors = [min(draw.randrange(6), draw.randrange(6)) for _ in range(2)]
        wrong = [route(False, 6, e, f"{question}w{i}") for i, e in enumerate(errors)]
        bank = [route(True, 6, mark=f"{question}r{i}") for i in range(2)] + wrong
        shown = cut_routes(bank, draw.sample(range(4), n_shown), (n_steps,) * n_shown)
        for says in totals:
            credit = verdict_credit(shown, [Verdict(says)] * n_shown, 0.5)
            totals[says] += credit or 0.0
            n_counted += credit is not None
    for total in totals.values():
        assert abs(total / (n_counted / 2)) < 0.05


def test_a_disputed_route_stays_disputed() -> None:
    disputed = replace(BANK[1], sound=True)
    for n_steps in (1, 2, 3):
        (cut,) = cut_routes([*BANK, disputed], (4,), (n_steps,))
        assert cut.disputed


def test_consistency_leaves_out_answers_that_were_not_shown() -> None:
    cut = cut_routes(BANK, (0, 1), (3, 3))
    assert not is_consistent([BANK[0]], [RIGHT], "20", MATH)
    assert is_consistent(cut, [RIGHT, RIGHT], "20", MATH)


@pytest.mark.parametrize(
    ("shown", "shown_steps", "text"),
    [((0, 1), (2,), "one each is needed"), ((0,), (5,), "has 4 steps"), ((0,), (-1,), "has 4 steps")],
)
def test_what_cannot_be_is_refused(shown: tuple[int, ...], shown_steps: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        cut_routes(BANK, shown, shown_steps)


def score(shown: list[int], text: str, **info: Any) -> dict[str, Any]:
    extra = {"routes": [route_to_mapping(r) for r in BANK], "shown": shown, **info}
    return compute_score("realm/math", text, "18", extra)


def test_compute_score_reads_shown_steps() -> None:
    text = "<verdicts>\n1: wrong at 2\n2: right\n</verdicts>\n<answer> 18 </answer>"
    whole = score([1, 2], text)
    assert whole == score([1, 2], text, shown_steps=[4, 4]) == score([1, 2], text, shown_steps=None)
    assert (whole["verdict"], whole["wrong_judged_wrong"], whole["wrong_judged_right"]) == (0.0, 1, 1)
    cut = score([1, 2], text, shown_steps=[2, 3])
    assert (cut["verdict"], cut["decisive"], cut["n_disputed"]) == (1.0, 1.0, 1)
    assert (cut["wrong_judged_wrong"], cut["wrong_judged_right"]) == (1, 0)
    assert cut["consistent"] == 1.0


@pytest.mark.parametrize("shown_steps", [[1], [9, 9], "12", [1.5, 2], [None, 1]])
def test_bad_shown_steps_are_a_bad_row(shown_steps: Any) -> None:
    result = score([1, 2], "<answer> 18 </answer>", shown_steps=shown_steps)
    assert (result["reason"], result["guided"]) == (Reason.BAD_ROW, 0)


@given(st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_any_cut_is_scored(n_steps: list[int]) -> None:
    result = score([0, 1, 2, 3], "<answer> 18 </answer>", shown_steps=n_steps)
    assert result["reason"] == Reason.RIGHT and result["n_shown"] == 4
