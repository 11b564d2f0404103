"""The reward as verl's reward workers load and call it: by `pkg://` and as a user's own file, many answers at once.

verl's reward manager is the real one; only the tokenizer is a stand-in, which gives back the text it was made with.
Training runs through Ray are in tests/e2e.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from reward_fns import symbolic

pytest.importorskip("verl")
pytest.importorskip("math_verify")

import torch
from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

ENDLESS = "\\sum_{k=1}^{10^{9}} \\frac{1}{k^{k}}"
ANSWERS = [
    ("18", "18", 1.0),
    ("17", "18", 0.0),
    ("\\sin 45° + {}", "\\frac{1}{\\sqrt{2}} + {}", 1.0),  # for the workers
    ("(x+{})^2", "x^2 + 2 \\cdot {} x + {}^2", 1.0),
    ("{" * 5_000, "18", 0.0),
]
MINE = """
from reward_fns import compute_score
from reward_fns.answers import is_equivalent

def my_score(data_source, solution_str, ground_truth, extra_info=None, bonus=0.0):
    result = compute_score("realm/math", solution_str, ground_truth, extra_info)
    return result | {"score": result["score"] + bonus, "same": float(is_equivalent("1/2", "0.5"))}
"""


class Echo:
    """A tokenizer whose only token is the number of a text."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def decode(self, token_ids: Any, skip_special_tokens: bool) -> str:
        return self._texts[int(token_ids[0])]


def config(**function: Any) -> DictConfig:
    manager = {"source": "register", "name": "naive"}
    return OmegaConf.create({"reward": {"custom_reward_function": function, "reward_manager": manager}})


def row(number: int, gold: str) -> DataProto:
    ids = torch.tensor([[number]])
    return DataProto.from_dict(
        tensors={"responses": ids, "attention_mask": torch.ones_like(ids)},
        non_tensors={
            "data_source": ["realm/math/unguided"],
            "reward_model": [{"style": "rule", "ground_truth": gold}],
            "extra_info": [{"uid": str(number)}],
        },
    )


def judged(settings: DictConfig, answers: list[tuple[str, str]]) -> list[dict[str, Any]]:
    texts = [f"<answer> {answer} </answer>" for answer, _ in answers]

    async def all_at_once() -> list[dict[str, Any]]:
        manager = load_reward_manager(settings, Echo(texts))
        rows = (row(i, gold) for i, (_, gold) in enumerate(answers))
        return list(await asyncio.gather(*(manager.run_single(data) for data in rows)))

    return asyncio.run(all_at_once())


def test_two_hundred_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "BUDGET_SECONDS", 30.0)
    numbered = [
        (answer.replace("{}", str(i)), gold.replace("{}", str(i)), outcome)
        for i in range(40)
        for answer, gold, outcome in ANSWERS
    ]
    results = judged(
        config(path="pkg://reward_fns", name="compute_score", reward_kwargs={"w_format": 0.1}),
        [(answer, gold) for answer, gold, _ in numbered],
    )
    extra = [result["reward_extra_info"] for result in results]
    assert [info["outcome"] for info in extra] == [outcome for _, _, outcome in numbered]
    assert [result["reward_score"] for result in results] == [info["outcome"] + 0.1 for info in extra]
    assert len({frozenset(info) for info in extra}) == 1 and "reward" not in extra[0]
    assert len(symbolic._pool().pids()) <= symbolic.MAX_WORKERS


def test_answers_that_take_for_ever_do_not_hold_up_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "BUDGET_SECONDS", 1.0)
    answers = [(f"{ENDLESS} + {i}", "\\sin 1") if i % 4 == 0 else (str(i), str(i)) for i in range(24)]
    started = time.monotonic()
    extra = [
        result["reward_extra_info"]
        for result in judged(config(path="pkg://reward_fns", name="compute_score"), answers)
    ]
    assert time.monotonic() - started < 6 * 1.5  # six endless ones, each within its budget
    assert [info["timeout"] for info in extra] == [int(i % 4 == 0) for i in range(24)]
    assert [info["outcome"] for info in extra] == [float(i % 4 != 0) for i in range(24)]


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    """verl loads it under a made-up name, so it imports absolutely."""
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    settings = config(path=str(tmp_path / "mine.py"), name="my_score", reward_kwargs={"bonus": 0.5})
    (result,) = judged(settings, [("18", "18")])
    assert result["reward_score"] == pytest.approx(1.55) and result["reward_extra_info"]["same"] == 1.0
