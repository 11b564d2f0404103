"""Paired differences of logged scores: over the same documents, with an interval, a test and a plain reading.

Serves `realm compare`. Intervals are 95% percentile bootstraps over documents. p is McNemar's exact test where a metric
is 0 or 1, else a paired swap test; Holm's procedure adjusts it for all differences that are read together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from realm_ext.compare.measures import Measure, build_measure
from realm_ext.compare.reading import Sample, TaskResult
from realm_ext.report.stats import (
    ROUNDS,
    SIGNIFICANT,
    Z95,
    Interval,
    bootstrap_interval,
    bootstrap_sums,
    holm,
    mcnemar_exact,
    swap_differences,
    swap_sums,
    swap_test,
)

Key = tuple[str, str]
"""A metric and its filter."""


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
    """One run minus another, or a run's guided minus unguided score.

    Attributes:
        part: the rule or label that the documents are limited to; empty for all.
        n: documents compared; None without samples.
        gained, lost: documents that scored higher, lower than before; None where a document has no score of its own.
        test: "McNemar", "swap" or "unpaired".
        p_value: by that test; `adjusted` is Holm's.
        higher: whether higher is better; None: not known.
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

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.values[0] - self.values[1]

    @property
    def within_noise(self) -> bool:
        """True unless the interval is clear of 0 and the adjusted p value is below 0.05."""
        if self.interval is None or self.adjusted >= SIGNIFICANT:
            return True
        return self.interval.low <= 0.0 <= self.interval.high

    @property
    def reading(self) -> str:
        """The outcome in words."""
        if self.within_noise:
            return "within noise"
        if self.higher is None:
            return "higher" if self.difference > 0 else "lower"
        return "better" if (self.difference > 0) == self.higher else "worse"


def blank(task: str, chosen: str, after: str, before: str, part: str = "") -> Difference:
    """A difference of nothing yet, under one filter, for `paired` to fill in."""
    return Difference(
        task, "", chosen, after, before, (0.0, 0.0), None, None, None, None, "", 1.0, 1.0, None, part
    )


def paired(
    pair: tuple[Sequence[Sample], Sequence[Sample]],
    keys: Sequence[Key],
    template: Difference,
    higher: Mapping[str, bool | None],
    options: Options,
) -> list[Difference]:
    """The differences of some metrics over the same documents; metrics without a known form are left out.

    Args:
        pair: samples of after and before, document by document.
        keys: metrics, all of one filter.
        template: a `blank` with task, filter, runs and part.
    """
    measures: dict[Key, Measure] = {}
    for key in keys:
        if all(key[0] in sample.scores for side in pair for sample in side):
            measure = build_measure(*([sample.scores[key[0]] for sample in side] for side in pair))
            if measure is not None:
                measures[key] = measure
    drawn = bootstrap(measures, options)
    tested = {k: m for k, m in measures.items() if not m.is_binary}
    kept: dict[Key, np.ndarray] = {}
    if tested:
        parts = [m.columns[0] - m.columns[1] for m in tested.values()]
        sums = swap_sums(np.concatenate(parts, axis=1), options.rounds, options.seed)
        kept = dict(zip(tested, _split(sums, parts), strict=True))
    made = []
    for key, measure in measures.items():
        width = measure.columns[0].shape[1]
        both = measure.statistic(drawn[key][:, :width]) - measure.statistic(drawn[key][:, width:])
        gained, lost = _moved(pair, key[0])
        if measure.is_binary:
            test, p_value = "McNemar", mcnemar_exact(gained or 0, lost or 0)
        else:
            after, before = (columns.sum(axis=0) for columns in measure.columns)
            swapped = swap_differences(after, before, kept[key], measure.statistic)
            test, p_value = "swap", swap_test(measure.value(0) - measure.value(1), swapped)
        made.append(
            replace(
                template,
                metric=key[0],
                values=(measure.value(0), measure.value(1)),
                interval=bootstrap_interval(both) if len(pair[0]) > 1 else None,
                n=len(pair[0]),
                gained=gained,
                lost=lost,
                test=test,
                p_value=p_value,
                adjusted=p_value,
                higher=higher.get(key[0]),
            )
        )
    return made


def _moved(pair: tuple[Sequence[Sample], Sequence[Sample]], metric: str) -> tuple[int | None, int | None]:
    """Documents that scored higher, and lower, than before; None where they have no number of their own."""
    scores = [
        (x.scores[metric], y.scores[metric])
        for x, y in zip(*pair, strict=True)
        if x.scores[metric] is not None and y.scores[metric] is not None
    ]
    if not all(isinstance(value, bool | int | float) for both in scores for value in both):
        return None, None
    return sum(x > y for x, y in scores), sum(x < y for x, y in scores)


def unpaired(
    after: TaskResult,
    before: TaskResult,
    a: str,
    b: str,
    key: Key,
    figure: tuple[float, float | None] | None = None,
) -> Difference:
    """A difference of two summary figures, from their standard errors; `figure` replaces that of `after`."""
    (x, x_error), (y, y_error) = figure or after.metrics[key], before.metrics[key]
    interval, p_value = None, 1.0
    if x_error is not None and y_error is not None:
        error = float(np.hypot(x_error, y_error))
        interval = Interval(x - y - Z95 * error, x - y + Z95 * error)
        if error > 0:
            p_value = 2 * NormalDist().cdf(-abs(x - y) / error)
    higher = after.higher.get(key[0])
    return Difference(
        after.task, *key, a, b, (x, y), interval, None, None, None, "unpaired", p_value, p_value, higher
    )


def adjust(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with Holm's p values over those of one metric."""
    adjusted = list(differences)
    for key in {(d.metric, d.filter) for d in differences}:
        family = [i for i, d in enumerate(differences) if (d.metric, d.filter) == key]
        for i, p in zip(family, holm([differences[i].p_value for i in family]), strict=True):
            adjusted[i] = replace(differences[i], adjusted=p)
    return adjusted


def bootstrap(measures: Mapping[Key, Measure], options: Options) -> dict[Key, np.ndarray]:
    """Bootstrapped sums [rounds, columns] of the runs of each measure side by side, all over the same draws."""
    if not measures:
        return {}
    parts = [np.concatenate(measure.columns, axis=1) for measure in measures.values()]
    drawn = bootstrap_sums(np.concatenate(parts, axis=1), options.rounds, options.seed)
    return dict(zip(measures, _split(drawn, parts), strict=True))


def _split(columns: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    ends = np.cumsum([part.shape[1] for part in like])[:-1]
    return list(np.split(columns, ends, axis=1))


def name_of(key: Key) -> str:
    """A metric as shown: its filter only where it has one."""
    return key[0] if key[1] in ("none", "") else f"{key[0]} ({key[1]})"
