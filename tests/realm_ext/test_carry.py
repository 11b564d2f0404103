"""Carry: which rollouts are taken, what is left of them, and what verl finds in their place."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("verl")

import torch
from transfer_queue import KVBatchMeta

from realm_ext import carry as carry_module
from realm_ext.carry import Carried, as_unguided, candidates, carry
from realm_ext.prompt import UNGUIDED
from realm_ext.rollout_metrics import Rollout
from tests.realm_ext.test_carry_over import EOS, Characters

QUESTION = "2+3?"
GUIDED = (
    "<think> 1. two and three make five\nAnswer 1: 6 / 5: differs, sum: 1 </think>\n"
    "<verdicts>\n1: wrong at 1\n</verdicts>\n<answer> 5 </answer>"
)
STRIPPED = "<think> 1. two and three make five </think>\n<answer> 5 </answer>"


def rollout(
    key: str, guided: bool, right: bool, verdict: float = 0.0, exposure: float | None = 1.0
) -> Rollout:
    extra = {
        "guided": guided,
        "exposure": exposure,
        "row_uid": key.partition("_")[0],
        "shown": [0] if guided else [],
        "reward_extra_info": {"outcome": float(right), "raw_verdict": verdict, "score": 1.25},
    }
    return Rollout.from_stored(key, {"response_len": 3}, extra)


def test_only_questions_that_routes_help_with() -> None:
    rollouts = [
        *(
            rollout("stuck_0_0", True, True),
            rollout("stuck_1_0", True, False),
            rollout("stuck_2_0", False, False),
        ),
        *(
            rollout("half_0_0", True, True),
            rollout("half_1_0", False, True),
            rollout("half_2_0", False, False),
        ),
        *(rollout("level_0_0", True, True), rollout("level_1_0", True, False)),
        *(rollout("level_2_0", False, True), rollout("level_3_0", False, False)),
        *(rollout("solved_0_0", True, True), rollout("solved_1_0", False, True)),
        *(rollout("hopeless_0_0", True, False), rollout("hopeless_1_0", False, False)),
        rollout("alone_0_0", True, True),
        None,
        *(rollout("other_0_0", True, True, exposure=None), rollout("other_1_0", False, False, exposure=None)),
    ]
    assert candidates(rollouts) == [[0], [3]]


def test_who_judged_best_comes_first_and_the_rest_does_not_depend_on_the_order() -> None:
    members = [rollout(f"q_{i}_0", True, True, verdict=float(i == 2)) for i in range(5)]
    unguided = [rollout("q_9_0", False, False)]
    (forward,) = candidates(members + unguided)
    assert forward[0] == 2
    (backward,) = candidates(members[::-1] + unguided)
    assert [4 - i for i in backward] == forward


@pytest.mark.parametrize(
    ("response", "left"),
    [
        (GUIDED, STRIPPED),
        ("<verdicts>\n1: right\n</verdicts>\n<answer> 5 </answer>", "<answer> 5 </answer>"),
        (GUIDED.replace("\n1: wrong at 1", ""), None),
        (GUIDED.replace("</answer>", ""), None),
        ("<think> Route 1 is right. </think>\n<verdicts>\n1: right\n</verdicts>\n<answer> 5 </answer>", None),
    ],
)
def test_what_is_left_speaks_of_no_route(response: str, left: str | None) -> None:
    assert as_unguided(response, 1, QUESTION) == left


class Store:
    """TransferQueue for one batch: responses to read, and what was put."""

    def __init__(self, responses: dict[str, str]) -> None:
        self.responses = responses
        self.put: dict[str, dict[str, Any]] = {}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
        if "raw_prompt" in select_fields:
            rows = [torch.tensor([ord(c) for c in self.responses[key]] + [EOS]) for key in keys]
            return {
                "responses": torch.nested.as_nested_tensor(rows, layout=torch.jagged),
                "raw_prompt": [[{"role": "user", "content": QUESTION}] for _ in keys],
            }
        asked = [self.put[key] for key in keys]
        outputs = [torch.full((len(row["input_ids"]),), -0.5) for row in asked]
        return Selectable(
            log_probs=torch.nested.as_nested_tensor(outputs, layout=torch.jagged),
            response_mask=torch.nested.as_nested_tensor(
                [row["response_mask"] for row in asked], layout=torch.jagged
            ),
        )

    def kv_batch_put(self, keys: list[str], partition_id: str, fields: Any, tags: Any = None) -> None:
        for i, key in enumerate(keys):
            row = self.put.setdefault(key, {})
            for name in fields.keys():  # noqa: SIM118 (a TensorDict iterates over rows)
                row[name] = fields[name][i]


class Selectable(dict[str, Any]):
    """What verl's TensorDict offers beyond a mapping."""

    def select(self, *names: str) -> "Selectable":
        return Selectable({name: self[name] for name in names})


def test_a_carried_rollout_is_stored_as_an_unguided_success(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["q_0_0", "q_1_0", "q_2_0", "p_0_0"]
    store = Store({"q_0_0": GUIDED, "q_1_0": GUIDED.replace("</answer>", "")})
    monkeypatch.setattr(carry_module, "tq", store)
    rollouts = [
        rollout("q_0_0", True, True),
        rollout("q_1_0", True, True, verdict=1.0),
        rollout("q_2_0", False, False),
        rollout("p_0_0", False, True),
    ]
    batch = KVBatchMeta(partition_id="train", keys=list(keys), tags=[{"seq_len": 0} for _ in keys])
    asked: list[KVBatchMeta] = []
    tokens = Characters()
    given: dict[str, Any] = {
        "most": 1,
        "score": 1.05,
        "workers": SimpleNamespace(compute_log_prob=asked.append),
        "tokenizer": tokens,
        "builder": tokens,
        "multiple": 2,
        "temperature": 0.7,
        "with_log_probs": True,
    }
    assert carry(batch, rollouts, **given) == Carried(frozenset({"q_0_0"}), 1, 1)
    row = store.put["q_0_0"]
    assert tokens.decode(row["prompts"].tolist(), True) == QUESTION + UNGUIDED
    assert tokens.decode(row["responses"].tolist(), True) == STRIPPED
    assert row["responses"][-1] == EOS
    assert row["rm_scores"].sum() == row["rm_scores"][-1] == pytest.approx(1.05)
    assert row["rollout_log_probs"].tolist() == [-0.5] * len(row["responses"])
    assert batch.tags[0]["seq_len"] == len(row["input_ids"])
    assert batch.tags[0]["response_len"] == len(row["responses"])
    assert [tag["seq_len"] for tag in batch.tags[1:]] == [0, 0, 0]
    (request,) = asked
    assert len(request.keys) == 2
    assert request.keys[0] == "q_0_0"
    assert request.extra_info["temperature"] == 0.7
    store.put.clear()
    carry(batch, rollouts, **given | {"with_log_probs": False})
    assert len(asked) == 1 and "rollout_log_probs" not in store.put["q_0_0"]


def test_nothing_to_carry_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_module, "tq", None)
    batch = KVBatchMeta(partition_id="train", keys=["q_0_0"], tags=[{}])
    nobody: Any = None
    found = carry(
        batch,
        [rollout("q_0_0", False, False)],
        most=1,
        score=1.0,
        workers=nobody,
        tokenizer=nobody,
        builder=nobody,
        multiple=1,
        temperature=1.0,
        with_log_probs=True,
    )
    assert found == Carried()
