"""Groups of tasks: their score is a mean over tasks, and so is the difference of two arms.

Serves `realm compare`. Documents are resampled, and swapped, within each task, and the tasks' differences averaged with
the weights by which lm-eval's own figure of the group is a mean of its tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from realm_ext.compare.comparison import (
    GUIDED,
    PRIMARY,
    Comparison,
    Score,
    pair_runs,
    pairs_of,
    shared_samples,
)
from realm_ext.compare.differences import (
    Difference,
    Key,
    Options,
    Pair,
    adjust,
    blank,
    scores_of,
    spread_of,
)
from realm_ext.compare.reading import Group, Run
from realm_ext.results.measures import build_measure
from realm_ext.results.statistics import (
    Measure,
    bootstrap_interval,
    bootstrap_sums,
    is_least,
    left_out_differences,
    over_runs,
    question_variance,
    swap_differences,
    swap_sums,
    swap_test,
)

TOLERANCE = 1e-6
Side = tuple[Sequence[Run], Group]
"""The training runs of an arm, and the group as one regime has it."""


def compare_groups(arms: Mapping[str, Sequence[Run]], options: Options, found: Comparison) -> None:
    """Put the scores, differences and gaps of every group that lm-eval reports a mean of before those of the tasks.

    Their p values are adjusted among themselves: they are a summary of the tasks' differences, no further ones.
    """
    differences: list[Difference] = []
    gaps: list[Difference] = []
    for name in sorted({group for arm in arms.values() for run in arm for group in run.groups}):
        holders = {arm: runs for arm, runs in arms.items() if all(name in run.groups for run in runs)}
        groups = [run.groups[name] for runs in holders.values() for run in runs]
        if not groups or any(group.tasks != groups[0].tasks for group in groups):
            continue
        group = groups[0]
        main = [key for metric in PRIMARY for key in group.metrics if key[0] == metric][:1]
        if not main:
            continue
        found.main[name], found.groups[name] = main[0], group.tasks
        for arm, runs in holders.items():
            found.scores += _scores(name, arm, runs, group)
        wanted = options.metrics or (main[0][0],)
        for before, after in pairs_of(list(holders), options.all_pairs):
            for key in group.metrics:
                if key[0] in wanted:
                    pair = (holders[after], group), (holders[before], group)
                    differences += _compare(name, (after, before), pair, key, options, found)
        for arm, runs in holders.items():
            guided = runs[0].groups.get(name + GUIDED)
            if guided is not None and tuple(task + GUIDED for task in group.tasks) == guided.tasks:
                names = f"{arm}, guided", f"{arm}, unguided"
                pair = (runs, guided), (runs, group)
                gaps += _compare(name, names, pair, main[0], options, found, name + GUIDED)
    found.differences[:0], found.gaps[:0] = adjust(differences), adjust(gaps)


def _scores(name: str, arm: str, runs: Sequence[Run], group: Group) -> list[Score]:
    counts = [runs[0].tasks[task].n for task in group.tasks]
    n = None if None in counts else sum(n for n in counts if n)
    scores = []
    for key in group.metrics:
        if all(key in run.groups[name].metrics for run in runs):
            figures = [run.groups[name].metrics[key] for run in runs]
            interval, stderr = spread_of(figures)
            by_run = tuple(value for value, _ in figures)
            scores.append(Score(arm, name, *key, fmean(by_run), stderr, interval, n, by_run))
    return scores


def _compare(
    name: str,
    arms: tuple[str, str],
    given: tuple[Side, Side],
    key: Key,
    options: Options,
    found: Comparison,
    guided: str = "",
) -> list[Difference]:
    """The difference over a group, or nothing where a task of it was not compared; the tasks have said why."""
    (after_runs, its_tasks), (before_runs, group) = given
    both = pair_runs(after_runs, before_runs)
    named = [(run, guided or name) for run in after_runs] + [(run, name) for run in before_runs]
    if both is None or not all(
        group in run.groups and key in run.groups[group].metrics for run, group in named
    ):
        return []
    weights = weights_of([(run, run.groups[group]) for run, group in named], key)
    if weights is None:
        found.notes.append(f"{name}: {key[0]} is no mean of its tasks that is known here, not compared")
        return []
    pairs = []
    for mine, theirs in zip(its_tasks.tasks, group.tasks, strict=True):
        results = [[run.tasks[task] for run in runs] for runs, task in zip(both, (mine, theirs), strict=True)]
        rows = [[result.samples.get(key[1], {}) for result in side] for side in results]
        regimes = f"{theirs} of {before_runs[0].name}, guided and unguided"
        what = f"{arms[0]} and {arms[1]} on {mine}" if mine == theirs else regimes
        versions = {result.version for side in results for result in side}
        if not all(rows[0]) or not all(rows[1]) or (mine == theirs and len(versions) > 1):
            return []
        shared = shared_samples(rows, what, options, found)
        if shared is None:
            return []
        pairs.append(shared)
    higher = before_runs[0].tasks[group.tasks[0]].higher.get(key[0])
    template = replace(
        blank(name, key[1], *arms, runs=(len(after_runs), len(before_runs))), metric=key[0], higher=higher
    )
    difference = group_difference(template, pairs, weights, options)
    return [] if difference is None else [difference]


def weights_of(sides: Sequence[tuple[Run, Group]], key: Key) -> list[float] | None:
    """Weights of the tasks, equal or by size, that give lm-eval's figure on all sides; None where neither does."""
    results = [[run.tasks[task] for task in group.tasks] for run, group in sides]
    if not all(key in result.metrics and result.n for side in results for result in side):
        return None
    for sizes in ([1.0] * len(results[0]), [float(result.n or 0) for result in results[0]]):
        weights = [size / sum(sizes) for size in sizes]
        means = [sum(w * r.metrics[key][0] for w, r in zip(weights, side, strict=True)) for side in results]
        figures = [group.metrics[key][0] for _, group in sides]
        if all(abs(mean - figure) <= TOLERANCE for mean, figure in zip(means, figures, strict=True)):
            return weights
    return None


def group_difference(
    template: Difference, pairs: Sequence[Pair], weights: Sequence[float], options: Options
) -> Difference | None:
    """After minus before over a group; None where a task's metric cannot be computed from the samples.

    Args:
        template: with the group as its task, and the metric.
        pairs: the samples of each task.
        weights: of the tasks, adding up to 1.
    """
    measures = []
    for pair in pairs:
        scores = scores_of(pair, template.metric)
        measure = build_measure(*scores) if scores else None
        if measure is None:
            return None
        measures.append(measure)
    values = [
        sum(w * measure.value(run) for w, measure in zip(weights, measures, strict=True))
        for run in range(len(measures[0].columns))
    ]
    half = len(values) // 2
    by_run = tuple(after - before for after, before in zip(values[:half], values[half:], strict=True))
    made = replace(
        template,
        values=(fmean(values[:half]), fmean(values[half:])),
        n=sum(len(pair[0][0]) for pair in pairs),
        by_run=by_run,
    )
    ends = [sum(w * m.bounds[end] for w, m in zip(weights, measures, strict=True)) for end in (0, 1)]
    bounds = ends[0] - ends[1], ends[1] - ends[0]
    if half > 1:
        parts = [question_variance(left_out_differences(measure)) for measure in measures]
        whole, own = (sum(w**2 * part[i] for w, part in zip(weights, parts, strict=True)) for i in (0, 1))
        found = over_runs(by_run, whole, own, bounds, made.n or 0)
        return replace(made, interval=found.interval, test="t", p_value=found.p_value, adjusted=found.p_value)
    drawn, swapped = _resampled(measures, weights, options)
    p_value = swap_test(by_run[0], swapped)
    return replace(
        made,
        interval=bootstrap_interval(drawn),
        test="swap",
        p_value=p_value,
        adjusted=p_value,
        is_bound=is_least(p_value, options.rounds),
    )


def _resampled(
    measures: Sequence[Measure], weights: Sequence[float], options: Options
) -> tuple[np.ndarray, np.ndarray]:
    """[rounds] differences over resampled documents, and with answers swapped, of one run against one."""
    drawn, swapped = [], []
    for place, (measure, weight) in enumerate(zip(measures, weights, strict=True)):
        seed = options.seed + place  # or sets of one size would draw the same documents
        after, before = measure.columns
        width = after.shape[1]
        sums = bootstrap_sums(np.concatenate(measure.columns, axis=1), options.rounds, seed)
        drawn.append(weight * (measure.statistic(sums[:, :width]) - measure.statistic(sums[:, width:])))
        kept = swap_sums(after - before, options.rounds, seed)
        sides = after.sum(axis=0), before.sum(axis=0)
        swapped.append(weight * swap_differences(*sides, kept, measure.statistic))
    return np.sum(drawn, axis=0), np.sum(swapped, axis=0)
