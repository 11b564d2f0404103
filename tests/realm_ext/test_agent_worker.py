"""What the worker sends to the reward and stores, and how it takes failures."""

import asyncio
import pickle
from typing import Any

import pytest

pytest.importorskip("verl")

import ray
from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

from realm_ext import agent_worker
from realm_ext.agent_worker import (
    RealmAgentLoopWorker,
    reward_batch,
    rollout_fields,
    without_schedule,
)

ROUTES = [{"steps": ["s" * 1000], "answer": "1", "label": True}] * 4
ROW: dict[str, Any] = {
    "uid": "u-1",
    "data_source": "realm/math",
    "reward_model": {"style": "rule", "ground_truth": "5"},
    "raw_prompt": [{"role": "user", "content": "2+3?"}],
    "extra_info": {"uid": "q", "routes": ROUTES, "regime": None},
    "prompt": [{"role": "user", "content": "2+3?"}],
    "global_steps": 3,
    "index": 0,
}


def output(n_prompt: int, n_response: int, **extra: Any) -> AgentLoopOutput:
    return AgentLoopOutput(
        prompt_ids=[9] * n_prompt,
        response_ids=[7] * n_response,
        response_mask=[1] * n_response,
        response_logprobs=[-0.5] * n_response,
        num_turns=2,
        metrics=AgentLoopMetrics(),
        extra_fields={"min_global_steps": 2, "max_global_steps": 3, **extra},
    )


ALIVE = [(0, output(3, 2, shown=[1])), (2, output(5, 4, shown=[]))]


def test_reward_rows_do_not_share_what_a_manager_writes_into() -> None:
    data = reward_batch(ROW, ALIVE, pad_token_id=0)
    infos = data.non_tensor_batch["extra_info"]
    for info, fields in zip(infos, data.non_tensor_batch["tool_extra_fields"], strict=True):
        info.update(fields.items())
    assert [info["shown"] for info in infos] == [[1], []]
    assert "shown" not in ROW["extra_info"]
    assert infos[0]["routes"] is infos[1]["routes"]


def test_reward_reads_the_response_as_verls_naive_manager_does() -> None:
    data = reward_batch(ROW, ALIVE, pad_token_id=0)
    for i, n_response in enumerate((2, 4)):
        item = data[i : i + 1][0]
        ids = item.batch["responses"]
        valid = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        assert ids[:valid].tolist() == [7] * n_response
    assert data.non_tensor_batch["raw_prompt"][0] == ROW["raw_prompt"]


def test_routes_are_sent_to_the_reward_once() -> None:
    one = len(pickle.dumps(reward_batch(ROW, ALIVE[:1], 0).non_tensor_batch))
    eight = len(pickle.dumps(reward_batch(ROW, ALIVE * 4, 0).non_tensor_batch))
    assert eight - one < 3000


def test_stored_fields_and_tag() -> None:
    result = output(3, 2)
    result.reward_score = 0.75
    fields, tag = rollout_fields(ROW, 1, result)
    assert fields["input_ids"].tolist() == [9, 9, 9, 7, 7]
    assert fields["position_ids"].tolist() == [0, 1, 2, 3, 4]
    assert fields["loss_mask"].tolist() == [1, 1]
    assert fields["rm_scores"].tolist() == [0.0, 0.75]
    assert fields["session_id"] == 1
    assert {"uid", "data_source", "reward_model", "num_turns", "extra_fields"} <= set(fields)
    assert "extra_info" not in fields
    assert b"ssss" not in pickle.dumps(fields)
    assert tag == {
        "status": "success",
        "prompt_len": 3,
        "response_len": 2,
        "seq_len": 5,
        "global_steps": 3,
        "min_global_steps": 2,
        "max_global_steps": 3,
    }


def test_validation_does_not_follow_the_schedule() -> None:
    assert without_schedule(ROW)["extra_info"]["regime"] == "unguided"
    assert ROW["extra_info"]["regime"] is None
    for info in ({"routes": [], "regime": "guided"}, {"index": 1}, None):
        given = {"extra_info": info}
        assert without_schedule(given) is given


class Remote:
    """A Ray actor method that runs here."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def remote(self, data: Any) -> Any:
        return self.call(data)


class RewardWorker:
    """Refuses any batch of several, and the rollout of session 2 on its own."""

    def __init__(self) -> None:
        self.compute_score_batch = Remote(self.batch)
        self.compute_score = Remote(self.single)

    def batch(self, data: Any) -> Any:
        raise ray.exceptions.RayTaskError("compute_score_batch", "boom", ValueError("boom"))

    def single(self, data: Any) -> Any:
        if data.non_tensor_batch["session_id"][0] == 2:
            raise ValueError("boom")
        return {"reward_score": 1.0, "reward_extra_info": {"acc": 1.0}}


def test_a_reward_that_raises_loses_only_its_rollout() -> None:
    worker = RealmAgentLoopWorker.__new__(RealmAgentLoopWorker)
    worker.reward_loop_worker_handles = [RewardWorker()]
    worker.tokenizer = type("Tokenizer", (), {"pad_token_id": 0})
    alive = [(0, output(3, 2)), (2, output(5, 4))]
    kept = asyncio.run(worker._score_group(ROW, alive))
    assert [session_id for session_id, _ in kept] == [0]
    assert kept[0][1].reward_score == 1.0
    assert kept[0][1].extra_fields["reward_extra_info"] == {"acc": 1.0}


def make_worker() -> RealmAgentLoopWorker:
    worker = RealmAgentLoopWorker.__new__(RealmAgentLoopWorker)
    worker.reward_loop_worker_handles = None
    worker.tokenizer = type("Tokenizer", (), {"pad_token_id": 0})
    return worker


def test_an_empty_response_loses_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """verl puts the reward on the last token; where there is none, it loses that rollout and no other."""
    put: list[dict[str, Any]] = []

    async def async_kv_batch_put(**given: Any) -> None:
        put.append(given)

    monkeypatch.setattr(agent_worker.tq, "async_kv_batch_put", async_kv_batch_put)
    alive = [(0, output(3, 2)), (1, output(3, 0)), (2, output(3, 4))]
    for _, rollout in alive:
        rollout.reward_score = 1.0
    assert asyncio.run(make_worker()._store_group(ROW, alive, "train")) == 2
    assert put[0]["keys"] == ["u-1_0_0", "u-1_2_0"]
    assert [tag["response_len"] for tag in put[0]["tags"]] == [2, 4]
    assert asyncio.run(make_worker()._store_group(ROW, [alive[1]], "train")) == 0
    assert len(put) == 1


def test_a_teacher_that_fails_on_one_rollout_loses_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        async def prepare(self, row: Any, n: int) -> None:
            return None

        async def generate(self, prepared: Any, session_id: int, params: Any) -> AgentLoopOutput:
            return output(3, 2 + session_id)

    async def teacher(result: AgentLoopOutput, *_: Any) -> None:
        if len(result.response_ids) == 3:
            raise ValueError("boom")

    stored: list[int] = []

    async def store(row: Any, alive: list[tuple[int, AgentLoopOutput]], partition_id: str) -> int:
        stored.extend(session_id for session_id, _ in alive)
        return len(alive)

    worker = make_worker()
    worker.config = OmegaConf.create({"actor_rollout_ref": {"rollout": {"n": 3, "val_kwargs": {"n": 1}}}})
    monkeypatch.setattr(worker, "_realm_loop", Loop)
    monkeypatch.setattr(worker, "_compute_teacher_logprobs", teacher)
    monkeypatch.setattr(worker, "_store_group", store)
    assert asyncio.run(worker._run_group(ROW, {}, False, "train")) == 1
    assert stored == [0, 2]
