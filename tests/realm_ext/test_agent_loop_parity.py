"""The same rollouts as verl's `single_turn_agent`, token for token, given the same engine output."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl")

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.workers.rollout.replica import TokenOutput

from data_prep.demo_model import DemoSize, build_demo_model
from realm_ext.agent_loop import RealmAgentLoop
from realm_ext.prompt import render_messages
from reward_fns.routes import routes_from

RESPONSE_LENGTH = 12
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+3?"}]
CONFIG = OmegaConf.create(
    {
        "realm": {"schedule": {"kind": "constant", "start": 0.0}},
        "data": {"apply_chat_template_kwargs": {}},
        "actor_rollout_ref": {
            "rollout": {"name": "none", "n": 4, "prompt_length": 200, "response_length": RESPONSE_LENGTH}
        },
    }
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A Qwen2 chat tokenizer, trained on a few words."""
    size = DemoSize(hidden=32, layers=1, intermediate=32, vocabulary=400)
    return build_demo_model(["Be brief. 2+3? <think> so 5 </think>"] * 4, size)[1]


def rollout(kind: type[Any], tokenizer: Any, engine_output: TokenOutput, row: dict[str, Any]) -> Any:
    async def generate(**request: Any) -> TokenOutput:
        return engine_output.model_copy(update={"extra_fields": {"asked": request["prompt_ids"]}})

    async def inside() -> AgentLoopOutput:
        loop = kind(
            DictConfigWrap(config=CONFIG),
            SimpleNamespace(generate=generate),
            tokenizer,
            None,
            None,
            DictConfigWrap(CONFIG.data),
            hf_model_type="qwen2",
        )
        return await loop.run({"temperature": 1.0}, session_id=1, global_steps=3, **row)

    return asyncio.run(inside())


@settings(deadline=None, max_examples=40)
@given(data=st.data(), ends=st.booleans(), with_log_probs=st.booleans())
def test_prompt_response_mask_and_log_probs_are_the_same(
    tokenizer: Any, data: st.DataObject, ends: bool, with_log_probs: bool
) -> None:
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=RESPONSE_LENGTH + 3))
    ids += [tokenizer.eos_token_id] * ends
    log_probs = [-0.1 * (i + 1) for i in range(len(ids))] if with_log_probs else None
    engine_output = TokenOutput(token_ids=ids, log_probs=log_probs, stop_reason="completed")
    info: dict[str, Any] = {"uid": "q", "regime": None, "routes": []}
    ours = rollout(RealmAgentLoop, tokenizer, engine_output, {"raw_prompt": MESSAGES, "extra_info": info})
    theirs = rollout(
        SingleTurnAgentLoop, tokenizer, engine_output, {"raw_prompt": render_messages(MESSAGES, ())}
    )
    for name in ("prompt_ids", "response_ids", "response_mask", "response_logprobs", "num_turns"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.extra_fields["asked"] == theirs.extra_fields["asked"] == ours.prompt_ids
    assert ours.response_ids == ids[:RESPONSE_LENGTH]


def test_with_routes_shown_they_are_those_of_the_rendered_prompt(tokenizer: Any) -> None:
    routes = [{"steps": ["2 and 3", "so 5"], "answer": "5", "label": True}]
    engine_output = TokenOutput(token_ids=[9, 8, 7], log_probs=[-0.1, -0.2, -0.3], stop_reason="completed")
    info = {"uid": "q", "regime": "guided", "routes": routes}
    ours = rollout(RealmAgentLoop, tokenizer, engine_output, {"raw_prompt": MESSAGES, "extra_info": info})
    rendered = render_messages(MESSAGES, routes_from(routes))
    theirs = rollout(SingleTurnAgentLoop, tokenizer, engine_output, {"raw_prompt": rendered})
    assert "Routes to judge" in tokenizer.decode(ours.prompt_ids)
    for name in ("prompt_ids", "response_ids", "response_mask", "response_logprobs"):
        assert getattr(ours, name) == getattr(theirs, name), name
