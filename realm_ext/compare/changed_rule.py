"""What a model does whose rules have changed: the changed-rule task with the edited rules in the prompt, and without.

Serves design.md, section Domains, and the tasks of eval_tasks/changed_rule.py. Both ask the same questions of one
checkpoint, so its answers with the rules shown are paired with those without. Their documents name the edit, and two of
their metrics tell the questions whose label it changes from the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from realm_ext.compare.comparison import Comparison, note_settings, shared_samples
from realm_ext.compare.differences import Difference, Options, adjust, blank, paired, unpaired
from realm_ext.compare.reading import Run, Sample, TaskResult
from reward_fns.domains.search_relevance.edits import EDITS

SHOWN, HIDDEN = "realm_changed_rule", "realm_changed_rule_hidden"
METRICS = ("acc", "acc_affected", "kept_old", "acc_unaffected")
EDIT = "edit "
"""What the part of a difference starts with; the edit's name follows."""
_SHOWN, _HIDDEN = ", rules shown", ", rules hidden"


def compare_changed_rules(runs: Sequence[Run], options: Options, found: Comparison) -> None:
    """Each checkpoint's figures with the rules shown minus those without, over all edits and edit by edit.

    p values are adjusted over the checkpoints, and those of the edits of one checkpoint among themselves.
    """
    whole: list[Difference] = []
    parts: list[Difference] = []
    for shown, hidden in couples([run for run in runs if found.counts[run.name] == 1], found.notes):
        name = shown.name if shown is hidden else f"{shown.name} + {hidden.name}"
        of_all, of_edits = _compare(name, shown.tasks[SHOWN], hidden.tasks[HIDDEN], options, found)
        whole += of_all
        parts += adjust(of_edits)
    found.changed_rules = [*adjust(whole), *parts]


def couples(runs: Sequence[Run], notes: list[str]) -> list[tuple[Run, Run]]:
    """(rules shown, rules hidden) of each checkpoint: one run that holds both tasks, or two runs of one model.

    lm-eval's name of the model tells whether two runs are of one. A run that holds one of the tasks and has no partner, or
    several, gets a line in `notes` where the other task was run at all.
    """
    shown = [run for run in runs if SHOWN in run.tasks]
    hidden = [run for run in runs if HIDDEN in run.tasks]
    found: list[tuple[Run, Run]] = []
    for run in shown:
        if HIDDEN in run.tasks:
            found.append((run, run))
            continue
        partners = [other for other in hidden if SHOWN not in other.tasks and run.model]
        partners = [other for other in partners if other.model == run.model]
        if len(partners) == 1:
            found.append((run, partners[0]))
    paired_off = {run.name for couple in found for run in couple}
    if shown and hidden:
        notes += [
            f"{run.name} holds one of {SHOWN} and {HIDDEN}, and not one run holds the other for the same model "
            f"({run.model or 'not named'}): rules shown and hidden are not compared"
            for run in runs
            if (run in shown or run in hidden) and run.name not in paired_off
        ]
    return found


def by_checkpoint(found: Comparison) -> dict[str, list[Difference]]:
    """The differences of each checkpoint, by its name: over all edits, then edit by edit."""
    named: dict[str, list[Difference]] = {}
    for d in found.changed_rules:
        named.setdefault(d.after.removesuffix(_SHOWN), []).append(d)
    return named


def reading_of(affected: Difference, kept: Difference, unaffected: Difference) -> str:
    """What a checkpoint does with the edited rules in its prompt, as a sentence without its full stop.

    Args:
        affected: shown minus hidden of `acc_affected`.
        kept: of `kept_old`.
        unaffected: of `acc_unaffected`.
    """
    if affected.within_noise:
        text = "Showing the edited rules makes no difference beyond noise"
        if not kept.within_noise and kept.difference < 0:
            text = "The edited rules in the prompt turn it away from the old ones, but not to the new ones"
    elif affected.difference < 0:
        text = "With the edited rules in the prompt it finds the new label less often"
    elif affected.values[0] > kept.values[0]:
        text = "It goes by the rules that it is shown more often than by the old ones"
    else:
        text = "It heeds the rules that it is shown, but goes by the old ones as often or more"
    if not unaffected.within_noise and unaffected.difference < 0:
        text += ", and loses questions that the edit leaves alone"
    return text


def title_of_edit(part: str) -> str:
    """The edit of a difference's part and the rules whose text it changes; "all" for all edits together."""
    name = part.removeprefix(EDIT)
    if not name:
        return "all"
    return f"{name} ({', '.join(EDITS[name].texts)})" if name in EDITS else name


def _compare(
    name: str, shown: TaskResult, hidden: TaskResult, options: Options, found: Comparison
) -> tuple[list[Difference], list[Difference]]:
    """Differences of one checkpoint over all edits, and of each edit; none, and a refusal, where sets differ."""
    what = f"{SHOWN} and {HIDDEN} of {name}"
    if shown.version != hidden.version:
        found.refused.append(
            f"{what}: versions {shown.version} and {hidden.version}; evaluate both with one version"
        )
        return [], []
    note_settings([shown], [hidden], what, found)
    chosen = found.main[SHOWN][1] if SHOWN in found.main else "none"
    template = blank(SHOWN, chosen, f"{name}{_SHOWN}", f"{name}{_HIDDEN}")
    rows = shown.samples.get(chosen, {}), hidden.samples.get(chosen, {})
    if not rows[0] or not rows[1]:
        keys = [(metric, chosen) for metric in METRICS]
        held = [key for key in keys if key in shown.metrics and key in hidden.metrics]
        figures = [([shown.metrics[key]], [hidden.metrics[key]]) for key in held]
        return [
            unpaired(key, both, template, shown.higher) for key, both in zip(held, figures, strict=True)
        ], []
    pair = shared_samples(([rows[0]], [rows[1]]), what, options, found)
    if pair is None:
        return [], []
    every = list(zip(pair[0][0], pair[1][0], strict=True))
    whole: list[Difference] = []
    for metric in METRICS:
        whole += _difference(every, metric, template, shown.higher, options)
    parts: list[Difference] = []
    for edit in sorted({x.edit for x, _ in every if x.edit}, key=_place_of):
        of_edit = [both for both in every if both[0].edit == edit]
        for metric in METRICS[1:]:
            parts += _difference(of_edit, metric, replace(template, part=EDIT + edit), shown.higher, options)
    return whole, parts


def _difference(
    both: Sequence[tuple[Sample, Sample]],
    metric: str,
    template: Difference,
    higher: Mapping[str, bool | None],
    options: Options,
) -> list[Difference]:
    """The difference over the questions that have this metric; none where there are no such."""
    counted = [
        (x, y) for x, y in both if x.scores.get(metric) is not None and y.scores.get(metric) is not None
    ]
    if not counted:
        return []
    pair = [[x for x, _ in counted]], [[y for _, y in counted]]
    return paired(pair, [(metric, template.filter)], template, higher, options)


def _place_of(edit: str) -> tuple[int, str]:
    """Sort key: the edits in the order of the rule book's edits, then others by name."""
    known = list(EDITS)
    return (known.index(edit) if edit in known else len(known), edit)
