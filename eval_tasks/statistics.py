"""From the values of single documents to the figures of a task, each with a standard error.

Serves design.md, section Layout (`eval_tasks`). lm-eval knows the standard error of a mean and no other. A value named
`<metric>_stderr` beside a metric becomes that metric's standard error in its tables and files, so the metrics here
that are no plain mean have a second aggregation of that name: the delete-one jackknife over documents. A document is
left out as a whole, so that routes of one question, which are not independent, do not count as if they were.
"""

import math
from collections.abc import Callable, Iterable, Sequence

Sums = Sequence[float]
Statistic = Callable[[Sums], float]
Aggregation = Callable[[Iterable], float | str]
UNKNOWN = "N/A"
"""What lm-eval shows where there is no standard error."""


def jackknife(rows: Sequence[Sums], statistic: Statistic) -> float | str:
    """The delete-one standard error of a statistic of column sums; `UNKNOWN` for fewer than two rows.

    Args:
        rows: one vector of counts for each document, all of one length.
        statistic: a figure from the sums of the columns.
    """
    n = len(rows)
    if n < 2:
        return UNKNOWN
    total = [sum(column) for column in zip(*rows, strict=True)]
    left_out = [statistic([t - x for t, x in zip(total, row, strict=True)]) for row in rows]
    mean = sum(left_out) / n
    return math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in left_out))


def mean_of_present(values: Iterable[float | None]) -> float:
    """The mean of the values that are not None; 0 when there are none."""
    return _ratio([sum(column) for column in zip(*_present(values), strict=True)] or [0, 0])


def mean_of_present_stderr(values: Iterable[float | None]) -> float | str:
    """The standard error of `mean_of_present`."""
    return jackknife(_present(values), _ratio)


def mean_of_lists(lists: Iterable[Iterable[float]]) -> float:
    """The mean of all values of all lists; 0 when there are none."""
    return mean_of_present(value for values in lists for value in values)


def mean_of_lists_stderr(lists: Iterable[Sequence[float]]) -> float | str:
    """The standard error of `mean_of_lists`, lists left out one by one."""
    return jackknife([(sum(values), len(values)) for values in lists if values], _ratio)


def mean_of_parts(pairs: Iterable[tuple[str, float]]) -> float:
    """The unweighted mean over parts of the mean within each, from pairs (part, value); 0 when there are none."""
    return _mean_of_ratios([sum(column) for column in zip(*_part_rows(list(pairs)), strict=True)])


def mean_of_parts_stderr(pairs: Iterable[tuple[str, float]]) -> float | str:
    """The standard error of `mean_of_parts`."""
    return jackknife(_part_rows(list(pairs)), _mean_of_ratios)


def macro_f1(pairs: Iterable[tuple[str, str]]) -> float:
    """The mean of F1 over the gold labels, from pairs (gold, answer read; empty where none could be)."""
    rows = _f1_rows(list(pairs))
    return _mean_f1([sum(column) for column in zip(*rows, strict=True)])


def macro_f1_stderr(pairs: Iterable[tuple[str, str]]) -> float | str:
    """The standard error of `macro_f1`."""
    return jackknife(_f1_rows(list(pairs)), _mean_f1)


def informedness(lists: Iterable[Iterable[tuple[bool, bool]]]) -> float:
    """Share of right routes judged right, plus share of wrong routes judged wrong, minus 1.

    From one list for each document of pairs (route right, judged right). 0 for a judge that does not look, 1 for a
    perfect one; 0 when the routes are all of one kind.
    """
    return _informedness([sum(column) for column in zip(*_judged_rows(lists), strict=True)] or [0, 0, 0, 0])


def informedness_stderr(lists: Iterable[Iterable[tuple[bool, bool]]]) -> float | str:
    """The standard error of `informedness`."""
    return jackknife(_judged_rows(lists), _informedness)


def _present(values: Iterable[float | None]) -> list[Sums]:
    return [(value, 1) for value in values if value is not None]


def _ratio(sums: Sums) -> float:
    return sums[0] / sums[1] if sums[1] else 0.0


def _part_rows(pairs: Sequence[tuple[str, float]]) -> list[Sums]:
    """For each document and part: its value, and whether it is of this part."""
    parts = sorted({part for part, _ in pairs})
    return [[x for part in parts for x in (value * (part == own), part == own)] for own, value in pairs]


def _mean_of_ratios(sums: Sums) -> float:
    """A part that holds nothing, as where its only document is left out, does not count."""
    means = [total / n for total, n in zip(sums[::2], sums[1::2], strict=True) if n]
    return sum(means) / len(means) if means else 0.0


def _f1_rows(pairs: Sequence[tuple[str, str]]) -> list[Sums]:
    """For each document and gold label: whether it was hit, and how often it was named by gold and reader."""
    labels = sorted({gold for gold, _ in pairs})
    return [
        [x for label in labels for x in (gold == read == label, (gold == label) + (read == label))]
        for gold, read in pairs
    ]


def _mean_f1(sums: Sums) -> float:
    hits, named = sums[::2], sums[1::2]
    scores = [2 * h / n if n else 0.0 for h, n in zip(hits, named, strict=True)]
    return sum(scores) / len(scores) if scores else 0.0


def _judged_rows(lists: Iterable[Iterable[tuple[bool, bool]]]) -> list[Sums]:
    """For each document: right routes judged right, right routes, wrong routes judged wrong, wrong routes."""
    listed = [list(pairs) for pairs in lists]
    return [
        [
            sum(label and judged for label, judged in pairs),
            sum(label for label, _ in pairs),
            sum(not label and not judged for label, judged in pairs),
            sum(not label for label, _ in pairs),
        ]
        for pairs in listed
    ]


def _informedness(sums: Sums) -> float:
    hits_right, right, hits_wrong, wrong = sums
    return hits_right / right + hits_wrong / wrong - 1 if right and wrong else 0.0
