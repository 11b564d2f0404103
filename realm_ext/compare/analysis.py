"""What `realm compare` finds, task by task: scores, differences of arms, autonomy gaps, parts, changed rules and changed
samples.

An arm is one training run or several. Two are compared over the same documents of the same version of a task, or not at
all, and the reason is kept.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

from realm_ext.compare.changed_rule import HIDDEN, compare_changed_rules
from realm_ext.compare.comparison import (
    GUIDED,
    PRIMARY,
    Comparison,
    Score,
    note_settings,
    pair_runs,
    pairs_of,
    shared_samples,
)
from realm_ext.compare.differences import (
    Key,
    Options,
    Spread,
    adjust,
    blank,
    name_of,
    paired,
    spread_of,
    unpaired,
)
from realm_ext.compare.groups import compare_groups
from realm_ext.compare.parts import changes_of, differences_of_parts, parts_of
from realm_ext.compare.reading import Run, TaskResult
from realm_ext.results.measures import agrees, build_measure
from realm_ext.results.statistics import estimate

FIRST_ERROR, GUESS = "first_error_acc", "first_error_guess"
Results = Sequence[TaskResult]
"""Of one task, by the training runs of an arm."""


def compare_runs(runs: Sequence[Run], options: Options) -> Comparison:
    """Compare arms task by task; runs of one name are training runs of one arm.

    Raises:
        ValueError: a metric was asked for that no task has.
    """
    _check_metrics(runs, options)
    arms: dict[str, list[Run]] = {}
    for run in runs:
        arms.setdefault(run.name, []).append(run)
    found = Comparison(tuple(arms), {name: len(members) for name, members in arms.items()})
    tasks = sorted({task for run in runs for task in run.tasks})
    for task in tasks:
        results = {name: held for name, arm in arms.items() if (held := _held(name, arm, task, found))}
        if not results:
            continue
        _describe_task(task, results, found)
        for name, held in results.items():
            found.scores += _scores(name, held, options, found)
            if task in found.main:
                found.parts += parts_of(name, held, found.main[task])
        for before, after in pairs_of(list(results), options.all_pairs):
            _compare_pair(results[after], results[before], after, before, options, found)
    for name, arm in arms.items():
        for task in tasks:
            if task in found.main and all(task in run.tasks and task + GUIDED in run.tasks for run in arm):
                _compare_regimes(name, arm, task, options, found)
    found.differences, found.gaps = adjust(found.differences), adjust(found.gaps)
    compare_changed_rules(runs, options, found)
    compare_groups(arms, options, found)
    return found


def _held(name: str, arm: Sequence[Run], task: str, found: Comparison) -> Results:
    """The results of a task, of all training runs of an arm; none, and a refusal, where only some hold it."""
    held = [run.tasks[task] for run in arm if task in run.tasks]
    if held and len(held) < len(arm):
        found.refused.append(f"{name}: {len(held)} of {len(arm)} training runs hold {task}; evaluate all")
        return []
    return held


def _check_metrics(runs: Sequence[Run], options: Options) -> None:
    known = {key[0] for run in runs for result in run.tasks.values() for key in result.metrics}
    missing = [metric for metric in options.metrics if metric not in known]
    if missing:
        raise ValueError(f"no task has the metric {', '.join(missing)}; there are {', '.join(sorted(known))}")


def _describe_task(task: str, results: Mapping[str, Results], found: Comparison) -> None:
    every = [result for held in results.values() for result in held]
    names = list(every[0].metrics)
    preferred = [key for name in PRIMARY for key in names if key[0] == name]
    rising = [key for key in names if every[0].higher.get(key[0])]
    for main in [*preferred, *rising, *names][:1]:
        found.main[task] = main
    found.versions[task] = ", ".join(dict.fromkeys(result.version for result in every))
    found.sources[task] = every[0].data_source
    if not any(result.limited for result in every):
        found.whole.add(task)
    else:
        found.notes.append(f"{task}: not all documents were scored (lm_eval --limit)")


# ------------------------------ one arm ------------------------------


def _scores(name: str, held: Results, options: Options, found: Comparison) -> list[Score]:
    """Every metric with its error: from the samples where they give lm-eval's figures again."""
    scores = []
    for key in held[0].metrics:
        if all(key in result.metrics for result in held):
            figures = [result.metrics[key] for result in held]
            made = _from_samples(name, held, key, options, found) or spread_of(figures)
            stderr = figures[0][1] if len(held) == 1 and figures[0][1] is not None else made[1]
            by_run = tuple(value for value, _ in figures)
            scores.append(Score(name, held[0].task, *key, fmean(by_run), stderr, made[0], held[0].n, by_run))
            if key[0] == FIRST_ERROR and (GUESS, key[1]) not in held[0].metrics:
                scores += _guess(name, held, key[1], found)
    return scores


def _guess(name: str, held: Results, chosen: str, found: Comparison) -> list[Score]:
    """What stands beside `first_error_acc` in results that do not say it themselves."""
    by_run = tuple(r.first_error_guess for r in held if r.first_error_guess is not None)
    if len(by_run) < len(held):
        found.notes.append(f"{name}: {held[0].task} {GUESS} is not known: the samples hold no routes")
        return []
    return [Score(name, held[0].task, GUESS, chosen, fmean(by_run), None, None, held[0].n, by_run)]


def _from_samples(name: str, held: Results, key: Key, options: Options, found: Comparison) -> Spread | None:
    """None, and a note, where the samples do not give lm-eval's figure, or the runs' documents differ."""
    rows = [result.samples.get(key[1], {}) for result in held]
    if not all(rows) or any(run.keys() != rows[0].keys() for run in rows):
        return None
    if not all(key[0] in sample.scores for run in rows for sample in run.values()):
        return None
    measure = build_measure(*([run[document].scores[key[0]] for document in rows[0]] for run in rows))
    if measure is None:
        return None
    for number, result in enumerate(held):
        value = result.metrics[key][0]
        if not agrees(measure, value, number):
            found.notes.append(
                f"{name}: {result.task} {name_of(key)} is {value:.4g} in the results and "
                f"{measure.value(number):.4g} from the samples: samples are missing, or it is no mean of them"
            )
            return None
    made = estimate(measure, options.rounds, options.seed)
    return made.interval, made.stderr


# ------------------------------ two arms, two regimes ------------------------------


def _compare_pair(
    given: Results, reference: Results, a: str, b: str, options: Options, found: Comparison
) -> None:
    """All differences of two arms on one task, or the reason why there are none."""
    task, what = given[0].task, f"{a} and {b} on {given[0].task}"
    versions = [", ".join(dict.fromkeys(result.version for result in side)) for side in (given, reference)]
    if len({result.version for result in (*given, *reference)}) > 1:
        found.refused.append(
            f"{what}: versions {versions[0]} and {versions[1]} of the task; evaluate both with one version"
        )
        return
    both = pair_runs(given, reference)
    if both is None:
        found.refused.append(
            f"{what}: {len(given)} and {len(reference)} training runs; they are paired in the order given, so give "
            "as many of each, or one"
        )
        return
    after, before = both
    note_settings(after, before, what, found)
    main = found.main.get(task)
    wanted = options.metrics or (main[:1] if main else ())
    keys = [
        key
        for key in given[0].metrics
        if key[0] in wanted and all(key in r.metrics for r in (*after, *before))
    ]
    # results of the hidden task that were made before it said so have no direction either
    higher = {} if task == HIDDEN else given[0].higher
    filters = [key[1] for key in (*keys, *([main] if main else []))]
    for chosen in dict.fromkeys(filters):
        of_filter = [key for key in keys if key[1] == chosen]
        rows = [[result.samples.get(chosen, {}) for result in side] for side in both]
        template = blank(task, chosen, a, b, runs=(len(given), len(reference)))
        if not all(rows[0]) or not all(rows[1]):
            for key in of_filter:
                figures = [[result.metrics[key] for result in side] for side in both]
                found.differences.append(unpaired(key, figures, template, higher))
            continue
        pair = shared_samples(rows, what, options, found)
        if pair is None:
            continue
        differ = sum(
            x.prompt_hash != y.prompt_hash
            for runs in zip(*pair, strict=True)
            for x, y in zip(*runs, strict=True)
        )
        if differ:
            asked = sum(len(run) for run in pair[0])
            found.notes.append(f"{what}: {differ} of {asked} prompts differ (template or examples)")
        found.differences += paired(pair, of_filter, template, higher, options)
        if main is not None and main[1] == chosen:
            found.part_differences += differences_of_parts(pair, main, template, higher, options)
            if len(after) == 1:
                found.changes += changes_of(pair[0][0], pair[1][0], main[0], template)


def _compare_regimes(name: str, arm: Sequence[Run], task: str, options: Options, found: Comparison) -> None:
    """The autonomy gap of one arm: its guided score minus its unguided one, over the same questions."""
    main = found.main[task]
    guided, plain = [run.tasks[task + GUIDED] for run in arm], [run.tasks[task] for run in arm]
    if not all(main in result.metrics for result in (*guided, *plain)):
        return
    names = f"{name}, guided", f"{name}, unguided"
    template = blank(task, main[1], *names, runs=(len(arm), len(arm)))
    rows = [[result.samples.get(main[1], {}) for result in side] for side in (guided, plain)]
    higher = plain[0].higher
    if not all(rows[0]) or not all(rows[1]):
        figures = [[result.metrics[main] for result in side] for side in (guided, plain)]
        found.gaps.append(unpaired(main, figures, template, higher))
        return
    pair = shared_samples(rows, f"{task} of {name}, guided and unguided", options, found)
    if pair is not None:
        found.gaps += paired(pair, [main], template, higher, options)
