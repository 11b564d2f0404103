"""Groups of tasks: their score is a mean over tasks, and so is the difference of two runs.

Serves `realm compare`. Documents are resampled, and swapped, within each task, and the tasks' differences averaged with
the weights by which lm-eval's own figure of the group is a mean of its tasks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from realm_ext.compare.comparison import (
    GUIDED,
    PRIMARY,
    Comparison,
    Score,
    interval_from,
    pairs_of,
    shared_samples,
)
from realm_ext.compare.differences import Difference, Key, Options, adjust, blank, bootstrap
from realm_ext.compare.measures import build_measure
from realm_ext.compare.reading import Group, Run, Sample
from realm_ext.report.stats import (
    bootstrap_interval,
    swap_differences,
    swap_sums,
    swap_test,
)

Pair = tuple[Sequence[Sample], Sequence[Sample]]
TOLERANCE = 1e-6


def compare_groups(runs: Sequence[Run], options: Options, found: Comparison) -> None:
    """Put the scores, differences and gaps of every group that lm-eval reports a mean of before those of the tasks.

    Their p values are adjusted among themselves: they are a summary of the tasks' differences, no further ones.
    """
    differences: list[Difference] = []
    gaps: list[Difference] = []
    for name in sorted({group for run in runs for group in run.groups}):
        holders = {run.name: run for run in runs if name in run.groups}
        first = next(iter(holders.values()))
        group = first.groups[name]
        main = [key for metric in PRIMARY for key in group.metrics if key[0] == metric][:1]
        if not main or any(run.groups[name].tasks != group.tasks for run in holders.values()):
            continue
        found.main[name], found.groups[name] = main[0], group.tasks
        for run in holders.values():
            for key, (value, stderr) in run.groups[name].metrics.items():
                interval = None if stderr is None else interval_from(value, stderr)
                found.scores.append(
                    Score(run.name, name, *key, value, stderr, interval, _documents(run, group))
                )
        wanted = options.metrics or (main[0][0],)
        for before, after in pairs_of(list(holders), options.all_pairs):
            for key in group.metrics:
                if key[0] in wanted:
                    pair = _side(holders[after], name), _side(holders[before], name)
                    differences += _compare(name, (after, before), pair, key, options, found)
        for run in holders.values():
            guided = run.groups.get(name + GUIDED)
            if guided is not None and tuple(task + GUIDED for task in group.tasks) == guided.tasks:
                names = f"{run.name}, guided", f"{run.name}, unguided"
                gaps += _compare(name, names, ((run, guided), _side(run, name)), main[0], options, found)
    found.differences[:0], found.gaps[:0] = adjust(differences), adjust(gaps)


def _compare(
    name: str,
    names: tuple[str, str],
    pair: tuple[tuple[Run, Group], tuple[Run, Group]],
    key: Key,
    options: Options,
    found: Comparison,
) -> list[Difference]:
    """The difference over a group, or nothing where a task of it was not compared; the tasks have said why."""
    (after, its_tasks), (before, group) = pair
    weights = weights_of(pair, key)
    if weights is None:
        found.notes.append(f"{name}: {key[0]} is no mean of its tasks that is known here, not compared")
        return []
    pairs = []
    for mine, theirs in zip(its_tasks.tasks, group.tasks, strict=True):
        results = after.tasks[mine], before.tasks[theirs]
        rows = results[0].samples.get(key[1], {}), results[1].samples.get(key[1], {})
        regimes = f"{theirs} of {before.name}, guided and unguided"
        what = f"{names[0]} and {names[1]} on {mine}" if mine == theirs else regimes
        if not rows[0] or not rows[1] or (mine == theirs and results[0].version != results[1].version):
            return []
        shared = shared_samples(*rows, what, options, found)
        if shared is None:
            return []
        pairs.append(shared)
    higher = before.tasks[group.tasks[0]].higher.get(key[0])
    difference = group_difference(name, names, pairs, weights, key, higher, options)
    return [] if difference is None else [difference]


def _side(run: Run, name: str) -> tuple[Run, Group]:
    return run, run.groups[name]


def _documents(run: Run, group: Group) -> int | None:
    counts = [run.tasks[task].n for task in group.tasks]
    return None if None in counts else sum(n for n in counts if n)


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
    name: str,
    runs: tuple[str, str],
    pairs: Sequence[Pair],
    weights: Sequence[float],
    key: Key,
    higher: bool | None,
    options: Options,
) -> Difference | None:
    """After minus before over a group; None where a task's metric cannot be computed from the samples.

    Args:
        runs: names of after and before.
        pairs: for each task the samples of after and before, document by document.
        weights: of the tasks, adding up to 1.
    """
    drawn, swapped, values = [], [], []
    for place, (pair, weight) in enumerate(zip(pairs, weights, strict=True)):
        measure = None
        if all(key[0] in sample.scores for side in pair for sample in side):
            measure = build_measure(*([sample.scores[key[0]] for sample in side] for side in pair))
        if measure is None:
            return None
        own = replace(options, seed=options.seed + place)  # or sets of one size would draw the same documents
        width = measure.columns[0].shape[1]
        sums = bootstrap({key: measure}, own)[key]
        drawn.append(weight * (measure.statistic(sums[:, :width]) - measure.statistic(sums[:, width:])))
        kept = swap_sums(measure.columns[0] - measure.columns[1], own.rounds, own.seed)
        after, before = (columns.sum(axis=0) for columns in measure.columns)
        swapped.append(weight * swap_differences(after, before, kept, measure.statistic))
        values.append((weight * measure.value(0), weight * measure.value(1)))
    both = sum(v[0] for v in values), sum(v[1] for v in values)
    p_value = swap_test(both[0] - both[1], np.sum(swapped, axis=0))
    return replace(
        blank(name, key[1], *runs),
        metric=key[0],
        values=both,
        interval=bootstrap_interval(np.sum(drawn, axis=0)),
        n=sum(len(pair[0]) for pair in pairs),
        test="swap",
        p_value=p_value,
        adjusted=p_value,
        higher=higher,
    )
