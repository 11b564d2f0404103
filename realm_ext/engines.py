"""Names of verl's parts that verl itself looks up only after Ray has started: rollout engine, training engine, loss.

What of them has been run with ReaLM, composes, or is refused: docs/train_on_gpus.md.
"""

from omegaconf import DictConfig, OmegaConf

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
# Sections that an actor of another engine than FSDP has (the config group `model_engine`), named as its strategy.
OTHER_ENGINES = ("megatron", "veomni", "torchtitan")


def engine_problems(config: DictConfig) -> list[str]:
    """What of verl the config names that verl does not have, or that does not fit together."""
    return [*_rollout_problems(config), *_strategy_problems(config), *_loss_problems(config)]


def _rollout_problems(config: DictConfig) -> list[str]:
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY

    name, known = OmegaConf.select(config, f"{ROLLOUT}.name"), sorted({name for name, _ in _ROLLOUT_REGISTRY})
    if name is None or name in known:
        return []
    return [f"{ROLLOUT}.name={name}: verl has no such engine; it has {', '.join(known)}"]


def _strategy_problems(config: DictConfig) -> list[str]:
    actor = OmegaConf.select(config, ACTOR) or {}
    strategy = actor.get("strategy") or ""
    asked = "fsdp" if strategy.startswith("fsdp") else strategy
    options = next((name for name in OTHER_ENGINES if name in actor), "fsdp")
    if asked == options or asked not in ("fsdp", *OTHER_ENGINES):
        return []
    other = options if asked == "fsdp" else asked
    problem = (
        f"{ACTOR}.strategy={strategy}, but the config holds the options of {options}: give both model_engine={other} "
        f"and {ACTOR}.strategy={other}, or neither"
    )
    return [problem]


def _loss_problems(config: DictConfig) -> list[str]:
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    mode = OmegaConf.select(config, f"{ACTOR}.policy_loss.loss_mode")
    # a library of the user's may register one, in the workers
    has_own = OmegaConf.select(config, "actor_rollout_ref.model.external_lib")
    if mode is None or mode in POLICY_LOSS_REGISTRY or has_own:
        return []
    known = ", ".join(sorted(POLICY_LOSS_REGISTRY))
    return [f"{ACTOR}.policy_loss.loss_mode={mode}: verl has no such loss; it has {known}"]
