"""Figures of a task from the values of its documents, and their standard errors, on cases worked by hand."""

import math
import random
import statistics as plain
from typing import Any

import pytest

from eval_tasks.statistics import (
    UNKNOWN,
    informedness,
    informedness_stderr,
    macro_f1,
    macro_f1_stderr,
    mean_of_lists,
    mean_of_lists_stderr,
    mean_of_parts,
    mean_of_parts_stderr,
    mean_of_present,
    mean_of_present_stderr,
)


def test_macro_f1() -> None:
    # A: precision 1, recall 1/2; B: precision 1/2, recall 1; C: never read
    assert macro_f1([("A", "A"), ("A", "B"), ("B", "B"), ("C", "")]) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert macro_f1([]) == 0.0


def test_means() -> None:
    assert mean_of_present([1.0, None, 0.0]) == 0.5
    assert mean_of_present([None]) == 0.0
    assert mean_of_lists([[True], [], [False, False]]) == pytest.approx(1 / 3)


def test_parts_weigh_alike_whatever_their_size() -> None:
    pairs = [("a", 1.0), ("b", 0.0), ("b", 1.0), ("b", 0.0), ("b", 0.0)]
    assert mean_of_parts(pairs) == pytest.approx((1.0 + 0.25) / 2)
    assert mean_of_parts([]) == 0.0
    alike = [(part, value) for part in "ab" for value in (1.0, 0.0, 1.0, 1.0)]
    # Two means of 3/4, each with variance (3/16 * 4/3) / 4, averaged.
    assert mean_of_parts_stderr(alike) == pytest.approx(math.sqrt(2 * (0.25 / 4)) / 2, rel=0.1)


def test_informedness() -> None:
    assert informedness([[(True, True)], [(False, False), (False, False)]]) == 1.0
    assert informedness([[(True, True), (False, True)]]) == 0.0
    assert informedness([[(True, False), (False, True)]]) == -1.0
    assert informedness([[(True, True)]]) == 0.0
    assert informedness([]) == 0.0


def test_the_error_of_a_mean_is_the_textbook_s() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0]
    expected = plain.stdev(values) / math.sqrt(len(values))
    assert mean_of_present_stderr([*values, None]) == pytest.approx(expected)


def test_lists_are_left_out_as_a_whole() -> None:
    """Two hits in one document are one observation, not two."""
    together = mean_of_lists_stderr([[True, True], [False, False], [True, True], [False, False]])
    apart = mean_of_lists_stderr([[True], [True], [False], [False], [True], [True], [False], [False]])
    assert isinstance(together, float) and isinstance(apart, float)
    assert together > 1.3 * apart


def test_one_document_has_no_error() -> None:
    assert mean_of_present_stderr([1.0, None]) == UNKNOWN
    assert mean_of_lists_stderr([[True, True], []]) == UNKNOWN
    assert macro_f1_stderr([("A", "A")]) == UNKNOWN
    assert informedness_stderr([[(True, True)]]) == UNKNOWN


def test_jackknife_and_bootstrap_agree() -> None:
    rng = random.Random(0)
    pairs = [
        (gold, gold if rng.random() < 0.6 else rng.choice("ABCD")) for gold in rng.choices("ABCD", k=300)
    ]
    judged = [
        [(label, label == (rng.random() < 0.7)) for label in rng.choices((True, False), k=3)]
        for _ in range(300)
    ]
    cases: tuple[tuple[Any, Any, list[Any]], ...] = (
        (macro_f1, macro_f1_stderr, pairs),
        (informedness, informedness_stderr, judged),
    )
    for figure, error, items in cases:
        drawn = [figure(rng.choices(items, k=len(items))) for _ in range(300)]
        assert error(items) == pytest.approx(plain.stdev(drawn), rel=0.15)
