"""`realm_grpo`: group advantages that do not punish autonomy.

Serves design section "MRPV", paragraph "Advantages". A guided rollout can earn more than an unguided one, and
its outcome is easier, so comparing the two would give right unguided answers a negative advantage.

The estimator needs to know which rollouts were guided; verl hands it only the group ids. The trainer mode
`realm_sync` says so through `strata`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

EPSILON = 1e-6
Stratum = tuple[str, str]
Moved = Mapping[int, tuple[Stratum, float]]
_STRATA: ContextVar[tuple[Sequence[Stratum], Moved, np.ndarray] | None] = ContextVar(
    "realm_strata", default=None
)


def centred(
    totals: np.ndarray,
    strata: Sequence[Any],
    divide_by_std: bool = False,
    moved: Mapping[int, tuple[Any, float]] | None = None,
) -> np.ndarray:
    """Each total minus the mean of the others in its stratum; a stratum of one gets 0.

    With `s(i)` the stratum of rollout `i` and `n` its size:

        A_i = R_i - mean_{j != i, s(j) = s(i)} R_j          (divide_by_std: over std_{s(i)} R + 1e-6)

    The rollout itself is left out, as in RLOO (arXiv 2402.14740): the expected advantage of a rollout with total R is then
    R minus the stratum's expected total, whatever `n`. GRPO's mean (arXiv 2402.03300) holds the rollout itself, which
    shrinks that by (n - 1) / n: a stratum of 2 would weigh 0.5 and one of 6 0.83. Leaving out the division follows Dr. GRPO
    (arXiv 2503.20783). verl gives a group of one its raw score; that rewards whatever is alone, so it is 0 here.

    Args:
        totals: [rollouts], each rollout's total score.
        strata: [rollouts], hashable; rollouts are compared within equal values.
        divide_by_std: divide by the stratum's standard deviation (over n - 1, the rollout itself included, as verl does).
            How much a stratum weighs then depends on its size again: a control.
        moved: rows that were sampled in another stratum than the one they are compared with: that stratum, and their
            total there. A mean is over what was sampled in its stratum: it estimates what the policy earns there.

    Returns:
        [rollouts], float64.

    Raises:
        ValueError: the lengths differ.
    """
    if len(totals) != len(strata):
        raise ValueError(f"got {len(totals)} totals but {len(strata)} strata; one each is needed")
    moved = moved or {}
    sampled: dict[Any, dict[int, float]] = {}
    for row, (stratum, total) in enumerate(zip(strata, totals, strict=True)):
        origin, score = moved.get(row, (stratum, total))
        sampled.setdefault(origin, {})[row] = float(score)
    result: np.ndarray = np.zeros(len(totals), dtype=np.float64)
    sums = {stratum: sum(scores.values()) for stratum, scores in sampled.items()}
    for row, (stratum, total) in enumerate(zip(strata, totals, strict=True)):
        scores = sampled.get(stratum, {})
        n_others = len(scores) - (row in scores)
        if n_others == 0:
            continue
        result[row] = float(total) - (sums[stratum] - scores.get(row, 0.0)) / n_others
        if divide_by_std:
            result[row] /= (np.std([*scores.values()], ddof=1) if len(scores) > 1 else 0.0) + EPSILON
    return result


def strata_of(uids: Sequence[str], guided: Sequence[bool], advantage: str) -> list[tuple[str, str]]:
    """Which rollouts are compared with which.

    `separate`: those of the same question and regime. This centres the outcome part within (question, regime)
    and the process part over the question's guided rollouts: for guided rollouts both means run over the same
    rollouts, and unguided ones have no process part, so centring the sum is centring each.
    `pool`: all rollouts of the question, the control.
    """
    if advantage == "pool":
        return [(uid, "all") for uid in uids]
    return [(uid, "guided" if flag else "unguided") for uid, flag in zip(uids, guided, strict=True)]


@contextmanager
def strata(
    rows: Sequence[Stratum], moved: Moved | None = None, punishments: np.ndarray | None = None
) -> Iterator[None]:
    """While inside, `realm_grpo` compares the rows of its batch by these strata (one per row, in its order).

    Args:
        rows: [rows], the stratum of each.
        moved: see `centred`.
        punishments: [rows], taken from each total first.
    """
    token = _STRATA.set((rows, moved or {}, np.zeros(len(rows)) if punishments is None else punishments))
    try:
        yield
    finally:
        _STRATA.reset(token)


@register_adv_est("realm_grpo")
def realm_grpo(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray,
    config: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """verl's estimator interface around `centred`.

    Args:
        token_level_rewards: [rows, response_length]; summed over tokens this is the total, KL penalty included.
        response_mask: [rows, response_length]; a padding row has no 1 and so gets 0.
        index: [rows], the group ids.
        config: verl's `algorithm` section; only `norm_adv_by_std_in_grpo` is read.

    Returns:
        advantages and returns, both [rows, response_length].

    Raises:
        ValueError: called outside the trainer mode realm_sync, or for a batch of another size.
    """
    known = _STRATA.get()
    if known is None:
        raise ValueError(
            "algorithm.adv_estimator=realm_grpo needs trainer.v1.trainer_mode=realm_sync or realm_colocate_async"
        )
    rows, moved, punishments = known
    if len(rows) != len(index):
        raise ValueError(f"realm_grpo got {len(index)} rows but knows the regime of {len(rows)}")
    divide = bool(config is not None and config.get("norm_adv_by_std_in_grpo", False))
    with torch.no_grad():
        totals = token_level_rewards.sum(dim=-1).double().cpu().numpy() - punishments
        values = torch.as_tensor(centred(totals, rows, divide, moved)).to(token_level_rewards)
        advantages = values.unsqueeze(-1) * response_mask
    return advantages, advantages
