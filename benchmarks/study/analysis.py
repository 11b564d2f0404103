"""Numbers of the study that no other command has: pairs of seeds, rollouts to an accuracy, seeds that are needed.

Intervals, tests and Holm's correction are those of `realm_ext.results.statistics`: Student's t over seeds, crossed with
the questions that every seed answers.
"""

import math
from collections.abc import Mapping, Sequence

from realm_ext.results.measures import mean_measure
from realm_ext.results.statistics import ROUNDS, Estimate, estimate, holm, paired_difference


def mean_of(scores: Mapping[int, Sequence[float]], rounds: int = ROUNDS) -> Estimate:
    """The mean over seeds and questions; with one seed its interval covers the questions alone.

    Args:
        scores: by seed, of the same questions in the same order.
        rounds: of the bootstrap, where there is one seed.

    Raises:
        ValueError: nothing is given, or seeds answered different numbers of questions.
    """
    return estimate(mean_measure(*(scores[seed] for seed in sorted(scores))), rounds)


def paired(
    after: Mapping[int, Sequence[float]], before: Mapping[int, Sequence[float]], rounds: int = ROUNDS
) -> Estimate | None:
    """After minus before, over the seeds that both have; None when they share none.

    Args:
        after, before: scores by question, of each seed.
        rounds: as in `mean_of`.
    """
    common = sorted(set(after) & set(before))
    if not common:
        return None
    return paired_difference(mean_measure(*(side[key] for side in (after, before) for key in common)), rounds)


def adjust(found: Mapping[tuple[str, str], Estimate]) -> dict[tuple[str, str], float]:
    """Holm's p values of a family of differences; those of one seed are a family of their own."""
    adjusted: dict[tuple[str, str], float] = {}
    for is_several in (True, False):
        family = [name for name, e in found.items() if (len(e.by_run) > 1) == is_several]
        adjusted |= dict(zip(family, holm([found[name].p_value for name in family]), strict=True))
    return adjusted


def rollouts_to(target: float, curve: Sequence[tuple[int, float]], rollouts_a_step: int) -> float | None:
    """Rollouts after which a validation curve first reaches `target`, between two points by a straight line.

    Args:
        target: accuracy in [0, 1].
        curve: (step, accuracy), steps rising.
        rollouts_a_step: questions a step times rollouts a question.

    Returns:
        None when the curve never gets there.
    """
    last: tuple[int, float] | None = None
    for step, accuracy in curve:
        if accuracy >= target:
            if last is None or accuracy == last[1]:
                return float(step * rollouts_a_step)
            share = (target - last[1]) / (accuracy - last[1])
            return (last[0] + share * (step - last[0])) * rollouts_a_step
        last = (step, accuracy)
    return None


def seeds_needed(spread: float, effect: float, floor: int = 5, ceiling: int = 10) -> int:
    """Seeds for an interval of the mean paired difference to be clear of 0 at `effect`, within the bounds.

    Args:
        spread: standard deviation, over the pilot's seeds, of the difference between two arms, as a share.
        effect: the difference to be seen, as a share.
    """
    if effect <= 0 or spread < 0:
        raise ValueError(
            f"the effect must be positive and the spread not negative; got {effect} and {spread}"
        )
    return min(ceiling, max(floor, math.ceil((1.96 * spread / effect) ** 2) + 1))
