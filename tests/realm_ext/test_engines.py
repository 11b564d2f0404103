"""Names that verl looks up only after Ray has started are checked before."""

import pytest
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("verl")

from realm_ext.engines import engine_problems


def config(**changes: object) -> DictConfig:
    made = OmegaConf.create(
        {
            "actor_rollout_ref": {
                "actor": {"strategy": "fsdp2", "policy_loss": {"loss_mode": "vanilla"}},
                "rollout": {"name": "vllm"},
                "model": {"external_lib": None},
            }
        }
    )
    for key, value in changes.items():
        OmegaConf.update(made, f"actor_rollout_ref.{key}", value, force_add=True)
    return made


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "rollout.name",
            "hf",
            "actor_rollout_ref.rollout.name=hf: verl has no such engine; it has sglang, trtllm, vllm",
        ),
        (
            "actor.policy_loss.loss_mode",
            "gpso",
            "loss_mode=gpso: verl has no such loss; it has bypass_mode, cispo",
        ),
        (
            "actor.strategy",
            "megatron",
            "strategy=megatron, but the config holds the options of fsdp: give both",
        ),
        ("actor.megatron", {}, "strategy=fsdp2, but the config holds the options of megatron: give both"),
    ],
)
def test_what_verl_does_not_have_is_named(key: str, value: object, expected: str) -> None:
    [problem] = engine_problems(config(**{key: value}))
    assert expected in problem


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"actor.strategy": "fsdp"},
        {"actor.strategy": "megatron", "actor.megatron": {}},
        {"actor.strategy": "veomni", "actor.veomni": {}},
        {"rollout.name": "sglang"},
        {"actor.policy_loss.loss_mode": "cispo"},
        {"actor.policy_loss.loss_mode": "mine", "model.external_lib": "my_losses"},
    ],
)
def test_what_verl_has_passes(changes: dict[str, object]) -> None:
    assert engine_problems(config(**changes)) == []


def test_a_part_of_a_config_passes() -> None:
    assert engine_problems(OmegaConf.create({"actor_rollout_ref": {"rollout": {"n": 8}}})) == []
