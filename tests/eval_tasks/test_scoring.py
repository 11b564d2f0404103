"""Scores of single documents: judgements, truncation, several samples, and cheats that are worth nothing."""

from itertools import combinations
from typing import Any

import pytest

from eval_tasks.scoring import (
    agreement,
    first_error_hits,
    is_truncated,
    judgements,
    majority,
    pass_at,
    score,
    score_samples,
)
from reward_fns.domains import get
from reward_fns.response import Verdict
from reward_fns.routes import Route
from tests.reward_fns.test_cheats import CASES, GUIDED_CHEATS, UNGUIDED_CHEATS, Case, Cheat, respond, route

RIGHT = Route(("a", "b"), "x", True, True, None, "s")
WRONG = Route(("a", "b"), "y", False, False, 1, "s")
DISPUTED = Route(("a", "b"), "x", True, False, 1, "s")
MATH = {"question": "9 + 9?", "gold": "18", "data_source": "realm/math/unguided"}


def said(answer: str) -> str:
    return f"<answer> {answer} </answer>"


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


def test_verdicts_that_compare_answers_agree_with_the_own_one_right_or_not() -> None:
    eighteen, nine = (Route(("a",), answer, True, True, None, "s") for answer in ("18.0", "9"))
    verdicts = [Verdict(True), Verdict(True)]
    assert agreement([eighteen, nine], verdicts, "18", get("math")) == [True, False]
    assert agreement([eighteen, nine], verdicts, "9", get("math")) == [False, True]
    assert agreement([eighteen, nine], [None, Verdict(False, 0)], "18", get("math")) == [True]
    assert agreement([eighteen, nine], verdicts, None, get("math")) == []


@pytest.mark.parametrize(
    ("response", "cut"),
    [
        ("<think> so", True),
        ("<think> maybe <answer> 18 </answer>, or", True),
        ("<think> so </think><answer> 1", True),
        ("<verdicts>\n1: right", True),
        ("<think> so </think>", False),
        ("so it goes", False),
        ("", False),
        (said("18"), False),
    ],
)
def test_truncation_is_an_open_block_at_the_end(response: str, cut: bool) -> None:
    assert is_truncated(response) is cut
    assert score(MATH, response)["truncated"] == float(cut)


def test_pass_at_is_the_share_of_draws_with_a_right_one() -> None:
    for right in range(6):
        for j in range(1, 6):
            draws = list(combinations([True] * right + [False] * (5 - right), j))
            assert pass_at(5, right, j) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_samples() -> None:
    got = score_samples(MATH, [said("18"), said("17"), said("17"), "<think> so"])
    assert got["mean@k"] == 0.25 and got["maj@k"] == 0.0
    assert got["pass@2"] == pytest.approx(0.5) and got["pass@k"] == 1.0
    assert got["distinct@k"] == 0.75
    assert (got["malformed"], got["truncated"], got["timeout"]) == (0.25, 0.25, 0.0)
    assert set(score_samples(MATH, [said("18")] * 8)) >= {"pass@2", "pass@4", "pass@k"}


def vote(*answers: str, doc: dict[str, Any] = MATH) -> float:
    texts = [said(answer) for answer in answers]
    return majority(doc, texts, [score(doc, text)["acc"] == 1.0 for text in texts])


def test_votes_are_grouped_by_the_comparer() -> None:
    assert vote("18.0", "17", "\\frac{36}{2}", "17 apples", "$18$") == 1.0
    assert vote("17", "18", "17.0") == 0.0


def test_ties_share_and_unreadable_answers_do_not_vote() -> None:
    assert vote("18", "17") == 0.5
    assert vote("18", "?", "?", "maybe 3") == 1.0
    assert vote("?", "") == 0.0


def doc_of(case: Case, guided: bool) -> dict[str, Any]:
    doc: dict[str, Any] = {"question": "?", "gold": case.gold, "data_source": f"realm/{case.domain}"}
    if guided:
        doc |= {"routes": [route(case.gold, True), route(case.other, False)], "right_share": 0.5}
    return doc


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.domain} {case.gold}")
@pytest.mark.parametrize(("cheats", "guided"), [(UNGUIDED_CHEATS, False), (GUIDED_CHEATS, True)])
def test_every_cheat_of_the_reward_scores_nothing_here(
    case: Case, cheats: tuple[Cheat, ...], guided: bool
) -> None:
    doc = doc_of(case, guided)
    assert score(doc, said(case.gold))["acc"] == 1.0
    tried = [cheat for cheat in cheats if not cheat.domains or case.domain in cheat.domains]
    assert len(tried) >= 30
    scored = {cheat.name: score(doc, respond(cheat, case)) for cheat in tried}
    assert [name for name, got in scored.items() if got["acc"] > 0] == []
    assert {name for name, got in scored.items() if got["acc_flexible"] > 0} <= UNTAGGED


UNTAGGED = {"no tags", "nothing else but boxed", "other case", "full width tag"}
"""Right answers that lack nothing but the tag: what `acc_flexible` is for."""
