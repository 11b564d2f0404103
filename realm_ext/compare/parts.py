"""Where two runs differ: by rule, by label, and in which samples.

Serves design.md, section Domains (rules and labels), and `realm compare`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from realm_ext.compare.differences import Difference, Key, Options, adjust, paired
from realm_ext.compare.measures import build_measure
from realm_ext.compare.reading import Sample, TaskResult
from realm_ext.report.stats import Interval, wilson_interval

KINDS = ("rule", "label")
MOST_CLASSES = 30
MOST_CHANGES = 10


@dataclass(frozen=True)
class Part:
    """The main metric of one run over the documents of one rule or label; no interval where it is not 0 or 1."""

    task: str
    run: str
    kind: str
    name: str
    n: int
    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Change:
    """A document whose score changed between two runs; answers and scores are those of (after, before)."""

    task: str
    after: str
    before: str
    sample: Sample
    answers: tuple[str, str]
    scores: tuple[float, float]


def parts_of(run: str, result: TaskResult, main: Key) -> list[Part]:
    """The main metric by rule and by label."""
    rows = list(result.samples.get(main[1], {}).values())
    parts = []
    for kind in KINDS:
        for name, members in group_by(rows, kind).items():
            measure = build_measure([rows[i].scores.get(main[0]) for i in members])
            if measure is not None:
                value = measure.value()
                interval = wilson_interval(value, len(members)) if measure.is_binary else None
                parts.append(Part(result.task, run, kind, name, len(members), value, interval))
    return parts


def differences_of_parts(
    pair: tuple[Sequence[Sample], Sequence[Sample]],
    main: Key,
    template: Difference,
    result: TaskResult,
    options: Options,
) -> list[Difference]:
    """The main metric's differences by rule and by label, p adjusted among the parts of one kind."""
    found: list[Difference] = []
    for kind in KINDS:
        made: list[Difference] = []
        for name, members in group_by(pair[0], kind).items():
            part = [pair[0][i] for i in members], [pair[1][i] for i in members]
            made += paired(part, [main], replace(template, part=f"{kind} {name}"), result.higher, options)
        found += adjust(made)
    return found


def group_by(samples: Sequence[Sample], kind: str) -> dict[str, list[int]]:
    """Positions of the samples by rule or label, sorted; nothing where these are no classes.

    Classes are at least 2, at most 30, and hold two documents each on average.
    """
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        value = sample.rule if kind == "rule" else sample.label
        if value is None:
            return {}
        groups.setdefault(value, []).append(i)
    if not 2 <= len(groups) <= MOST_CLASSES or len(groups) > len(samples) / 2:
        return {}
    return dict(sorted(groups.items(), key=lambda item: (len(item[0]), item[0])))


def changes_of(
    pair: tuple[Sequence[Sample], Sequence[Sample]], metric: str, template: Difference
) -> list[Change]:
    """The ten documents whose score changed most; where all change alike, losses and gains take turns."""
    sides: dict[bool, list[Change]] = {False: [], True: []}
    for x, y in zip(*pair, strict=True):
        after, before = x.scores.get(metric), y.scores.get(metric)
        if (
            isinstance(after, bool | int | float)
            and isinstance(before, bool | int | float)
            and after != before
        ):
            change = Change(
                *(template.task, template.after, template.before),
                *(x, (x.answer, y.answer), (float(after), float(before))),
            )
            sides[after > before].append(change)
    ranked = []
    for changes in sides.values():
        changes.sort(key=_size, reverse=True)
        ranked += [(-_size(change), turn, change) for turn, change in enumerate(changes)]
    ranked.sort(key=lambda entry: entry[:2])
    return [change for _, _, change in ranked[:MOST_CHANGES]]


def _size(change: Change) -> float:
    return abs(change.scores[0] - change.scores[1])
