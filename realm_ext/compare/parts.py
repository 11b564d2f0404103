"""Where two runs differ: by rule, by label, and in which samples.

Serves design.md, section Domains (rules and labels), and `realm compare`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from realm_ext.compare.differences import Difference, Key, Options, Pair, adjust, paired
from realm_ext.compare.reading import Sample, TaskResult
from realm_ext.results.measures import build_measure
from realm_ext.results.statistics import Interval, estimate

KINDS = ("rule", "label")
MOST_CLASSES = 30
MOST_CHANGES = 10


@dataclass(frozen=True)
class Part:
    """The main metric of one arm over the documents of one rule or label.

    No interval for one training run where the metric is not 0 or 1.
    """

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


def parts_of(name: str, held: Sequence[TaskResult], main: Key) -> list[Part]:
    """The main metric by rule and by label; nothing where the training runs answered different documents."""
    runs = [result.samples.get(main[1], {}) for result in held]
    if any(run.keys() != runs[0].keys() for run in runs):
        return []
    rows = list(runs[0].values())
    parts = []
    for kind in KINDS:
        for part, members in group_by(rows, kind).items():
            documents = [list(runs[0])[i] for i in members]
            measure = build_measure(
                *([run[document].scores.get(main[0]) for document in documents] for run in runs)
            )
            if measure is not None:
                known = measure.is_binary or len(runs) > 1
                made = estimate(measure) if known else None
                value = made.value if made else measure.value()
                interval = made.interval if made else None
                parts.append(Part(held[0].task, name, kind, part, len(members), value, interval))
    return parts


def differences_of_parts(
    pair: Pair,
    main: Key,
    template: Difference,
    higher: Mapping[str, bool | None],
    options: Options,
) -> list[Difference]:
    """The main metric's differences by rule and by label, p adjusted among the parts of one kind."""
    found: list[Difference] = []
    for kind in KINDS:
        made: list[Difference] = []
        for name, members in group_by(pair[0][0], kind).items():
            after, before = ([[run[i] for i in members] for run in side] for side in pair)
            named = replace(template, part=f"{kind} {name}")
            made += paired((after, before), [main], named, higher, options)
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
    after_rows: Sequence[Sample], before_rows: Sequence[Sample], metric: str, template: Difference
) -> list[Change]:
    """The ten documents whose score changed most; where all change alike, losses and gains take turns."""
    sides: dict[bool, list[Change]] = {False: [], True: []}
    for x, y in zip(after_rows, before_rows, strict=True):
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
