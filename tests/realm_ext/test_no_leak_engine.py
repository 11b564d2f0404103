"""No leak, where it counts: the tokens that the engine is asked with, and those that SFT trains on.

Everything between a row and the engine is the real thing: agent worker, agent loop, chat template, tokenizer. Each step
and answer of a route carries a word of its own, so that any piece of one would show.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("verl")

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.workers.rollout.replica import TokenOutput

from data_prep.demo_model import DemoSize, build_demo_model
from data_prep.search_relevance.datasets import DistilOptions, distil, rl_rows
from realm_ext import agent_worker
from realm_ext.agent_loop import RealmAgentLoop
from realm_ext.agent_worker import RealmAgentLoopWorker
from realm_ext.prompt import UNGUIDED

N, ROUTES, ROWS = 4, 4, 6
BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"


def config_at(exposure: float, fade: list[str]) -> Any:
    rollout = {"name": "none", "n": N, "prompt_length": 2000, "response_length": 8, "val_kwargs": {"n": 1}}
    return OmegaConf.create(
        {
            "realm": {"schedule": {"kind": "constant", "start": exposure}, "fade": fade},
            "data": {"apply_chat_template_kwargs": {}},
            "actor_rollout_ref": {"rollout": rollout},
        }
    )


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A Qwen2 chat tokenizer, trained on the domain's prompts."""
    texts = [row["prompt"][0]["content"] for row in rl_rows(20, 0, "train", ROUTES, None).rows]
    return build_demo_model(texts, DemoSize(hidden=32, layers=1, intermediate=32, vocabulary=500))[1]


def mark(index: int, part: int | str) -> str:
    return f"zq{index}x{part}qz"


def marked_rows(regime: str | None) -> list[dict[str, Any]]:
    """Rows as verl's data set hands them out, with a word of its own in each step and answer."""
    rows = []
    for row in rl_rows(ROWS, 3, "train", ROUTES, regime).rows:
        for i, route in enumerate(row["extra_info"]["routes"]):
            route["steps"] = [f"{step} {mark(i, s)}" for s, step in enumerate(route["steps"])]
            route["answer"] = f"{route['answer']} {mark(i, 'a')}"
        rows.append({**row, "raw_prompt": row["prompt"], "uid": row["extra_info"]["uid"], "global_steps": 5})
    return rows


def asked(
    monkeypatch: pytest.MonkeyPatch, tokenizer: Any, config: Any, row: dict[str, Any], validate: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Each prompt that the engine was asked with for a row, as text, and what the reward is told of that rollout."""
    seen: list[tuple[str, dict[str, Any]]] = []

    async def generate(prompt_ids: list[int], **_: Any) -> TokenOutput:
        return TokenOutput(token_ids=[7], log_probs=[-0.1], extra_fields={"asked": list(prompt_ids)})

    async def store(self: Any, row: Any, alive: Any, partition_id: str) -> None:
        seen.extend(
            (tokenizer.decode(output.extra_fields["asked"]), output.extra_fields) for _, output in alive
        )

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(RealmAgentLoopWorker, "_store_group", store)
    monkeypatch.setattr(RealmAgentLoopWorker, "_compute_teacher_logprobs", nothing)
    monkeypatch.setattr(agent_worker.tq, "async_kv_put", nothing)

    async def inside() -> None:
        worker = RealmAgentLoopWorker.__new__(RealmAgentLoopWorker)
        worker.config, worker.tokenizer, worker.processor = config, tokenizer, None
        worker.reward_loop_worker_handles = None
        client, data = SimpleNamespace(generate=generate), DictConfigWrap(config.data)
        worker._loop = RealmAgentLoop(
            DictConfigWrap(config=config), client, tokenizer, None, None, data, hf_model_type="qwen2"
        )
        trajectory = {"step": 5, "sample_index": 0, "rollout_n": 0, "validate": validate}
        await worker._run_prompt(row, {"temperature": 1.0}, trajectory)

    asyncio.run(inside())
    assert len(seen) == (1 if validate else N)
    return seen


def marks_in(text: str) -> set[str]:
    return {word for word in text.split() if word.startswith("zq")}


def cases() -> Iterator[tuple[float, list[str]]]:
    for exposure in (0.0, 0.4, 1.0):
        for fade in (["presence"], ["presence", "routes"], ["steps"], ["presence", "routes", "steps"]):
            yield exposure, fade


@pytest.mark.parametrize(("exposure", "fade"), list(cases()))
def test_training_prompts(
    monkeypatch: pytest.MonkeyPatch, tokenizer: Any, exposure: float, fade: list[str]
) -> None:
    config, n_guided = config_at(exposure, fade), 0
    for row in marked_rows(None):
        bare = row["prompt"][0]["content"] + UNGUIDED
        for prompt, told in asked(monkeypatch, tokenizer, config, row, validate=False):
            n_guided += told["guided"]
            if not told["guided"]:
                assert prompt == BEFORE + bare + AFTER
                assert (told["shown"], told["shown_steps"]) == ([], [])
                continue
            allowed = set()
            for index, n_steps in zip(told["shown"], told["shown_steps"], strict=True):
                steps = row["extra_info"]["routes"][index]["steps"]
                allowed |= {mark(index, s) for s in range(n_steps)}
                allowed |= {mark(index, "a")} if n_steps == len(steps) else set()
            assert marks_in(prompt) == allowed
    assert bool(n_guided) == (exposure > 0)


@pytest.mark.parametrize("regime", [None, "unguided", "guided"])
def test_validation_prompts(monkeypatch: pytest.MonkeyPatch, tokenizer: Any, regime: str | None) -> None:
    """A row that leaves its regime to the schedule is unguided in validation, at full exposure too."""
    for row in marked_rows(regime):
        ((prompt, told),) = asked(monkeypatch, tokenizer, config_at(1.0, ["presence"]), row, validate=True)
        assert told["guided"] == (regime == "guided")
        assert bool(marks_in(prompt)) == (regime == "guided")
        if regime != "guided":
            assert prompt == BEFORE + row["prompt"][0]["content"] + UNGUIDED + AFTER


def test_sft_rows_but_contrast_rows_as_verl_trains_on_them(tokenizer: Any, tmp_path: Path) -> None:
    made = distil(40, 0, options=DistilOptions(contrast_share=0.5)).rows
    path = tmp_path / "sft.parquet"
    pq.write_table(pa.Table.from_pylist(made), path)
    config = OmegaConf.create({"max_length": 4000, "pad_mode": "no_padding"})
    dataset = MultiTurnSFTDataset(str(path), tokenizer, config)
    kinds = {"chain": 0, "contrast": 0}
    for row, item in zip(made, dataset, strict=True):
        kinds[row["kind"]] += 1
        mask = item["loss_mask"].bool()
        prompt, response = (tokenizer.decode(item["input_ids"][part]) for part in (~mask, mask))
        has_routes = any(text in prompt + response for text in ("Routes to judge", "Route 1", "Answer:"))
        assert has_routes == (row["kind"] == "contrast")
        if row["kind"] == "chain":
            question = row["messages"][0]["content"].removesuffix(UNGUIDED)
            assert prompt.startswith(BEFORE + question + UNGUIDED + "<|im_end|>")
            lines = question.splitlines()
            assert [line.split(":")[0] for line in lines[:-1]] == ["Query", "Region", "Ad", "Ships to"]
            assert lines[-1] == "Is the ad Exact, Substitute, Complement or Irrelevant?"
    assert all(kinds.values())
