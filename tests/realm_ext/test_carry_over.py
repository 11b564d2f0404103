"""Guided successes behind the unguided prompt: which are taken, what is asked, what comes out."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("verl")

import torch
from transfer_queue import KVBatchMeta

from realm_ext import carry_over
from realm_ext.carry_over import MOST, PARTITION, choose, measure, unguided_fields, without_verdicts
from realm_ext.prompt import UNGUIDED
from realm_ext.rollout_metrics import Rollout

GUIDED_TEXT = "<think> so </think>\n<verdicts>\n1: right\n</verdicts>\n<answer> 5 </answer>"
EOS = 0


class Characters:
    """A tokenizer and a builder of one token per character; token 0 ends a text."""

    eos_token_id = EOS

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(c) for c in text]}

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "".join(chr(i) for i in ids if i)

    def build_initial_tokens(self, messages: Any) -> list[int]:
        return [ord(c) for message in messages for c in message["content"]]


def rollout(number: int, guided: bool, right: bool) -> Rollout:
    extra = {
        "guided": guided,
        "exposure": 1.0,
        "row_uid": "q",
        "reward_extra_info": {"outcome": float(right)},
    }
    return Rollout.from_stored(f"v_{number}_0", {"response_len": 3}, extra)


def test_right_guided_ones_are_taken() -> None:
    rollouts = [rollout(0, True, True), rollout(1, False, True), None, rollout(2, True, False)]
    assert choose(rollouts) == [0]
    assert len(choose([rollout(i, True, True) for i in range(100)])) == MOST


def test_verdicts_go() -> None:
    assert without_verdicts(GUIDED_TEXT) == "<think> so </think>\n<answer> 5 </answer>"
    assert without_verdicts("<answer> 5 </answer>") == "<answer> 5 </answer>"


@pytest.mark.parametrize("ends", [True, False])
def test_the_row_is_prompt_without_routes_and_response_without_verdicts(ends: bool) -> None:
    tokens = Characters()
    ids = [ord(c) for c in GUIDED_TEXT] + [EOS] * ends
    fields = unguided_fields([{"role": "user", "content": "2+3?"}], ids, tokens, tokens)
    assert tokens.decode(fields["prompts"].tolist(), True) == "2+3?" + UNGUIDED
    assert tokens.decode(fields["responses"].tolist(), True) == without_verdicts(GUIDED_TEXT)
    assert (fields["responses"][-1] == EOS) == ends
    assert len(fields["input_ids"]) == len(fields["position_ids"])
    assert len(fields["loss_mask"]) == len(fields["responses"])
    assert unguided_fields([{"role": "user", "content": "2+3?"}], [], tokens, tokens)[
        "responses"
    ].tolist() == [EOS]


class Store:
    """TransferQueue and workers: every response is two tokens, of log-probabilities -1 and -3."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.cleared: list[Any] = []
        monkeypatch.setattr(carry_over.tq, "kv_batch_put", lambda **given: None)
        monkeypatch.setattr(carry_over.tq, "kv_batch_get", self.get)
        monkeypatch.setattr(carry_over.tq, "kv_clear", lambda **given: self.cleared.append(given))
        self.workers = SimpleNamespace(compute_log_prob=self.asked.append)

    def get(self, keys: Any, partition_id: str, select_fields: list[str]) -> Any:
        if "raw_prompt" in select_fields:
            responses = [torch.tensor([ord(c) for c in "ab"]) for _ in keys]
            return {
                "responses": torch.nested.as_nested_tensor(responses, layout=torch.jagged),
                "raw_prompt": [[{"role": "user", "content": "?"}]] * len(keys),
            }
        n_prompt = len("?" + UNGUIDED)
        output = torch.cat(
            [torch.full((n_prompt - 1,), 9.0), torch.tensor([-1.0, -3.0]), torch.tensor([9.0])]
        )
        mask = torch.ones(2, dtype=torch.int64)
        return {
            "log_probs": torch.nested.as_nested_tensor([output] * len(keys), layout=torch.jagged),
            "response_mask": torch.nested.as_nested_tensor([mask] * len(keys), layout=torch.jagged),
        }


def batch_of(n: int) -> KVBatchMeta:
    return KVBatchMeta(partition_id="train", keys=[f"v_{i}_0" for i in range(n)], tags=[{}] * n)


def test_the_mean_is_over_the_response_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's output is shifted by one: the last prompt token predicts the first response token."""
    store, tokens = Store(monkeypatch), Characters()
    rollouts = [rollout(0, True, True), rollout(1, True, True)]
    found = measure(batch_of(2), rollouts, store.workers, tokens, tokens, 1, 0.7)
    assert found == {"realm/carry_over/log_prob": -2.0, "realm/carry_over/rollouts": 2.0}
    (given,) = store.asked
    assert given.partition_id == PARTITION
    assert given.extra_info == {"calculate_entropy": False, "compute_loss": False, "temperature": 0.7}
    assert len(given.keys) == 2
    assert store.cleared == [{"keys": given.keys, "partition_id": PARTITION}]
    assert measure(batch_of(2), [rollout(0, False, True), None], store.workers, tokens, tokens, 1, 0.7) == {}


@pytest.mark.parametrize(("right", "ranks", "rows"), [(1, 8, 8), (3, 2, 4), (40, 64, 64), (40, 3, 33)])
def test_any_number_of_ranks_shares_the_rows_evenly(
    right: int, ranks: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tokens = Store(monkeypatch), Characters()
    rollouts = [rollout(i, True, True) for i in range(right)]
    found = measure(batch_of(right), rollouts, store.workers, tokens, tokens, ranks, 1.0)
    assert len(store.asked[0].keys) == len(set(store.asked[0].keys)) == rows
    assert found["realm/carry_over/rollouts"] == min(right, MOST)
