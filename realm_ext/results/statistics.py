"""Intervals and tests for scores and for paired differences, of one training run or of several: pure functions.

`realm report`, `realm compare` and the study all call `estimate`, `paired_difference` and `holm`.

* One run of each: the interval covers the questions alone. Wilson's score interval for a share of 0s and 1s, else the
  percentile bootstrap over questions; for a difference McNemar's exact test, else random swaps of the answers.
* Several runs: Student's t over the runs, crossed with the questions. All runs answer the same questions, so the spread
  between runs does not show how hard these happened to be; that part of the variance comes from the delete-one
  jackknife over questions (for a plain mean it is the usual variance) and is added. Nor is the interval ever narrower
  than over the questions alone, where a few runs happen to agree.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

Z95 = NormalDist().inv_cdf(0.975)
SIGNIFICANT = 0.05
ROUNDS = 10_000
SHARE = (0.0, 1.0)
UNBOUNDED = (-math.inf, math.inf)
_LEAST_P = 1e-12
_AT_A_TIME = 4_000_000  # draws held in memory at once
_KEPT = 20_000_000  # draws kept for the next measure of as many questions

Statistic = Callable[[np.ndarray], np.ndarray]
"""From column sums [..., columns] to values [...]: a score that depends on its questions through sums alone."""


@dataclass(frozen=True)
class Interval:
    """A 95% interval, in the unit of what it is about."""

    low: float
    high: float

    def cut(self, bounds: tuple[float, float]) -> "Interval":
        """The part inside the bounds."""
        low, high = (min(max(end, bounds[0]), bounds[1]) for end in (self.low, self.high))
        return Interval(low, high)


@dataclass(frozen=True)
class Measure:
    """A metric of one or more runs over the same questions.

    Attributes:
        columns: for each run [questions, columns], what each question adds to each sum.
        statistic: from sums to the metric.
        is_binary: every question that counts scores 0 or 1, and the metric is their mean.
        bounds: the least and the greatest value that the metric can take.
    """

    columns: tuple[np.ndarray, ...]
    statistic: Statistic
    is_binary: bool = False
    bounds: tuple[float, float] = UNBOUNDED

    def value(self, run: int = 0) -> float:
        """The metric of one run."""
        return float(self.statistic(self.columns[run].sum(axis=0)))


@dataclass(frozen=True)
class Estimate:
    """A score or a difference over training runs and questions.

    Attributes:
        by_run: the value of each run, or of each pair of runs.
        interval: 95%; None for a single question. With one run it covers the questions alone.
        stderr: standard error, over the same.
        p_value: two-sided, of a difference of 0; 1 for a score.
        test: "McNemar", "swap" or "t"; "" for a score of one run.
        is_bound: the p value is the least that so many random rounds can give; the true one may be smaller.
    """

    by_run: tuple[float, ...]
    interval: Interval | None
    stderr: float
    p_value: float = 1.0
    test: str = ""
    is_bound: bool = False

    @property
    def value(self) -> float:
        """The mean over the runs."""
        return fmean(self.by_run)


def estimate(measure: Measure, rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """The mean of a metric over the runs of a measure.

    Args:
        rounds, seed: of the bootstrap, where one is needed.
    """
    by_run = tuple(measure.value(run) for run in range(len(measure.columns)))
    if len(by_run) > 1:
        left_out = _left_out(measure)
        return over_runs(by_run, *question_variance(left_out), measure.bounds, len(left_out))
    counted = int(measure.columns[0][:, 1].sum()) if measure.is_binary else 0
    if counted:
        share = min(1.0, by_run[0])
        error = math.sqrt(share * (1.0 - share) / counted)
        return Estimate(by_run, wilson_interval(share, counted), error)
    drawn = measure.statistic(bootstrap_sums(measure.columns[0], rounds, seed))
    return Estimate(by_run, bootstrap_interval(drawn), float(np.std(drawn)))


def paired_difference(measure: Measure, rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """After minus before, question by question, and run by run where there are several.

    Args:
        measure: of the runs of after, then of as many of before; the n-th of the one is paired with the n-th of the other.
        rounds, seed: of the bootstrap and the swap test, where they are needed.

    Raises:
        ValueError: the runs are no pairs.
    """
    half, odd = divmod(len(measure.columns), 2)
    if odd or not half:
        raise ValueError(f"a paired difference needs pairs of runs, got {len(measure.columns)} runs")
    statistic = measure.statistic
    by_run = tuple(measure.value(run) - measure.value(half + run) for run in range(half))
    low, high = measure.bounds
    bounds = (low - high, high - low)
    if half > 1:
        left_out = left_out_differences(measure)
        return over_runs(by_run, *question_variance(left_out), bounds, len(left_out))
    after, before = measure.columns
    width = after.shape[1]
    sums = bootstrap_sums(np.concatenate([after, before], axis=1), rounds, seed)
    drawn = statistic(sums[:, :width]) - statistic(sums[:, width:])
    interval = bootstrap_interval(drawn) if len(after) > 1 else None
    error = float(np.std(drawn))
    if measure.is_binary:
        moved = np.where((after[:, 1] > 0) & (before[:, 1] > 0), after[:, 0] - before[:, 0], 0.0)
        p_value = mcnemar_exact(int((moved > 0).sum()), int((moved < 0).sum()))
        return Estimate(by_run, interval, error, p_value, "McNemar")
    kept = swap_sums(after - before, rounds, seed)
    p_value = swap_test(by_run[0], swap_differences(after.sum(axis=0), before.sum(axis=0), kept, statistic))
    return Estimate(by_run, interval, error, p_value, "swap", is_least(p_value, rounds))


def over_runs(
    by_run: Sequence[float],
    questions: float,
    own: float = 0.0,
    bounds: tuple[float, float] = UNBOUNDED,
    n_questions: int = 0,
) -> Estimate:
    """The mean over two or more training runs that answered the same questions.

    With s the standard deviation between S runs, the interval reaches as far as sqrt(t² s²/S + z² (questions - own)), t
    with S - 1 degrees of freedom, and z² questions at least; p is the level at which it touches 0.

    Args:
        by_run: the value of each run.
        questions, own: variance of their mean due to the questions, and the part of it that the spread between the runs
            shows already, see `question_variance`.
        bounds: of the mean; the interval is cut to them.
        n_questions: how many; decides p where nothing varies at all.

    Raises:
        ValueError: fewer than two runs.
    """
    n_runs, mean = len(by_run), fmean(by_run)
    if n_runs < 2:
        raise ValueError(f"Student's t needs two runs or more, got {n_runs}")
    between, shared = float(np.var(by_run, ddof=1)) / n_runs, max(0.0, questions - own)

    def reach(level: float) -> float:
        t, z = stdtrit(n_runs - 1, level / 2), ndtri(level / 2)
        return math.sqrt(max(between * t**2 + shared * z**2, questions * z**2))

    far = abs(mean)
    if (
        reach(_LEAST_P) <= far
    ):  # nothing varies, or nearly: then as a sign test over questions that all moved alike
        p_value = 1.0 if far == 0 else min(1.0, max(_LEAST_P, 2.0 ** (1 - n_questions)))
    else:
        p_value = float(brentq(lambda level: reach(level) - far, _LEAST_P, 1.0, xtol=_LEAST_P))
    interval = Interval(mean - reach(SIGNIFICANT), mean + reach(SIGNIFICANT)).cut(bounds)
    return Estimate(tuple(by_run), interval, math.sqrt(max(between + shared, questions)), p_value, "t")


def left_out_differences(measure: Measure) -> np.ndarray:
    """[questions, pairs of runs] after minus before with one question left out, as `question_variance` wants it."""
    left_out = _left_out(measure)
    half = left_out.shape[1] // 2
    return left_out[:, :half] - left_out[:, half:]


def question_variance(left_out: np.ndarray) -> tuple[float, float]:
    """The variance of the mean over runs that is due to the questions, by the jackknife.

    Args:
        left_out: [questions, runs] values with one question left out.

    Returns:
        All of it, and the part in which the runs differ, which the spread between them shows already.
    """
    n, n_runs = left_out.shape
    if n < 2:
        return 0.0, 0.0
    deviations = left_out - left_out.mean(axis=0)
    scale = (n - 1) / n
    own = deviations.var(axis=1, ddof=1).sum() / n_runs
    return scale * float((deviations.mean(axis=1) ** 2).sum()), scale * float(own)


def within_noise(interval: Interval | None, adjusted: float) -> bool:
    """True unless the interval is clear of 0 and the adjusted p value is below 0.05."""
    return interval is None or adjusted >= SIGNIFICANT or interval.low <= 0.0 <= interval.high


def p_text(p_value: float, is_bound: bool = False) -> str:
    """A p value with two figures, never as 0; "< 0.002" where random rounds can give no less."""
    if p_value < 0.0001:
        return "< 0.0001"
    return f"{'< ' if is_bound and p_value < 1 else ''}{p_value:.2g}"


# ------------------------------ shares of 0s and 1s ------------------------------


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
    return Interval(centre - reach, centre + reach).cut(SHARE)


def normal_interval(value: float, stderr: float, bounds: tuple[float, float] = SHARE) -> Interval:
    """95% interval from a standard error: where there are no samples to resample."""
    return Interval(value - Z95 * stderr, value + Z95 * stderr).cut(bounds)


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
    return _weighted(_counts, columns, rounds, seed)


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
    return _weighted(_halves, differences, rounds, seed)


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

    The observed assignment counts as one of the rounds, so the p value is never below 1 / (rounds + 1), see `is_least`.
    """
    return float(1 + np.sum(np.abs(swapped) >= abs(observed) - 1e-12)) / (1 + len(swapped))


def is_least(p_value: float, rounds: int) -> bool:
    """Whether a p value of `swap_test` is the least that so many rounds can give."""
    return p_value <= 1 / (1 + rounds)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for being read together (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def _left_out(measure: Measure) -> np.ndarray:
    """[questions, runs] the metric with each question left out in turn."""
    return np.stack([measure.statistic(run.sum(axis=0) - run) for run in measure.columns], axis=1)


Draws = Callable[[int, int, int], Iterator[np.ndarray]]


def _weighted(draws: Draws, columns: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """[rounds, columns] sums of the columns, each question weighted as it was drawn."""
    n = len(columns)
    if n == 0:
        raise ValueError("resampling needs at least one question, got none")
    parts = _kept(draws, n, rounds, seed) if n * rounds <= _KEPT else draws(n, rounds, seed)
    return np.concatenate([weights.astype(np.float64) @ columns for weights in parts])


@lru_cache(maxsize=3)
def _kept(draws: Draws, n: int, rounds: int, seed: int) -> tuple[np.ndarray, ...]:
    """Drawing takes far longer than the sums, and every metric of a task takes the same draws."""
    return tuple(draws(n, rounds, seed))


def _counts(n: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """How often each question is drawn, [rounds, n] in parts."""
    rng = np.random.default_rng(seed)
    for count in _chunks(rounds, n):
        draws = rng.integers(0, n, size=(count, n), dtype=np.int64)
        draws += np.arange(count, dtype=np.int64)[:, None] * n
        yield np.bincount(draws.ravel(), minlength=count * n).reshape(count, n).astype(np.uint16)


def _halves(n: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """Which questions are swapped, [rounds, n] in parts."""
    rng = np.random.default_rng(seed)
    for count in _chunks(rounds, n):
        yield rng.integers(0, 2, size=(count, n), dtype=np.int8)


def _chunks(rounds: int, n: int) -> list[int]:
    """`rounds` in parts that hold at most `_AT_A_TIME` draws of `n` each."""
    size = max(1, _AT_A_TIME // n)
    return [min(size, rounds - start) for start in range(0, rounds, size)]
