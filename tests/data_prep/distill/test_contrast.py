"""Contrast rows: shown sets, and a teacher's judgement that has to be the verifier's."""

import asyncio
from dataclasses import replace

import pytest

from data_prep.distill.chains import Citations, Reading
from data_prep.distill.contrast import Judged, by_program, by_teacher, shown_routes
from data_prep.distill.experts import find_expert
from data_prep.distill.flow import Outcome
from data_prep.distill.prompts import Prompts
from data_prep.distill.questions import Question
from data_prep.distill.requests import Reply, Request
from data_prep.search_relevance.generator import make_item
from reward_fns import domains
from reward_fns.response import Verdict
from reward_fns.routes import Route

SEARCH = domains.get("search_relevance")
HOW = Reading(SEARCH, Citations(SEARCH.rules), 2000, "teacher/t")
QUESTION = Question("u", "How?", "Exact", 0, "train")
RIGHT = Route(("a", "so Exact"), "Exact", True, None, None, "t")
WRONG = Route(("b", "so Complement"), "Complement", False, None, None, "t")
LOCATED = replace(WRONG, first_error=1)


def judge(routes: tuple[Route, ...], verdicts: str, answer: str = "Exact") -> Judged:
    text = f"<think>\n1. Route 1 holds [R7]\n2. so Exact [R12]\n</think>\n<verdicts>\n{verdicts}\n</verdicts>\n<answer> {answer} </answer>"
    asked: list[Request] = []

    async def ask(request: Request) -> Reply:
        asked.append(request)
        return Reply(text, "stop", 1, 1)

    judged = asyncio.run(by_teacher(QUESTION, routes, ask, Prompts(SEARCH, 0), HOW))
    assert "Route 1\n1. a\n2. so Exact\nAnswer" in asked[0].messages[0][1]
    return judged


@pytest.mark.parametrize(
    ("wrong", "verdicts", "kept"),
    [
        (WRONG, "1: right\n2: wrong", Verdict(False)),
        (WRONG, "1: right\n2: wrong at 1", Verdict(False, 0)),
        (LOCATED, "1: right\n2: wrong", Verdict(False, 1)),
        (LOCATED, "1: right\n2: wrong at 2", Verdict(False, 1)),
    ],
)
def test_a_judgement_that_is_the_verifiers(wrong: Route, verdicts: str, kept: Verdict) -> None:
    judged = judge((RIGHT, wrong), verdicts)
    assert judged.drop is None and judged.contrast is not None and judged.reply is not None
    assert judged.contrast.verdicts == (Verdict(True), kept)
    assert judged.contrast.critique == "1. Route 1 holds (Brand differs)\n2. so Exact (Full match)"


@pytest.mark.parametrize(
    ("verdicts", "answer", "reason"),
    [
        ("1: right\n2: right", "Exact", "contrast: a verdict is not the label"),
        ("1: wrong at 1\n2: wrong at 2", "Exact", "contrast: a verdict is not the label"),
        ("1: right\n2: wrong at 2", "Complement", "contrast: answer is wrong"),
        ("1: right\n2: wrong at 1", "Exact", "contrast: names another first error"),
        ("1: right\n2: wrong at 9", "Exact", "contrast: names a step that is not there"),
        ("1: right", "Exact", "contrast: unparsable: missing_verdict"),
        ("fine, all of them", "Exact", "contrast: unparsable: malformed_verdicts"),
    ],
)
def test_a_judgement_that_is_not(verdicts: str, answer: str, reason: str) -> None:
    judged = judge((RIGHT, LOCATED), verdicts, answer)
    assert judged.contrast is None and judged.drop is not None and judged.drop.reason == reason


def test_shown_routes_are_drawn_from_question_and_seed() -> None:
    routes = tuple(replace(RIGHT, steps=(f"{n}", "so")) for n in range(3)) + tuple(
        replace(WRONG, steps=(f"{n}", "so")) for n in range(3)
    )
    outcome = Outcome(None, False, routes, (), ())
    sets = [shown_routes(QUESTION, outcome, 4, seed) for seed in range(300)]
    assert sets[0] == shown_routes(QUESTION, outcome, 4, 0)
    assert all(len(set(shown)) == 4 for shown in sets)
    right = [sum(route.label for route in shown) for shown in sets]
    assert all(right.count(number) > 60 for number in (1, 2, 3)) and abs(sum(right) / 300 - 2) < 0.2
    assert [route.label for route in sets[0]] != sorted(route.label for route in sets[0]) or sets[0] != sets[
        1
    ]


def test_disputed_routes_are_not_shown() -> None:
    disputed = replace(RIGHT, sound=False)
    assert shown_routes(
        replace(QUESTION, routes=(disputed,)), Outcome(None, False, (WRONG,), (), ()), 4, 0
    ) == (WRONG,)


def test_the_expert_knows_labels_and_first_errors() -> None:
    expert = find_expert("search_relevance")
    assert expert is not None
    for index in range(30):
        item = make_item(2, "test", index)
        question = Question(f"{index}", item.question, item.decision.label, index, "train")
        judged = by_program(question, Outcome(None, False, (), (), ()), expert, 4, 0)
        assert judged.contrast is not None and 1 <= len(judged.contrast.routes) <= 4
        for route, verdict in zip(judged.contrast.routes, judged.contrast.verdicts, strict=True):
            assert verdict.right == route.label == (route.answer == item.decision.label)
            assert verdict.step == route.first_error
        assert "[R" not in judged.contrast.critique
    unreadable = by_program(QUESTION, Outcome(None, False, (), (), ()), expert, 4, 0)
    assert unreadable.drop is not None and unreadable.contrast is None


@pytest.mark.parametrize(
    ("place", "message"),
    [("json", "package.module:NAME"), ("json:NAME", "has no NAME"), ("json:loads", "lacks name")],
)
def test_a_place_without_an_expert(place: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_expert("mine", place)
    assert find_expert("mine") is None
