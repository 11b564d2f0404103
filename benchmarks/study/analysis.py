"""Numbers of the study: means with intervals, paired differences, Holm's correction, rollouts to an accuracy.

Serves docs/study_plan.md. Questions and seeds are crossed: every seed answers the same questions. So both are drawn
anew in each bootstrap sample, one draw of questions for all seeds. With S seeds a bootstrap over seeds is too narrow by
sqrt((S - 1) / S); the seeds' part of each deviation is widened by the inverse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from realm_ext.report.stats import Interval

_CHUNK = 500  # bootstrap samples drawn at a time


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and questions.

    Attributes:
        mean: of all scores, or of all paired differences, as a share.
        interval: 95%, two-level bootstrap. With one seed it covers the questions alone.
        p_value: two-sided, of a mean of 0.
        seeds: how many.
        by_seed: the mean of each seed, in the order given.
    """

    mean: float
    interval: Interval
    p_value: float
    seeds: int
    by_seed: tuple[float, ...]


def estimate(scores: Sequence[Sequence[float]], samples: int = 10_000, seed: int = 0) -> Estimate:
    """Mean and interval.

    Args:
        scores: [seeds][questions], the same questions in the same order for each seed.
        samples: bootstrap samples.
        seed: of the bootstrap's own draws.

    Raises:
        ValueError: nothing is given, or seeds answered different numbers of questions.
    """
    if not scores or len({len(row) for row in scores}) != 1 or not len(scores[0]):
        raise ValueError(
            f"an estimate needs the same questions for each seed; got {[len(row) for row in scores]} of them"
        )
    table = np.asarray(scores, dtype=float)
    deviations = _deviations(table, samples, seed)
    mean = float(table.mean())
    low, high = (float(np.quantile(mean + deviations, q)) for q in (0.025, 0.975))
    beyond = int((np.abs(deviations) >= abs(mean)).sum())
    by_seed = tuple(float(value) for value in table.mean(axis=1))
    return Estimate(mean, Interval(low, high), (beyond + 1) / (samples + 1), len(table), by_seed)


def paired(
    after: Mapping[int, Sequence[float]],
    before: Mapping[int, Sequence[float]],
    samples: int = 10_000,
    seed: int = 0,
) -> Estimate | None:
    """After minus before, over the seeds that both have; None when they share none.

    Args:
        after, before: scores by question, of each seed.
        samples, seed: as in `estimate`.
    """
    common = sorted(set(after) & set(before))
    if not common:
        return None
    differences = [[a - b for a, b in zip(after[key], before[key], strict=True)] for key in common]
    return estimate(differences, samples, seed)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values of a family of tests (Holm 1979): step down, never falling, at most 1."""
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: (item[1], item[0]))):
        running = max(running, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = running
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


def _deviations(table: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Bootstrap means minus the mean: [samples]."""
    n_seeds, n_questions = table.shape
    by_seed, mean = table.mean(axis=1), table.mean()
    widen = math.sqrt(n_seeds / (n_seeds - 1)) if n_seeds > 1 else 0.0
    parts = []
    for seed_counts, question_counts in _draws(n_seeds, n_questions, samples, seed):
        seeds, questions = seed_counts / n_seeds, question_counts / n_questions
        drawn = seeds @ by_seed
        whole = ((seeds @ table) * questions).sum(axis=1)
        parts.append(widen * (drawn - mean) + (whole - drawn))
    return np.concatenate(parts)


@lru_cache(maxsize=8)
def _draws(
    n_seeds: int, n_questions: int, samples: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """How often each seed and each question is drawn, by chunk: [chunk, n_seeds] and [chunk, n_questions].

    Drawing takes far longer than the sums, and every comparison of the same size takes the same draws.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for start in range(0, samples, _CHUNK):
        n = min(_CHUNK, samples - start)
        seeds = rng.multinomial(n_seeds, [1 / n_seeds] * n_seeds, size=n)
        questions = rng.multinomial(n_questions, [1 / n_questions] * n_questions, size=n)
        drawn.append((seeds.astype(np.uint16), questions.astype(np.uint16)))
    return tuple(drawn)
