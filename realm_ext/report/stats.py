"""Intervals for accuracies and for paired differences: pure functions, no numpy.

Serves the report's summary. Choices: Wilson's score interval for one accuracy (honest near 0 and 1); for two
checkpoints on the same questions the normal interval of the mean paired difference, guarded by McNemar's exact
test, which stays honest when few questions changed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

Z95 = NormalDist().inv_cdf(0.975)
SIGNIFICANT = 0.05


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
    tail = ways = 1  # of no question out of `changed`, then of one, of two...
    for k in range(min(gained, lost)):
        ways = ways * (changed - k) // (k + 1)
        tail += ways
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
