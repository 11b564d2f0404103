"""Every kind of logged value gives the figure that lm-eval and our tasks give for it."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from eval_tasks import statistics
from realm_ext.results.measures import agrees, build_measure
from realm_ext.results.statistics import bootstrap_sums

RNG = random.Random(0)
LABELS = ["A", "B", "C"]
PAIRS = [[RNG.choice(LABELS), RNG.choice([*LABELS, ""])] for _ in range(50)]
JUDGED = [[[RNG.random() < 0.5, RNG.random() < 0.6] for _ in range(RNG.randint(0, 4))] for _ in range(50)]
LISTS = [[RNG.random() < 0.3 for _ in range(RNG.randint(0, 3))] for _ in range(50)]
PRESENT = [RNG.choice([None, 0.0, 1.0]) for _ in range(50)]
REAL = [RNG.random() for _ in range(50)]


@pytest.mark.parametrize(
    ("values", "aggregate"),
    [
        (PAIRS, statistics.macro_f1),
        (JUDGED, statistics.informedness),
        (LISTS, statistics.mean_of_lists),
        (PRESENT, statistics.mean_of_present),
        (REAL, statistics.mean_of_present),
    ],
)
def test_a_measure_is_its_task_s_aggregation_on_every_resample(
    values: Sequence[Any], aggregate: Callable[..., float]
) -> None:
    measure = build_measure(values)
    assert measure is not None and agrees(measure, aggregate(values))
    drawn = measure.statistic(bootstrap_sums(measure.columns[0], rounds=20, seed=3))
    generator = np.random.default_rng(3)
    for value in drawn:
        chosen = generator.integers(0, len(values), size=len(values), dtype=np.int64)
        assert value == pytest.approx(aggregate([values[i] for i in chosen]))


def test_zeros_and_ones_are_told_from_other_numbers() -> None:
    kinds = {
        True: ([0, 1.0, True, False], [None, 1.0]),
        False: ([0.5, 1.0], [None], PAIRS, LISTS),
    }
    for is_binary, cases in kinds.items():
        for values in cases:
            measure = build_measure(values)
            assert measure is not None and measure.is_binary == is_binary


def test_labels_of_one_run_alone_count_in_both() -> None:
    measure = build_measure([["A", "A"]], [["B", "A"]])
    assert measure is not None
    assert (measure.value(0), measure.value(1)) == (1.0, 0.0)


@pytest.mark.parametrize("values", [[], ["text"], [{"a": 1}], [1.0, "x"], [[1.0, "x"]], [["a", "b", "c"]]])
def test_unknown_kinds_have_no_measure(values: Sequence[Any]) -> None:
    assert build_measure(values) is None


def test_pairs_of_numbers_that_are_no_mean_do_not_agree() -> None:
    """lm-eval's perplexities log (log-likelihood, words): no mean, so its figure is left as it is."""
    measure = build_measure([[-10.0, 4], [-12.0, 5]])
    assert measure is not None and not agrees(measure, 11.5)
