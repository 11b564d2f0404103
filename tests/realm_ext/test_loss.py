"""The loss of ReaLM's configs, computed by verl's own `ppo_loss`: a token weighs the same in whichever micro-batch it lies."""

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import hydra
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict

pytest.importorskip("verl")

from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.seqlen_balancing import rearrange_micro_batches
from verl.workers.utils.losses import ppo_loss, sft_loss

from realm_ext.attention import PADDED_RUN
from realm_ext.loss import loss_problems
from realm_ext.patches import PADDED, _micro_batches_of_like_lengths
from realm_ext.paths import Folder, find_folder

PROMPT = 3
RESPONSES = (20, 24, 60, 64, 100, 104, 108, 112)
BUDGET = 128  # of a response
TOKENS = 400  # of a micro-batch
N = len(RESPONSES)
MODES = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")


@pytest.fixture(autouse=True)
def padded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PADDED, "1")


@cache
def composed(name: str) -> DictConfig:
    with hydra.initialize_config_dir(config_dir=str(find_folder(Folder.CONFIGS)), version_base=None):
        return hydra.compose(name, overrides=[f"data.max_response_length={BUDGET}"])


def recipe(*overrides: str, name: str = "realm_zero") -> DictConfig:
    config = OmegaConf.merge(composed(name), OmegaConf.from_dotlist(list(overrides)))
    assert isinstance(config, DictConfig)
    return config


def actor(*overrides: str) -> Any:
    """verl's actor config of a recipe, as its workers get it."""
    return omega_conf_to_dataclass(recipe(*overrides).actor_rollout_ref.actor)


def nested(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)


def batch() -> TensorDict:
    """Eight rollouts as the trainer hands them to a worker; rollout i has advantage +1 or -1."""
    columns = {
        "prompts": [torch.zeros(PROMPT, dtype=torch.long) for _ in RESPONSES],
        "responses": [torch.zeros(n, dtype=torch.long) for n in RESPONSES],
        "input_ids": [torch.zeros(PROMPT + n, dtype=torch.long) for n in RESPONSES],
        "response_mask": [torch.ones(n, dtype=torch.long) for n in RESPONSES],
        "loss_mask": [torch.ones(n, dtype=torch.long) for n in RESPONSES],
        "old_log_probs": [torch.full((n,), -1.0) for n in RESPONSES],
        "ref_log_prob": [torch.full((n,), -1.5) for n in RESPONSES],
        "advantages": [torch.full((n,), 1.0 if i % 2 else -1.0) for i, n in enumerate(RESPONSES)],
        "row": torch.arange(N),
    }
    data = TensorDict(
        {key: value if key == "row" else nested(value) for key, value in columns.items()}, batch_size=N
    )
    tu.assign_non_tensor(data, batch_num_tokens=sum(RESPONSES), global_batch_size=N, use_remove_padding=False)
    return data


def one(data: TensorDict) -> list[TensorDict]:
    return [data]


def mixed(data: TensorDict) -> list[TensorDict]:
    """As verl balances them: each micro-batch holds long and short ones."""
    return rearrange_micro_batches(data, max_token_len=TOKENS, dp_group=None)[0]


def like_lengths(data: TensorDict) -> list[TensorDict]:
    """As ReaLM groups them without flash attention."""
    module = SimpleNamespace(rearrange_micro_batches=rearrange_micro_batches)
    _micro_batches_of_like_lengths(module)
    groups: list[TensorDict] = module.rearrange_micro_batches(data, max_token_len=TOKENS)[0]
    assert len(groups) > 2
    return groups


def single(data: TensorDict) -> list[TensorDict]:
    return [tu.index_select_tensor_dict(data, [i]) for i in range(N)]


PARTITIONS = (mixed, like_lengths, single)


def update(config: Any, groups: Sequence[TensorDict], dp_size: int = 1) -> tuple[float, list[torch.Tensor]]:
    """Loss of one update and its gradient by each response token, both summed over micro-batches as the engine does.

    With `dp_size` ranks FSDP averages gradients, so each rank's are divided by it.
    """
    log_probs = [torch.full((PROMPT + n,), -1.0).requires_grad_() for n in RESPONSES]
    entropy = [torch.full((PROMPT + n,), 0.5).requires_grad_() for n in RESPONSES]
    total = 0.0
    for group in groups:
        tu.assign_non_tensor(group, dp_size=dp_size)
        rows = group["row"].tolist()
        # a gradient of the entropy reaches the same leaf, as in a model
        output = {
            "log_probs": nested([log_probs[i] for i in rows]),
            "entropy": nested([entropy[i] + 0.1 * log_probs[i] for i in rows]),
        }
        loss, _ = ppo_loss(config, output, group)
        (loss / dp_size).backward()
        total += float(loss.detach()) / dp_size
    # verl shifts by one: the log-probability of a response's token stands one place before it
    return total, [row.grad[PROMPT - 1 : -1] for row in log_probs if row.grad is not None]


def test_a_token_weighs_one_over_rollouts_and_budget() -> None:
    """8 rollouts, budget 128: the gradient of each token is its advantage / (8 * 128), whatever its response's length."""
    loss, gradients = update(actor(), like_lengths(batch()))
    assert torch.allclose(
        torch.tensor(loss), torch.tensor(-(24 - 20 + 64 - 60 + 104 - 100 + 112 - 108) / (8 * 128.0))
    )
    for i, gradient in enumerate(gradients):
        assert len(gradient) == RESPONSES[i]
        assert torch.allclose(gradient, torch.tensor((-1.0 if i % 2 else 1.0) / (8 * 128)), rtol=1e-5)


@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "more", [(), ("entropy_coeff=0.01", "use_kl_loss=true")], ids=["policy", "entropy and kl"]
)
def test_the_gradient_of_a_token_does_not_depend_on_its_micro_batch(
    partition: Any, mode: str, more: tuple[str, ...]
) -> None:
    config = actor(*(f"actor_rollout_ref.actor.{key}" for key in (f"loss_agg_mode={mode}", *more)))
    whole, wanted = update(config, one(batch()))
    parts, found = update(config, partition(batch()))
    assert parts == pytest.approx(whole, rel=1e-5)
    for left, right in zip(found, wanted, strict=True):
        assert torch.allclose(left, right, rtol=1e-4)


def test_nor_on_its_rank() -> None:
    """Two data-parallel ranks with four rollouts each, the short ones on one and the long ones on the other."""
    data = batch()
    ranks = [tu.index_select_tensor_dict(data, list(range(start, start + 4))) for start in (0, 4)]
    whole, wanted = update(actor(), [data])
    parts, found = update(actor(), ranks, dp_size=2)
    assert parts == pytest.approx(whole, rel=1e-5)
    assert all(torch.allclose(left, right, rtol=1e-5) for left, right in zip(found, wanted, strict=True))


def test_sft_divides_by_the_tokens_of_the_whole_batch() -> None:
    data = batch()
    data["loss_mask"] = nested([torch.cat([torch.zeros(PROMPT), torch.ones(n)]) for n in RESPONSES])
    log_probs = [torch.full((PROMPT + n,), -1.0).requires_grad_() for n in RESPONSES]
    for group in single(data):
        tu.assign_non_tensor(group, dp_size=1)
        sft_loss(None, {"log_probs": nested([log_probs[i] for i in group["row"].tolist()])}, group)[
            0
        ].backward()
    for row in log_probs:
        assert row.grad is not None and torch.allclose(
            row.grad[PROMPT - 1 : -1], torch.tensor(-1.0 / sum(RESPONSES))
        )


# ------------------------------ what a config may say ------------------------------


@pytest.mark.parametrize("name", ["realm_zero", "realm_r1", "realm_lora", "realm_quickstart"])
def test_recipes_divide_by_the_response_budget(name: str) -> None:
    config = recipe(name=name)
    assert config.actor_rollout_ref.actor.loss_scale_factor == BUDGET
    assert loss_problems(config) == []


def test_a_length_that_changes_with_the_micro_batch_is_refused() -> None:
    (problem,) = loss_problems(recipe("actor_rollout_ref.actor.loss_scale_factor=null"))
    assert "actor_rollout_ref.actor.loss_scale_factor=null" in problem
    assert f"data.max_response_length ({BUDGET})" in problem
    other = recipe(
        "actor_rollout_ref.actor.loss_scale_factor=null", "actor_rollout_ref.actor.loss_agg_mode=token-mean"
    )
    assert loss_problems(other) == []


@pytest.mark.parametrize("mode", sorted(POLICY_LOSS_REGISTRY))
def test_loss_modes_that_look_at_the_micro_batch_are_known(mode: str) -> None:
    """Each of verl's policy losses is either the same in every partition, or refused where it is not."""
    key = "actor_rollout_ref.actor.policy_loss"
    options = (f"{key}.loss_mode={mode}", *((f"{key}.dro_beta=0.1",) if mode == "dro" else ()))
    gpu, cpu = recipe(*options), recipe(*options, "trainer.device=cpu")
    fixed = recipe(*options, "actor_rollout_ref.actor.use_dynamic_bsz=false")
    if mode == "geo_mean":
        assert "takes the mean" in loss_problems(gpu)[0] and "takes the mean" in loss_problems(cpu)[0]
    elif mode in ("clip_cov", "kl_cov"):
        padded = recipe(*options)
        OmegaConf.update(padded, PADDED_RUN, "1", force_add=True)
        assert loss_problems(gpu) == [] and "like lengths" in loss_problems(cpu)[0]
        assert loss_problems(padded) == loss_problems(cpu)
    else:
        assert loss_problems(gpu) == loss_problems(cpu) == []
        whole, wanted = update(actor(*options), one(batch()))
        for partition in PARTITIONS:
            parts, found = update(actor(*options), partition(batch()))
            assert parts == pytest.approx(whole, rel=1e-5)
            assert all(
                torch.allclose(left, right, rtol=1e-4) for left, right in zip(found, wanted, strict=True)
            )
    assert loss_problems(fixed) == []


def test_configs_that_say_nothing_of_a_loss_pass() -> None:
    assert loss_problems(OmegaConf.create({"actor_rollout_ref": {}})) == []
