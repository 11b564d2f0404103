"""What a comparison holds, and which runs and documents may be compared.

Serves `realm compare`; `analysis` fills it, `tables` and `plots` show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from realm_ext.compare.differences import Difference, Key, Options
from realm_ext.compare.parts import Change, Part
from realm_ext.compare.reading import Sample, TaskResult
from realm_ext.report.stats import Z95, Interval, normal_interval

PRIMARY = ("acc", "mean@k", "exact_match")
GUIDED = "_guided"


@dataclass(frozen=True)
class Score:
    """A metric of one run, as lm-eval reports it, with its errors; `n` are documents."""

    run: str
    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    interval: Interval | None
    n: int | None


@dataclass
class Comparison:
    """All that was found, in the order of tasks and runs.

    Attributes:
        changed_rules: changed-rule tasks, rules shown minus rules hidden: over all edits, then edit by edit.
        main: the metric by which a task is broken down.
        versions: of each task; several, joined, where the runs disagree.
        whole: tasks of which every run scored all documents.
        sources: the documents' data source, where they have one.
        groups: the tasks of each group that was compared as a whole.
        refused: what was not compared, and why.
    """

    runs: tuple[str, ...]
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


def note_settings(after: TaskResult, before: TaskResult, what: str, found: Comparison) -> None:
    """A note for each setting of the evaluation that is not alike."""
    for name, value in after.settings.items():
        if value != before.settings.get(name):
            found.notes.append(f"{what}: {name} differ, {value} and {before.settings.get(name)}")


def shared_samples(
    after: Mapping[str, Sample], before: Mapping[str, Sample], what: str, options: Options, found: Comparison
) -> tuple[list[Sample], list[Sample]] | None:
    """The samples of the documents in both, in one order; None, and a refusal, where the sets may not be compared."""
    keys = [key for key in after if key in before]
    only = len(after) - len(keys), len(before) - len(keys)
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
    return [after[key] for key in keys], [before[key] for key in keys]


def interval_from(value: float, stderr: float) -> Interval:
    """95% interval of a metric whose samples are not there, from its standard error."""
    if 0.0 <= value <= 1.0 and stderr <= 0.5:
        return normal_interval(value, stderr)
    return Interval(value - Z95 * stderr, value + Z95 * stderr)
