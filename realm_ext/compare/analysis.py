"""What `realm compare` finds, task by task: scores, differences of runs, autonomy gaps, parts, changed rules and changed
samples.

Serves design.md, section EAAI (guided minus unguided). Two runs are compared over the same documents of the same
version of a task, or not at all, and the reason is kept.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from realm_ext.compare.changed_rule import compare_changed_rules
from realm_ext.compare.comparison import (
    GUIDED,
    PRIMARY,
    Comparison,
    Score,
    interval_from,
    note_settings,
    pairs_of,
    shared_samples,
)
from realm_ext.compare.differences import (
    Key,
    Options,
    adjust,
    blank,
    bootstrap,
    name_of,
    paired,
    unpaired,
)
from realm_ext.compare.groups import compare_groups
from realm_ext.compare.measures import Measure, agrees, build_measure
from realm_ext.compare.parts import changes_of, differences_of_parts, parts_of
from realm_ext.compare.reading import Run, TaskResult
from realm_ext.report.stats import bootstrap_interval, wilson_interval


def compare_runs(runs: Sequence[Run], options: Options) -> Comparison:
    """Compare runs task by task.

    Raises:
        ValueError: a metric was asked for that no task has.
    """
    _check_metrics(runs, options)
    found = Comparison(tuple(run.name for run in runs))
    tasks = sorted({task for run in runs for task in run.tasks})
    for task in tasks:
        results = {run.name: run.tasks[task] for run in runs if task in run.tasks}
        _describe_task(task, results, found)
        for name, result in results.items():
            found.scores += _scores(name, result, options, found.notes)
            if task in found.main:
                found.parts += parts_of(name, result, found.main[task])
        for before, after in pairs_of(list(results), options.all_pairs):
            _compare_pair(results[after], results[before], after, before, options, found)
    for run in runs:
        for task in tasks:
            if task in run.tasks and task + GUIDED in run.tasks and task in found.main:
                _compare_regimes(run, task, options, found)
    found.differences, found.gaps = adjust(found.differences), adjust(found.gaps)
    compare_changed_rules(runs, options, found)
    compare_groups(runs, options, found)
    return found


def _check_metrics(runs: Sequence[Run], options: Options) -> None:
    known = {key[0] for run in runs for result in run.tasks.values() for key in result.metrics}
    missing = [metric for metric in options.metrics if metric not in known]
    if missing:
        raise ValueError(f"no task has the metric {', '.join(missing)}; there are {', '.join(sorted(known))}")


def _describe_task(task: str, results: Mapping[str, TaskResult], found: Comparison) -> None:
    first = next(iter(results.values()))
    names = list(first.metrics)
    preferred = [key for name in PRIMARY for key in names if key[0] == name]
    rising = [key for key in names if first.higher.get(key[0])]
    for main in [*preferred, *rising, *names][:1]:
        found.main[task] = main
    found.versions[task] = ", ".join(dict.fromkeys(result.version for result in results.values()))
    found.sources[task] = first.data_source
    if not any(result.limited for result in results.values()):
        found.whole.add(task)
    else:
        found.notes.append(f"{task}: not all documents were scored (lm_eval --limit)")


# ------------------------------ one run ------------------------------


def _scores(run: str, result: TaskResult, options: Options, notes: list[str]) -> list[Score]:
    """Every metric with its error: from the samples where they give lm-eval's figure again."""
    measures: dict[Key, Measure] = {}
    for key, (value, _) in result.metrics.items():
        rows = result.samples.get(key[1], {})
        if not rows or not all(key[0] in sample.scores for sample in rows.values()):
            continue
        measure = build_measure([sample.scores[key[0]] for sample in rows.values()])
        if measure is not None and agrees(measure, value):
            measures[key] = measure
        elif measure is not None:
            notes.append(
                f"{run}: {result.task} {name_of(key)} is {value:.4g} in the results and {measure.value():.4g} "
                "from the samples: samples are missing, or it is no mean of them"
            )
    drawn = {
        key: sums
        for chosen in result.samples
        for key, sums in bootstrap({k: m for k, m in measures.items() if k[1] == chosen}, options).items()
    }
    return [_score(run, result, key, measures.get(key), drawn.get(key)) for key in result.metrics]


def _score(
    run: str, result: TaskResult, key: Key, measure: Measure | None, drawn: np.ndarray | None
) -> Score:
    value, stderr = result.metrics[key]
    interval = None
    if measure is not None and drawn is not None:
        values = measure.statistic(drawn)
        counted = int(measure.columns[0][:, 1].sum()) if measure.is_binary else 0
        interval = wilson_interval(min(1.0, value), counted) if counted else bootstrap_interval(values)
        stderr = float(np.std(values)) if stderr is None else stderr
    elif stderr is not None:
        interval = interval_from(value, stderr)
    return Score(run, result.task, *key, value, stderr, interval, result.n)


# ------------------------------ two runs, two regimes ------------------------------


def _compare_pair(
    after: TaskResult, before: TaskResult, a: str, b: str, options: Options, found: Comparison
) -> None:
    """All differences of two runs on one task, or the reason why there are none."""
    task, what = after.task, f"{a} and {b} on {after.task}"
    if after.version != before.version:
        found.refused.append(
            f"{what}: versions {after.version} and {before.version} of the task; evaluate both with one version"
        )
        return
    note_settings(after, before, what, found)
    main = found.main.get(task)
    wanted = options.metrics or (main[:1] if main else ())
    keys = [key for key in after.metrics if key in before.metrics and key[0] in wanted]
    filters = [key[1] for key in (*keys, *([main] if main else []))]
    for chosen in dict.fromkeys(filters):
        of_filter = [key for key in keys if key[1] == chosen]
        rows = after.samples.get(chosen, {}), before.samples.get(chosen, {})
        if not rows[0] or not rows[1]:
            found.differences += [unpaired(after, before, a, b, key) for key in of_filter]
            continue
        pair = shared_samples(rows[0], rows[1], what, options, found)
        if pair is None:
            continue
        differ = sum(x.prompt_hash != y.prompt_hash for x, y in zip(*pair, strict=True))
        if differ:
            found.notes.append(f"{what}: {differ} of {len(pair[0])} prompts differ (template or examples)")
        template = blank(task, chosen, a, b)
        found.differences += paired(pair, of_filter, template, after.higher, options)
        if main is not None and main[1] == chosen:
            found.part_differences += differences_of_parts(pair, main, template, after, options)
            found.changes += changes_of(pair, main[0], template)


def _compare_regimes(run: Run, task: str, options: Options, found: Comparison) -> None:
    """The autonomy gap of one run: its guided score minus its unguided one, over the same questions."""
    guided, plain, main = run.tasks[task + GUIDED], run.tasks[task], found.main[task]
    if main not in guided.metrics or main not in plain.metrics:
        return
    names = f"{run.name}, guided", f"{run.name}, unguided"
    rows = guided.samples.get(main[1], {}), plain.samples.get(main[1], {})
    if not rows[0] or not rows[1]:
        found.gaps.append(unpaired(plain, plain, *names, main, guided.metrics[main]))
        return
    pair = shared_samples(rows[0], rows[1], f"{task} of {run.name}, guided and unguided", options, found)
    if pair is not None:
        found.gaps += paired(pair, [main], blank(task, main[1], *names), plain.higher, options)
