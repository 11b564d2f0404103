"""Losses in which a token would weigh more or less by the micro-batch that it happens to lie in.

verl adds up the losses of micro-batches, so each must divide by something that all of them share. Checked against verl's
own `ppo_loss` in tests/realm_ext/test_loss.py.
"""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from realm_ext.attention import PADDED_RUN

ACTOR = "actor_rollout_ref.actor"
LOSS_MODE = f"{ACTOR}.policy_loss.loss_mode"


def loss_problems(config: DictConfig) -> list[str]:
    """What makes the gradient of a token depend on its micro-batch; empty: nothing does."""
    problems = []

    def actor(key: str) -> Any:
        return OmegaConf.select(config, f"{ACTOR}.{key}")

    if actor("loss_agg_mode") == "seq-mean-token-sum-norm" and actor("loss_scale_factor") is None:
        problems.append(
            f"{ACTOR}.loss_scale_factor=null: verl would divide each micro-batch by its own longest response; set it to "
            f"data.max_response_length ({OmegaConf.select(config, 'data.max_response_length')})"
        )
    mode = actor("policy_loss.loss_mode")
    if mode == "geo_mean" and actor("use_dynamic_bsz"):
        problems.append(
            f"{LOSS_MODE}=geo_mean: verl takes the mean over each micro-batch, and with {ACTOR}.use_dynamic_bsz=true "
            "they differ in size; set that to false, or use another loss"
        )
    is_grouped = (
        OmegaConf.select(config, "trainer.device") == "cpu" or OmegaConf.select(config, PADDED_RUN) == "1"
    )
    if mode in ("clip_cov", "kl_cov") and actor("use_dynamic_bsz") and is_grouped:
        problems.append(
            f"{LOSS_MODE}={mode}: verl compares the tokens of a micro-batch, and without flash-attn, as on a CPU, those "
            f"are of like lengths (docs/cpu.md); set {ACTOR}.use_dynamic_bsz=false, or use another loss"
        )
    return problems
