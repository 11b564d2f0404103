"""Responses as routes: steps as the writer numbered them, or the reason why there is no route."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.routes.reading import MAX_STEPS, read_route, split_steps
from reward_fns.domains import get
from reward_fns.routes import Route

MATH = get("math")


@pytest.mark.parametrize(
    ("reasoning", "steps"),
    [
        ("1. a b\n2. c", ["a b", "c"]),
        ("1) a\n\n2) b\n   goes on\n3) c", ["a", "b goes on", "c"]),
        ("Let me see.\n1. a\n2. b", ["Let me see.", "a", "b"]),
        ("Step 1: a\n**Step 2:** b", ["a", "b"]),
        ("1. a\n5. not the second\n2. b", ["a 5. not the second", "b"]),
        ("a\n\nb \t c\n", ["a", "b c"]),
        ("One is 2.5 here. Two follows! (Three) too.", ["One is 2.5 here.", "Two follows!", "(Three) too."]),
        ("3. only a number in between", ["3. only a number in between"]),
        (" \n ", []),
    ],
)
def test_steps(reasoning: str, steps: list[str]) -> None:
    assert split_steps(reasoning) == steps


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    steps = split_steps(text)
    assert all(step and step == " ".join(step.split()) for step in steps)
    assert isinstance(read_route(text, "1", MATH, "s"), str | Route)


def test_a_right_and_a_wrong_route() -> None:
    text = "<think> 1. 3 + 4 = 7\n2. so 7 </think>\n<answer> The answer is 7 </answer>"
    assert read_route(text, "7", MATH, "student") == Route(
        ("3 + 4 = 7", "so 7"), "7", True, None, None, "student"
    )
    route = read_route(text, "8", MATH, "student")
    assert isinstance(route, Route) and not route.label
    route = read_route("3 + 4 = 7\nso 7\n<answer>7</answer>", "7", MATH, "s")
    assert isinstance(route, Route) and route.steps == ("3 + 4 = 7", "so 7"), "without a think block"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<think> a </think>", "no answer"),
        ("<think> a </think> <answer> 7", "answer not closed"),
        ("<think> a </think> <answer> 1 or 2 </answer>", "answer not readable"),
        ("<think> a </think> <answer> 1 </answer> <answer> 2 </answer>", "several answers"),
        ("<answer> 7 </answer>", "no reasoning"),
        ("<think>  </think><answer> 7 </answer>", "no reasoning"),
        ("<think> a <verdicts> </think><answer> 7 </answer>", "a tag of the grammar inside the reasoning"),
        ("<think> \ud800 </think><answer> 7 </answer>", "half a surrogate pair, which no file can hold"),
        ("<think>" + "a\n" * (MAX_STEPS + 1) + "</think><answer> 7 </answer>", "more than 200 steps"),
        ("", "no answer"),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    assert read_route(text, "7", MATH, "s") == reason
    assert read_route(text, "7", MATH, "s", truncated=True) == "cut off at the token limit"


def test_millions_of_characters_are_refused_at_once() -> None:
    began = time.perf_counter()
    assert read_route("<think> 1. " * 300_000, "7", MATH, "s") == "longer than 400000 characters"
    assert time.perf_counter() - began < 1
