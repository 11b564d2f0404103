"""Which attention a run uses where flash-attn is not installed: PyTorch's own (sdpa), on padded batches.

verl loads every model with flash attention unless its config names another, and packs sequences without padding, which
flash attention alone makes fast. flash-attn is built against the installed torch and so comes as a second step of the
installation, if at all. The checks before a run (`realm_ext.preflight`, `realm_ext.preflight_sft`) call `settle`.
"""

import os
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from realm_ext.patches import PADDED

# The engines that take the model's attention from `override_config.attn_implementation`.
ENGINES = ("fsdp", "fsdp2")
FLASH = "flash_attention_2"
# Where a config hands the variable PADDED to the processes of its run.
PADDED_RUN = f"ray_kwargs.ray_init.runtime_env.env_vars.{PADDED}"


def flash_fault() -> str | None:
    """Why flash_attn cannot be used in this process; None: it can.

    It is imported, since a package built against another torch is found by its name and fails when it is used.
    """
    try:
        import flash_attn  # noqa: F401
    except Exception as error:  # noqa: BLE001 (a broken build raises whatever its extension module raises)
        reason = " ".join(str(error).split())
        return f"{type(error).__name__}: {reason[:200]}"
    return None


def settle(model: DictConfig, path: str, strategy: Any, sequence_parallel: int) -> bool:
    """Choose sdpa and padding in `model` where the config leaves flash attention, which cannot be imported here.

    Says so in one line, once a run. Ascend NPUs have a flash attention of their own.

    Args:
        model: a `model` section of verl's config, changed in place.
        path: where that section stands in the config, for the messages.
        strategy: the engine that loads the model.
        sequence_parallel: Ulysses ranks a sequence is spread over; more than 1 needs sequences without padding.

    Returns:
        Whether `model` has been changed.

    Raises:
        ValueError: the config asks for what only flash attention can do.
    """
    if strategy not in ENGINES or hasattr(torch, "npu"):
        return False
    asked = OmegaConf.select(model, "override_config.attn_implementation")
    if asked not in (None, FLASH) or (fault := flash_fault()) is None:
        return False
    missing = f"needs flash-attn, which cannot be imported ({fault}): install it (`make setup-gpu-flash`), or"
    if asked == FLASH:
        raise ValueError(f"{path}.override_config.attn_implementation={FLASH} {missing} leave that key out")
    if sequence_parallel > 1:
        raise ValueError(f"ulysses_sequence_parallel_size={sequence_parallel} {missing} set it to 1")
    with open_dict(model):
        model.override_config = {**(model.get("override_config") or {}), "attn_implementation": "sdpa"}
        model.use_remove_padding = False
    os.environ[PADDED] = "1"
    if os.environ.get("RANK", "0") == "0":
        print(
            f"ReaLM: flash-attn cannot be imported ({fault}): {path} runs with attn_implementation=sdpa and "
            "use_remove_padding=false, which is slower. `make setup-gpu-flash` installs it.",
            flush=True,
        )
    return True


def settle_rl(config: DictConfig) -> list[str]:
    """`settle` for the models that an RL config trains: the actor, and the critic where there is one.

    Returns:
        What keeps the run from starting.
    """
    sections = [("actor_rollout_ref.model", "actor_rollout_ref.actor")]
    has_critic = OmegaConf.select(config, "critic.enable")
    if has_critic or (has_critic is None and config.algorithm.adv_estimator == "gae"):
        sections.append(("critic.model", "critic"))
    problems = []
    for model, worker in sections:
        options = OmegaConf.select(config, worker) or OmegaConf.create()
        try:
            is_padded = settle(
                OmegaConf.select(config, model), model, options.get("strategy"), _ulysses(options)
            )
        except ValueError as error:
            problems.append(str(error))
        else:
            if is_padded:  # Ray's workers learn it too, on every node
                OmegaConf.update(config, PADDED_RUN, "1", force_add=True)
    return problems


def _ulysses(worker: DictConfig) -> int:
    """Ranks that a sequence is spread over, in each of the places where verl reads it for actor and critic."""
    name = "ulysses_sequence_parallel_size"
    return max(OmegaConf.select(worker, key) or 1 for key in (name, f"fsdp_config.{name}", f"fsdp.{name}"))
