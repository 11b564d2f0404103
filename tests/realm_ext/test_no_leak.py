"""Nothing of a route reaches a prompt that should have none: unguided rollouts, validation, SFT chains."""

import re
import string
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl")

from data_prep.search_relevance.base import base_rows
from data_prep.search_relevance.datasets import DistilOptions, distil, rl_rows
from realm_ext.agent_worker import without_schedule
from realm_ext.exposure import FADES
from realm_ext.prompt import UNGUIDED
from tests.realm_ext.test_agent_loop import make_loop, prepare, text

QUESTION = "How many apples are left?"
# Marks that stand nowhere but in routes.
WORDS = st.text(string.ascii_uppercase, min_size=4, max_size=8)
ROUTES = st.lists(
    st.builds(
        lambda steps, answer, label: {"steps": steps, "answer": answer, "label": label},
        st.lists(WORDS, min_size=1, max_size=5),
        WORDS,
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def parts(routes: Sequence[dict[str, Any]]) -> list[str]:
    return [part for route in routes for part in (*route["steps"], route["answer"])]


@settings(deadline=None, max_examples=60)
@given(
    routes=ROUTES,
    exposure=st.floats(0, 1),
    fade=st.lists(st.sampled_from(FADES), min_size=1, unique=True),
    regime=st.sampled_from([None, "unguided"]),
    validate=st.booleans(),
    budget=st.sampled_from([10_000, 250]),
)
def test_unguided_prompts(
    routes: list[dict[str, Any]],
    exposure: float,
    fade: list[str],
    regime: str | None,
    validate: bool,
    budget: int,
) -> None:
    row = {
        "raw_prompt": [{"role": "user", "content": QUESTION}],
        "extra_info": {"uid": "q", "regime": regime, "routes": routes},
        "global_steps": 3,
    }
    if validate:
        row = without_schedule(row)
    loop = make_loop(prompt_length=budget, exposure=exposure, fade=tuple(fade))
    prepared = prepare(loop, row)
    if not all(prepared.plan.guided):
        unguided = text(prepared.unguided_ids)
        assert unguided == QUESTION + UNGUIDED
        assert not [part for part in parts(routes) if part in unguided]
    if validate or regime == "unguided":
        assert not any(prepared.plan.guided)
        assert loop.continuous_token_builder.seen == [QUESTION + UNGUIDED]
    whole = set(prepared.plan.shown)
    guided = text(prepared.guided_ids)
    for index, route in enumerate(routes):
        steps = dict(zip(prepared.plan.shown, prepared.plan.shown_steps, strict=True)).get(index, 0)
        if index not in whole or steps < len(route["steps"]):
            assert not re.search(rf"Answer \d: {re.escape(route['answer'])}\n", guided) or any(
                other["answer"] == route["answer"] for i, other in enumerate(routes) if i != index
            )


def test_rl_and_validation_rows_hold_routes_beside_the_prompt_only() -> None:
    for regime in (None, "guided", "unguided"):
        for row in rl_rows(20, 0, "train", 4, regime).rows:
            assert row["extra_info"]["routes"]
            (message,) = row["prompt"]
            assert not [
                step
                for route in row["extra_info"]["routes"]
                for step in route["steps"]
                if step in message["content"]
            ]


@pytest.mark.parametrize("make", ["distil", "base"])
def test_sft_rows_but_contrast_rows(make: str) -> None:
    """A chain row's prompt is the question and the instruction, nothing between."""
    rows = (
        distil(60, 0, options=DistilOptions(contrast_share=0.5)).rows
        if make == "distil"
        else base_rows(60, 0, guided_share=0.5).rows
    )
    kinds = {"chain": 0, "contrast": 0}
    for row in rows:
        *before, user, answer = row["messages"]
        kinds[row["kind"]] += 1
        has_routes = "Routes to judge:" in user["content"]
        assert has_routes == (row["kind"] == "contrast")
        assert ("<verdicts>" in answer["content"]) == has_routes
        if not has_routes:
            assert before == []
            assert user["content"].endswith(UNGUIDED) and "Route " not in user["content"]
            thought = answer["content"].partition("<think>")[2].partition("</think>")[0]
            steps = [re.sub(r"^\d+\. ", "", line.strip()) for line in thought.splitlines()]
            assert steps and not [step for step in steps if step in user["content"]]
    assert all(kinds.values())
