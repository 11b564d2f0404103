"""Rollouts that run into the response budget: trained as they are, left out, or punished by their length.

A cut response has no answer to read, so it scores as a wrong one; whether its reasoning was wrong nobody knows. DAPO
(arXiv 2503.14476, "Overlong Reward Shaping") leaves such rollouts out, or takes from the score as a response comes near the
budget. Both happen in the trainer, so that the reward and its components stay what they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from omegaconf import DictConfig

from realm_ext.schedule import is_number
from reward_fns.mrpv import Weights, process_range

KINDS = ("none", "mask", "punish")


@dataclass(frozen=True)
class Overlong:
    """The options under `realm.overlong`.

    Attributes:
        kind: "none"; "mask": a rollout that the budget cut gets advantage 0 and counts in nobody's mean; "punish": the
            score falls over the last part of the budget.
        buffer: of "punish": that part, as a share of the budget.
        weight: of "punish": what a response that fills the budget loses.
    """

    kind: str = "none"
    buffer: float = 0.2
    weight: float = 0.2

    def leaves_out(self, cut: bool) -> bool:
        """Whether a rollout trains nothing; `cut`: its response was ended by the budget."""
        return self.kind == "mask" and cut

    def punishments(self, lengths: Sequence[int], budget: int) -> np.ndarray:
        """What each response loses.

        0 up to `(1 - buffer) * budget` tokens, from there in a straight line to `weight` at `budget`.

        Args:
            lengths: [rollouts], tokens of each response.
            budget: tokens that a response may have.

        Returns:
            [rollouts], float64, all 0 unless the kind is "punish".
        """
        if self.kind != "punish":
            return np.zeros(len(lengths))
        over = (np.asarray(lengths, dtype=np.float64) / budget - (1.0 - self.buffer)) / self.buffer
        return np.asarray(self.weight * np.clip(over, 0.0, 1.0))


def read_overlong(value: Any) -> Overlong:
    """The options under `realm.overlong`; null: none of it.

    Raises:
        TypeError: no mapping.
        ValueError: an unknown key, or a value out of its bounds.
    """
    if value is None:
        return Overlong()
    if not isinstance(value, Mapping):
        raise TypeError(f"overlong: expected a mapping with `kind` ({', '.join(KINDS)}), got {value!r}")
    known = [field.name for field in fields(Overlong)]
    unknown = sorted(set(map(str, value)) - set(known))
    if unknown:
        raise ValueError(f"overlong: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    found = Overlong(**{str(key): given for key, given in value.items()})
    if found.kind not in KINDS:
        raise ValueError(f"overlong.kind: {found.kind!r} is unknown; use one of {', '.join(KINDS)}")
    if not is_number(found.buffer) or not 0.0 < found.buffer <= 1.0:
        raise ValueError(
            f"overlong.buffer: expected a share of the response budget in (0, 1], got {found.buffer!r}"
        )
    if not is_number(found.weight) or found.weight < 0:
        raise ValueError(f"overlong.weight: expected a number of at least 0, got {found.weight!r}")
    return found


def overlong_problems(
    config: DictConfig,
    overlong: Overlong,
    weights: Mapping[str, float],
    max_routes: int,
    right_share: float | None,
) -> list[str]:
    """Why a run cannot handle overlong responses as configured; empty: it can.

    Args:
        config: the whole verl config.
        weights: `realm.weights`, which say nothing of a reward function of the user's own.
        max_routes: the most routes that a prompt shows.
        right_share: as given to the reward; None: unknown.
    """
    if overlong.kind == "none":
        return []
    given = f"realm.overlong.kind={overlong.kind}"
    if (estimator := config.algorithm.adv_estimator) != "realm_grpo":
        return [f"{given}: needs algorithm.adv_estimator=realm_grpo, got {estimator}"]
    if overlong.kind == "mask" or config.reward.custom_reward_function.path != "pkg://reward_fns":
        return []
    low, high = process_range(Weights(**weights), 0.5 if right_share is None else right_share, max_routes)
    if weights["outcome"] > high - low + overlong.weight:
        return []
    problem = (
        f"{given}: realm.overlong.weight={overlong.weight:g} and the {high - low:.3f} that verdict, decisive and format can "
        f"move are as much as a right answer earns ({weights['outcome']:g}): a short wrong answer could outrank a long right "
        "one. Lower one of them, or raise realm.weights.outcome"
    )
    return [problem]
