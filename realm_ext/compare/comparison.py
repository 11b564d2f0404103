"""What a comparison holds, and which runs and documents may be compared.

Serves `realm compare`; `analysis` fills it, `tables` and `plots` show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from realm_ext.compare.differences import Difference, Key, Options, Pair
from realm_ext.compare.parts import Change, Part
from realm_ext.compare.reading import Sample, TaskResult
from realm_ext.results.statistics import Interval

PRIMARY = ("acc", "mean@k", "exact_match")
GUIDED = "_guided"
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Score:
    """A metric of one arm, as lm-eval reports it, with its errors; `n` are documents.

    `value` is the mean over the arm's training runs, `by_run` the value of each.
    """

    run: str
    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    interval: Interval | None
    n: int | None
    by_run: tuple[float, ...] = ()


@dataclass
class Comparison:
    """All that was found, in the order of tasks and arms.

    Attributes:
        runs: the names of the arms, and of the training runs that were given alone.
        counts: training runs of each.
        changed_rules: changed-rule tasks, rules shown minus rules hidden: over all edits, then edit by edit.
        main: the metric by which a task is broken down.
        versions: of each task; several, joined, where the runs disagree.
        whole: tasks of which every run scored all documents.
        sources: the documents' data source, where they have one.
        groups: the tasks of each group that was compared as a whole.
        refused: what was not compared, and why.
    """

    runs: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    gaps: list[Difference] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    part_differences: list[Difference] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    changed_rules: list[Difference] = field(default_factory=list)
    main: dict[str, Key] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pairs_of(names: Sequence[str], every: bool) -> list[tuple[str, str]]:
    """(before, after): each later run with the first, or with each earlier one."""
    return [
        (before, after)
        for i, after in enumerate(names)
        for before in (names[:i] if every else names[: min(i, 1)])
    ]


def pair_runs(after: Sequence[_Item], before: Sequence[_Item]) -> tuple[list[_Item], list[_Item]] | None:
    """As many training runs on both sides, in the order given: one is set against each of several; else None."""
    n = max(len(after), len(before))
    if min(len(after), len(before)) not in (1, n):
        return None
    return [*after] * (n // len(after)), [*before] * (n // len(before))


def note_settings(
    after: Sequence[TaskResult], before: Sequence[TaskResult], what: str, found: Comparison
) -> None:
    """A note for each setting of the evaluation that is not alike."""
    for x, y in zip(after, before, strict=True):
        for name, value in x.settings.items():
            note = f"{what}: {name} differ, {value} and {y.settings.get(name)}"
            if value != y.settings.get(name) and note not in found.notes:
                found.notes.append(note)


def shared_samples(
    sides: Sequence[Sequence[Mapping[str, Sample]]], what: str, options: Options, found: Comparison
) -> Pair | None:
    """The samples of the documents that all runs have, in one order; None, and a refusal, where sets may not be compared.

    Args:
        sides: of after and of before: by run, then by document.
    """
    after, before = sides
    keys = [key for key in after[0] if all(key in rows for rows in (*after, *before))]
    only = [len(set().union(*side)) - len(keys) for side in sides]
    if any(only) and not (options.allow_partial and keys):
        cure = "--allow-partial compares those in both" if keys else "there is nothing to compare"
        refusal = (
            f"{what}: different documents, {only[0]} only in the first, {only[1]} only in the second, "
            f"{len(keys)} in both; {cure}"
        )
        if refusal not in found.refused:
            found.refused.append(refusal)
        return None
    if any(only):
        note = f"{what}: compared on the {len(keys)} documents in both, {sum(only)} left out"
        if note not in found.notes:
            found.notes.append(note)
    return [[rows[key] for key in keys] for rows in after], [[rows[key] for key in keys] for rows in before]
