"""Intervals and tests for scores and for paired differences: pure functions.

Serves `realm report` and `realm compare`. Choices: Wilson's score interval for one accuracy (honest near 0 and 1); for
two checkpoints on the same questions the normal interval of the mean paired difference, guarded by McNemar's exact
test, which stays honest when few questions changed. Where a score is no mean of 0s and 1s (macro-F1, a mean over
repeats) the questions themselves are resampled: percentile bootstrap for the interval, random swaps of the two
checkpoints' answers for the test. Holm's procedure guards several comparisons at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np

Z95 = NormalDist().inv_cdf(0.975)
SIGNIFICANT = 0.05
ROUNDS = 10_000
_AT_A_TIME = 4_000_000  # draws held in memory at once

Statistic = Callable[[np.ndarray], np.ndarray]
"""From column sums [..., columns] to values [...]: a score that depends on its questions through sums alone."""


@dataclass(frozen=True)
class Interval:
    """A 95% interval, in the unit of what it is about."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """Two checkpoints on the same questions.

    Attributes:
        n: questions both answered.
        difference: mean of after minus before, as a share (0.1 is 10 points).
        interval: 95%, normal, of that mean; None for fewer than 2 questions.
        gained, lost: questions that scored higher, lower than before.
        p_value: McNemar's exact test, two-sided.
    """

    n: int
    difference: float
    interval: Interval | None
    gained: int
    lost: int
    p_value: float

    @property
    def within_noise(self) -> bool:
        """True unless the interval is clear of 0 and the exact test agrees."""
        if self.interval is None or self.p_value >= SIGNIFICANT:
            return True
        return self.interval.low <= 0.0 <= self.interval.high


def wilson_interval(share: float, n: int) -> Interval:
    """95% score interval of a share of n questions (Wilson 1927).

    Raises:
        ValueError: n is not positive, or the share is outside [0, 1].
    """
    if n < 1 or not 0.0 <= share <= 1.0:
        raise ValueError(f"an interval needs a share in [0, 1] of at least 1 question, got {share} of {n}")
    scale = 1.0 + Z95**2 / n
    centre = (share + Z95**2 / (2 * n)) / scale
    reach = Z95 * math.sqrt(share * (1.0 - share) / n + Z95**2 / (4 * n * n)) / scale
    return Interval(max(0.0, centre - reach), min(1.0, centre + reach))


def normal_interval(share: float, stderr: float) -> Interval:
    """95% interval from a standard error, cut to [0, 1]: for an accuracy whose n is not known."""
    return Interval(max(0.0, share - Z95 * stderr), min(1.0, share + Z95 * stderr))


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided p value of McNemar's exact test: a fair coin over the questions that changed.

    Raises:
        ValueError: a count is negative.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"McNemar's test needs counts of 0 or more, got {gained} and {lost}")
    changed = gained + lost
    tail, ways = 0, 1  # ways to choose k of the changed questions, each from the one before
    for k in range(min(gained, lost) + 1):
        tail += ways
        ways = ways * (changed - k) // (k + 1)
    return min(1.0, 2 * tail / 2**changed)


def paired_difference(after: Sequence[float], before: Sequence[float]) -> PairedDifference:
    """Compare two checkpoints, question by question.

    Args:
        after: [questions] scores in [0, 1] of one checkpoint.
        before: [questions] of the other, in the same order.

    Raises:
        ValueError: the lengths differ, or there is no question.
    """
    if len(after) != len(before) or not after:
        raise ValueError(
            f"a paired difference needs the same questions twice, got {len(after)} and {len(before)}"
        )
    differences = [a - b for a, b in zip(after, before, strict=True)]
    n, mean = len(differences), fmean(differences)
    interval = None
    if n > 1:
        variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
        reach = Z95 * math.sqrt(variance / n)
        interval = Interval(mean - reach, mean + reach)
    gained, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return PairedDifference(n, mean, interval, gained, lost, mcnemar_exact(gained, lost))


# ------------------------------ resampling ------------------------------


def bootstrap_sums(columns: np.ndarray, rounds: int = ROUNDS, seed: int = 0) -> np.ndarray:
    """Column sums over questions drawn with replacement.

    Args:
        columns: [questions, columns] what each question adds to each sum.
        rounds: resamples.
        seed: the same seed and number of questions draw the same questions, so that what is compared is paired.

    Returns:
        [rounds, columns].

    Raises:
        ValueError: there is no question.
    """
    n = len(columns)
    if n == 0:
        raise ValueError("a bootstrap needs at least one question, got none")
    rng = np.random.default_rng(seed)
    parts = []
    for count in _chunks(rounds, n):
        draws = rng.integers(0, n, size=(count, n), dtype=np.int64)
        draws += np.arange(count, dtype=np.int64)[:, None] * n
        weights = np.bincount(draws.ravel(), minlength=count * n).reshape(count, n)
        parts.append(weights.astype(np.float64) @ columns)
    return np.concatenate(parts)


def bootstrap_interval(values: np.ndarray) -> Interval:
    """The percentile interval, 95%, of bootstrapped values [rounds]."""
    return Interval(float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))


def swap_sums(differences: np.ndarray, rounds: int = ROUNDS, seed: int = 0) -> np.ndarray:
    """Sums of the differences over a random half of the questions, a fresh half each round, for `swap_test`.

    Args:
        differences: [questions, columns] after minus before of what each question adds to each sum.

    Returns:
        [rounds, columns].

    Raises:
        ValueError: there is no question.
    """
    n = len(differences)
    if n == 0:
        raise ValueError("a paired test needs at least one question, got none")
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.integers(0, 2, size=(count, n), dtype=np.int8).astype(np.float64) @ differences
            for count in _chunks(rounds, n)
        ]
    )


def swap_differences(
    after: np.ndarray, before: np.ndarray, kept: np.ndarray, statistic: Statistic
) -> np.ndarray:
    """[rounds] differences of two checkpoints whose answers were swapped on a random half of the questions.

    Args:
        after, before: [columns] sums of the two checkpoints.
        kept: [rounds, columns] `swap_sums` of their differences.
        statistic: the score from the sums.
    """
    return statistic(before + kept) - statistic(after - kept)


def swap_test(observed: float, swapped: np.ndarray) -> float:
    """Two-sided p value of a paired randomisation test: were the two checkpoints' answers exchangeable?

    The observed assignment counts as one of the rounds, so the p value is never below 1 / (rounds + 1).
    """
    return float(1 + np.sum(np.abs(swapped) >= abs(observed) - 1e-12)) / (1 + len(swapped))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for being read together (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def _chunks(rounds: int, n: int) -> list[int]:
    """`rounds` in parts that hold at most `_AT_A_TIME` draws of `n` each."""
    size = max(1, _AT_A_TIME // n)
    return [min(size, rounds - start) for start in range(0, rounds, size)]
