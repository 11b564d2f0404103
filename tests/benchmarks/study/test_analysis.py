"""The study's statistics on made-up scores whose answers are known."""

import random

import pytest

from benchmarks.study.analysis import estimate, holm, paired, rollouts_to, seeds_needed


def scores(seeds: int, questions: int, share: float, seed: int = 0) -> list[list[float]]:
    rng = random.Random(seed)
    return [[float(rng.random() < share) for _ in range(questions)] for _ in range(seeds)]


def test_interval_holds_the_mean_and_narrows_with_questions() -> None:
    few, many = estimate(scores(3, 100, 0.6), 1000), estimate(scores(3, 2000, 0.6), 1000)
    for e in (few, many):
        assert e.interval.low < e.mean < e.interval.high
        assert e.seeds == 3 and sum(e.by_seed) / 3 == pytest.approx(e.mean)
    assert many.interval.high - many.interval.low < few.interval.high - few.interval.low


def test_interval_of_one_seed_is_that_of_its_questions() -> None:
    e = estimate(scores(1, 400, 0.5), 4000)
    half_width = (e.interval.high - e.interval.low) / 2
    assert half_width == pytest.approx(1.96 * (0.25 / 400) ** 0.5, rel=0.1)


def test_spread_between_seeds_widens_the_interval() -> None:
    alike = [[1.0] * 50 + [0.0] * 50] * 4
    apart = [[1.0] * 90 + [0.0] * 10, [1.0] * 10 + [0.0] * 90] * 2
    assert estimate(alike, 500).mean == estimate(apart, 500).mean == 0.5
    narrow, wide = (estimate(t, 2000).interval for t in (alike, apart))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_same_draws_each_time() -> None:
    table = scores(2, 60, 0.4)
    assert estimate(table, 300) == estimate(table, 300)


def test_a_true_difference_is_found_and_none_is_not() -> None:
    better = {s: row for s, row in enumerate(scores(5, 1000, 0.70, 1))}
    worse = {s: row for s, row in enumerate(scores(5, 1000, 0.60, 2))}
    found = paired(better, worse, 2000)
    assert found is not None and found.interval.low > 0.05 and found.p_value < 0.01
    nothing = paired(worse, {s: row for s, row in enumerate(scores(5, 1000, 0.60, 3))}, 2000)
    assert nothing is not None and nothing.p_value > 0.01
    assert nothing.interval.low < 0.02 and nothing.interval.high > -0.02


def test_only_common_seeds_are_compared() -> None:
    table = scores(3, 40, 0.5)
    e = paired({0: table[0], 1: table[1]}, {1: table[1], 7: table[2]}, 200)
    assert e is not None and (e.seeds, e.mean) == (1, 0.0)
    assert paired({0: table[0]}, {1: table[1]}) is None


@pytest.mark.parametrize("bad", [[], [[]], [[1.0], [1.0, 0.0]]])
def test_seeds_need_the_same_questions(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="same questions"):
        estimate(bad)


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_rollouts_to_an_accuracy() -> None:
    curve = [(0, 0.4), (10, 0.5), (20, 0.7), (30, 0.6)]
    assert rollouts_to(0.6, curve, 128) == 15 * 128
    assert rollouts_to(0.4, curve, 128) == 0
    assert rollouts_to(0.71, curve, 128) is None
    assert rollouts_to(0.5, [], 128) is None


def test_seeds_from_the_pilot() -> None:
    assert seeds_needed(0.01, 0.026) == 5  # never below the floor
    assert seeds_needed(0.035, 0.026) == 8
    assert seeds_needed(0.2, 0.026) == 10
    with pytest.raises(ValueError, match="positive"):
        seeds_needed(0.1, 0.0)
