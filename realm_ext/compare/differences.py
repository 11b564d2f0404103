"""Differences of logged scores: over the same documents, with an interval, a test and a plain reading.

Serves `realm compare`. Intervals and tests are those of `realm_ext.results.statistics`; Holm's procedure adjusts p for all
differences that are read together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean

from realm_ext.compare.reading import Sample
from realm_ext.results.measures import build_measure
from realm_ext.results.statistics import (
    ROUNDS,
    SHARE,
    UNBOUNDED,
    Interval,
    holm,
    normal_interval,
    over_runs,
    paired_difference,
    within_noise,
)

Key = tuple[str, str]
"""A metric and its filter."""
Figure = tuple[float, float | None]
"""A value and its standard error."""
Spread = tuple[Interval | None, float | None]
"""A 95% interval and a standard error."""
Pair = tuple[Sequence[Sequence[Sample]], Sequence[Sequence[Sample]]]
"""Samples of after and of before: [runs][documents], the same documents in one order, run paired with run."""


@dataclass(frozen=True)
class Options:
    """How to compare: `metrics` empty means each task's main one; `all_pairs` False means each run with the first."""

    metrics: tuple[str, ...] = ()
    all_pairs: bool = False
    allow_partial: bool = False
    rounds: int = ROUNDS
    seed: int = 0


@dataclass(frozen=True)
class Difference:
    """One arm minus another, or an arm's guided minus unguided score.

    Attributes:
        values: of after and of before, means over their training runs.
        part: the rule or label that the documents are limited to; empty for all.
        n: documents compared; None without samples.
        gained, lost: documents that scored higher, lower than before; None where a document has no score of its own,
            or several.
        test: "McNemar", "swap" or "unpaired" for one training run of each, "t" over several.
        p_value: by that test; `adjusted` is Holm's.
        higher: whether higher is better; None: not known, or neither.
        runs: how many training runs of after and of before.
        by_run: the difference of each pair of runs.
        is_bound: the p value is the least that the rounds of the swap test can give.
    """

    task: str
    metric: str
    filter: str
    after: str
    before: str
    values: tuple[float, float]
    interval: Interval | None
    n: int | None
    gained: int | None
    lost: int | None
    test: str
    p_value: float
    adjusted: float
    higher: bool | None
    part: str = ""
    runs: tuple[int, int] = (1, 1)
    by_run: tuple[float, ...] = ()
    is_bound: bool = False

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.values[0] - self.values[1]

    @property
    def within_noise(self) -> bool:
        """True unless the interval is clear of 0 and the adjusted p value is below 0.05."""
        return within_noise(self.interval, self.adjusted)

    @property
    def reading(self) -> str:
        """The outcome in words."""
        if self.within_noise:
            return "within noise"
        if self.higher is None:
            return "higher" if self.difference > 0 else "lower"
        return "better" if (self.difference > 0) == self.higher else "worse"


def blank(
    task: str, chosen: str, after: str, before: str, part: str = "", runs: tuple[int, int] = (1, 1)
) -> Difference:
    """A difference of nothing yet, under one filter, for `paired` and `unpaired` to fill in."""
    return Difference(
        task, "", chosen, after, before, (0.0, 0.0), None, None, None, None, "", 1.0, 1.0, None, part, runs
    )


def paired(
    pair: Pair,
    keys: Sequence[Key],
    template: Difference,
    higher: Mapping[str, bool | None],
    options: Options,
) -> list[Difference]:
    """The differences of some metrics over the same documents; metrics without a known form are left out.

    Args:
        keys: metrics, all of one filter.
        template: a `blank` with task, filter, arms, part and runs.
    """
    made = []
    for key in keys:
        scores = scores_of(pair, key[0])
        measure = build_measure(*scores) if scores else None
        if measure is None:
            continue
        half = len(pair[0])
        values = [measure.value(run) for run in range(2 * half)]
        found = paired_difference(measure, options.rounds, options.seed)
        gained, lost = _moved(*scores) if half == 1 else (None, None)
        made.append(
            replace(
                template,
                metric=key[0],
                values=(fmean(values[:half]), fmean(values[half:])),
                interval=found.interval,
                n=len(pair[0][0]),
                gained=gained,
                lost=lost,
                test=found.test,
                p_value=found.p_value,
                adjusted=found.p_value,
                higher=higher.get(key[0]),
                by_run=found.by_run,
                is_bound=found.is_bound,
            )
        )
    return made


def scores_of(pair: Pair, metric: str) -> list[list[object]]:
    """The logged values of a metric, those of all runs of after, then of before; empty where a sample lacks it."""
    runs = [*pair[0], *pair[1]]
    if not all(metric in sample.scores for run in runs for sample in run):
        return []
    return [[sample.scores[metric] for sample in run] for run in runs]


def _moved(after: Sequence[object], before: Sequence[object]) -> tuple[int | None, int | None]:
    """Documents that scored higher, and lower, than before; None where they have no number of their own."""
    scores = [(x, y) for x, y in zip(after, before, strict=True) if x is not None and y is not None]
    numbers = [(x, y) for x, y in scores if isinstance(x, int | float) and isinstance(y, int | float)]
    if len(numbers) < len(scores):
        return None, None
    return sum(x > y for x, y in numbers), sum(x < y for x, y in numbers)


def unpaired(
    key: Key,
    figures: Sequence[Sequence[Figure]],
    template: Difference,
    higher: Mapping[str, bool | None],
) -> Difference:
    """A difference of summary figures, from their standard errors.

    Args:
        figures: of after and of before, of as many training runs each.
        template: as in `paired`.
    """
    after, before = figures
    values = fmean(x for x, _ in after), fmean(y for y, _ in before)
    by_run = tuple(x - y for (x, _), (y, _) in zip(after, before, strict=True))
    errors = [error for _, error in (*after, *before) if error is not None]
    known = len(errors) == 2 * len(by_run)
    variance = sum(error**2 for error in errors) / len(by_run)
    bounds = (-1.0, 1.0) if all(is_share(*figure) for figure in (*after, *before)) else UNBOUNDED
    made = replace(template, metric=key[0], values=values, higher=higher.get(key[0]), by_run=by_run)
    if len(by_run) > 1:
        found = over_runs(by_run, variance, bounds=bounds)
        return replace(made, interval=found.interval, test="t", p_value=found.p_value, adjusted=found.p_value)
    if not known:
        return replace(made, test="unpaired")
    error = math.sqrt(variance)
    p_value = 2 * NormalDist().cdf(-abs(by_run[0]) / error) if error > 0 else 1.0
    interval = normal_interval(by_run[0], error, bounds)
    return replace(made, interval=interval, test="unpaired", p_value=p_value, adjusted=p_value)


def is_share(value: float, spread: float | None) -> bool:
    """Whether a metric reads as a share, shown in percent: within -1 to 1, and its error too."""
    return abs(value) <= 1.0 and (spread is None or spread <= 1.0)


def spread_of(figures: Sequence[Figure]) -> Spread:
    """Of the mean of summary figures, one a training run: from their standard errors and their spread."""
    values = [value for value, _ in figures]
    errors = [error for _, error in figures if error is not None]
    shares = all(0.0 <= value <= 1.0 and (error is None or error <= 0.5) for value, error in figures)
    bounds = SHARE if shares else UNBOUNDED
    if len(values) == 1:
        return (normal_interval(values[0], errors[0], bounds), errors[0]) if errors else (None, None)
    made = over_runs(values, sum(error**2 for error in errors) / len(values), bounds=bounds)
    return made.interval, made.stderr


def adjust(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with Holm's p values over those of one metric, one training run and several apart."""
    adjusted = list(differences)
    families = [(d.metric, d.filter, d.test == "t") for d in differences]
    for name in set(families):
        family = [i for i, other in enumerate(families) if other == name]
        for i, p in zip(family, holm([differences[i].p_value for i in family]), strict=True):
            adjusted[i] = replace(differences[i], adjusted=p)
    return adjusted


def name_of(key: Key) -> str:
    """A metric as shown: its filter only where it has one."""
    return key[0] if key[1] in ("none", "") else f"{key[0]} ({key[1]})"
