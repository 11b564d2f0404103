"""Scores that can be computed again from logged samples: each as column sums over documents and a function of these.

A mean, a macro-F1 and a judge's informedness all depend on the documents through sums alone,
so one bootstrap and one swap test serve them all. The kind is told by the shape of the logged values, as the tasks in
eval_tasks/ and lm-eval's own log them; a kind is used only where it gives lm-eval's own figure again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from realm_ext.results.statistics import SHARE, UNBOUNDED, Measure

TOLERANCE = 1e-6


def mean_measure(*runs: Sequence[float]) -> Measure:
    """The mean of one score a question.

    Args:
        runs: for each run [questions], the same questions in the same order.

    Raises:
        ValueError: there is no run or no question, or the runs have different numbers of them.
    """
    if not runs or len({len(run) for run in runs}) != 1 or not len(runs[0]):
        raise ValueError(
            f"runs need the same questions, one or more; got {[len(run) for run in runs]} of them"
        )
    measure = build_measure(*runs)
    if measure is None:
        raise ValueError("scores are numbers; got other values")
    return measure


def build_measure(*runs: Sequence[Any]) -> Measure | None:
    """The measure that fits the logged values of one metric, one sequence a run; None where none does."""
    values = [value for run in runs for value in run]
    if not values:
        return None
    if all(value is None or _is_number(value) for value in values):
        counted = [float(value) for value in values if value is not None]
        columns = tuple(_columns([(0.0, 0.0) if v is None else (float(v), 1.0) for v in run]) for run in runs)
        return Measure(columns, _ratio, bool(counted) and set(counted) <= {0.0, 1.0}, _bounds(counted))
    if not all(isinstance(value, list) for value in values):
        return None
    if all(len(value) == 2 and all(isinstance(part, str) for part in value) for value in values):
        return _macro_f1(runs)
    items = [item for value in values for item in value]
    if all(_is_number(item) for item in items):
        columns = tuple(_columns([(float(sum(value)), float(len(value))) for value in run]) for run in runs)
        return Measure(columns, _ratio, bounds=_bounds(items))
    if all(isinstance(item, list) and len(item) == 2 and all(_is_number(i) for i in item) for item in items):
        columns = tuple(_columns([_judged(value) for value in run]) for run in runs)
        return Measure(columns, _informedness, bounds=(-1.0, 1.0))
    return None


def agrees(measure: Measure, reported: float, run: int = 0) -> bool:
    """Whether the measure of a run is the figure that lm-eval reports."""
    return abs(measure.value(run) - reported) <= TOLERANCE * max(1.0, abs(reported))


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Of a mean of such values: shares stay shares."""
    return SHARE if all(0.0 <= value <= 1.0 for value in values) else UNBOUNDED


def _columns(rows: Sequence[tuple[float, ...]]) -> np.ndarray:
    return np.array(rows, np.float64)


def _ratio(sums: np.ndarray) -> np.ndarray:
    """Column 0 over column 1; 0 where nothing counts."""
    return _divide(sums[..., 0], sums[..., 1])


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.where(bottom > 0, top / np.maximum(bottom, 1e-300), 0.0)


def _macro_f1(runs: Sequence[Sequence[Any]]) -> Measure:
    """Mean F1 over the gold labels, from pairs (gold, read); three columns a label: hits, gold, read."""
    labels = sorted({gold for run in runs for gold, _ in run})

    def statistic(sums: np.ndarray) -> np.ndarray:
        hits, gold, read = (sums[..., i::3] for i in range(3))
        scores = _divide(2 * hits, gold + read) * (gold > 0)
        return _divide(scores.sum(axis=-1), (gold > 0).sum(axis=-1))

    def row(gold: str, read: str) -> tuple[float, ...]:
        return tuple(
            float(value)
            for label in labels
            for value in (gold == read == label, gold == label, read == label)
        )

    columns = tuple(_columns([row(gold, read) for gold, read in run]) for run in runs)
    return Measure(columns, statistic, bounds=SHARE)


def _judged(pairs: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """From pairs (route right, judged right): right and judged so, right, wrong and judged so, wrong."""
    right = [bool(judged) for label, judged in pairs if label]
    wrong = [not judged for label, judged in pairs if not label]
    return float(sum(right)), float(len(right)), float(sum(wrong)), float(len(wrong))


def _informedness(sums: np.ndarray) -> np.ndarray:
    both = (sums[..., 1] > 0) & (sums[..., 3] > 0)
    return np.where(
        both, _divide(sums[..., 0], sums[..., 1]) + _divide(sums[..., 2], sums[..., 3]) - 1.0, 0.0
    )
