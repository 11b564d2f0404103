"""The study's statistics on made-up scores whose answers are known."""

import random

import pytest

from benchmarks.study.analysis import adjust, mean_of, paired, rollouts_to, seeds_needed
from realm_ext.results.statistics import Estimate


def scores(seeds: int, questions: int, share: float, seed: int = 0) -> dict[int, list[float]]:
    rng = random.Random(seed)
    return {s: [float(rng.random() < share) for _ in range(questions)] for s in range(seeds)}


def test_the_interval_of_an_accuracy_stays_within_0_and_100_percent() -> None:
    """It said "87.9 (77.8 to 100.8)" once, and with Student's t three such seeds reach further still."""
    seeds = {s: [1.0] * right + [0.0] * (100 - right) for s, right in enumerate((98, 84, 82))}
    e = mean_of(seeds)
    assert e.value == pytest.approx(0.88) and e.interval is not None
    # sd 0.0872, error 0.0503, t 4.30: 0.88 -+ 0.217
    assert e.interval.high == 1.0
    assert e.interval.low == pytest.approx(0.88 - 0.217, abs=0.01)


def test_interval_of_one_seed_is_wilson_s() -> None:
    e = mean_of({7: [1.0] * 5 + [0.0] * 5})
    assert e.interval is not None and len(e.by_run) == 1
    assert e.interval.low == pytest.approx(0.2366, abs=1e-4)
    assert e.interval.high == pytest.approx(0.7634, abs=1e-4)


def test_a_true_difference_is_found_and_none_is_not() -> None:
    better, worse = scores(5, 1000, 0.70, 1), scores(5, 1000, 0.60, 2)
    found = paired(better, worse)
    assert found is not None and found.interval is not None
    assert found.interval.low > 0.04 and found.p_value < 0.01
    nothing = paired(worse, scores(5, 1000, 0.60, 3))
    assert nothing is not None and nothing.p_value > 0.01


def test_only_common_seeds_are_compared() -> None:
    table = scores(3, 40, 0.5)
    e = paired({0: table[0], 1: table[1]}, {1: table[1], 7: table[2]}, 200)
    assert e is not None and e.by_run == (0.0,)
    assert paired({0: table[0]}, {1: table[1]}) is None


@pytest.mark.parametrize("bad", [{}, {0: []}, {0: [1.0], 1: [1.0, 0.0]}])
def test_seeds_need_the_same_questions(bad: dict[int, list[float]]) -> None:
    with pytest.raises(ValueError, match="same questions"):
        mean_of(bad)


def test_differences_of_one_seed_are_a_family_of_their_own() -> None:
    def difference(p: float, seeds: int) -> Estimate:
        return Estimate((0.1,) * seeds, None, 0.0, p)

    found = {
        ("a", "guided"): difference(0.01, 3),
        ("b", "guided"): difference(0.04, 3),
        ("c", "guided"): difference(0.03, 5),
        ("d", "guided"): difference(0.001, 1),
    }
    # three of several seeds: 3 * 0.01, 2 * 0.03, then never smaller; one of one seed: as it is
    assert list(adjust(found).values()) == pytest.approx([0.03, 0.06, 0.06, 0.001])
    assert adjust({}) == {}


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
