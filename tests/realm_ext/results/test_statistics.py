"""Intervals and tests against numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realm_ext.results import statistics
from realm_ext.results.measures import build_measure, mean_measure
from realm_ext.results.statistics import (
    SHARE,
    Estimate,
    Interval,
    Measure,
    bootstrap_interval,
    bootstrap_sums,
    estimate,
    holm,
    mcnemar_exact,
    normal_interval,
    over_runs,
    p_text,
    paired_difference,
    swap_differences,
    swap_sums,
    swap_test,
    wilson_interval,
    within_noise,
)

Z = 1.959963984540054


def test_wilson_interval_of_half_of_ten() -> None:
    # (0.5 + z^2/20 -+ z sqrt(0.025 + z^2/400)) / (1 + z^2/10), by hand: 0.2366, 0.7634
    interval = wilson_interval(0.5, 10)
    assert interval.low == pytest.approx(0.2366, abs=5e-5)
    assert interval.high == pytest.approx(0.7634, abs=5e-5)


def test_wilson_interval_of_none_of_ten_has_a_width() -> None:
    # low is 0, high is z^2/n / (1 + z^2/n) = 0.38415 / 1.38415
    interval = wilson_interval(0.0, 10)
    assert interval.low == pytest.approx(0.0, abs=1e-12)
    assert interval.high == pytest.approx(0.27753, abs=1e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_interval_holds_the_share(n: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, n)) / n
    interval = wilson_interval(share, n)
    assert 0.0 <= interval.low <= share + 1e-12
    assert share - 1e-12 <= interval.high <= 1.0


@pytest.mark.parametrize(("share", "n"), [(0.5, 0), (1.1, 10), (-0.1, 10)])
def test_wilson_interval_refuses_what_is_no_share(share: float, n: int) -> None:
    with pytest.raises(ValueError, match="share in"):
        wilson_interval(share, n)


def test_normal_interval_is_cut_to_shares() -> None:
    assert normal_interval(0.5, 0.1).low == pytest.approx(0.5 - 0.1 * Z)
    assert normal_interval(0.95, 0.1).high == 1.0


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (0, 0, 1.0),  # nothing changed
        (1, 0, 1.0),  # 2 * 1/2
        (5, 0, 2 / 32),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
        (3, 3, 1.0),  # capped
    ],
)
def test_mcnemar_by_hand(gained: int, lost: int, p_value: float) -> None:
    assert mcnemar_exact(gained, lost) == pytest.approx(p_value)


def test_mcnemar_with_thousands_of_changes_neither_overflows_nor_is_slow() -> None:
    assert mcnemar_exact(3000, 3000) == 1.0
    assert 0.0 <= mcnemar_exact(4000, 2000) < 1e-100


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="-1"):
        mcnemar_exact(-1, 3)


# ------------------------------ one training run ------------------------------


def one_run(after: list[float], before: list[float]) -> Estimate:
    return paired_difference(mean_measure(after, before), rounds=4000)


def test_paired_difference_of_one_run() -> None:
    # d = 1 1 1 1 -1 0 0 0 0 0: mean 0.3, 4 gained, 1 lost
    after = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    before = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    found = one_run(after, before)
    assert found.value == pytest.approx(0.3)
    assert found.interval is not None
    # sd of d is sqrt(0.5 - 0.09) = 0.640, error 0.2025: 0.3 -+ 0.397
    assert found.interval.low == pytest.approx(0.3 - Z * 0.2025, abs=0.11)
    assert found.interval.high == pytest.approx(0.3 + Z * 0.2025, abs=0.11)
    assert found.test == "McNemar" and found.p_value == pytest.approx(2 * (1 + 5) / 32)
    assert within_noise(found.interval, found.p_value)


def test_a_clear_difference_is_more_than_noise() -> None:
    found = one_run([1.0] * 40 + [0.0] * 60, [1.0] * 20 + [0.0] * 80)
    assert found.p_value == pytest.approx(2 / 2**20)
    assert not within_noise(found.interval, found.p_value)


def test_identical_checkpoints_are_within_noise() -> None:
    found = one_run([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert found.interval == Interval(0.0, 0.0)
    assert within_noise(found.interval, found.p_value)


def test_few_changes_are_noise_even_where_the_interval_is_clear_of_0() -> None:
    # 5 gained of 100, none lost: the interval is about 1 to 9 points, the exact p is 0.0625
    found = one_run([1.0] * 5 + [0.0] * 95, [0.0] * 100)
    assert found.interval is not None and found.interval.low > 0
    assert within_noise(found.interval, found.p_value)


def test_one_question_has_no_interval() -> None:
    found = one_run([1.0], [0.0])
    assert (found.by_run, found.interval, found.p_value) == ((1.0,), None, 1.0)


def test_runs_need_the_same_questions_and_pairs() -> None:
    given: list[list[list[float]]] = [[], [[]], [[1.0], [1.0, 0.0]]]
    for runs in given:
        with pytest.raises(ValueError, match="same questions"):
            mean_measure(*runs)
    with pytest.raises(ValueError, match="pairs of runs, got 3 runs"):
        paired_difference(mean_measure([1.0], [0.0], [1.0]))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_swapping_the_checkpoints_turns_the_sign(pairs: list[tuple[bool, bool]]) -> None:
    sides = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    one, other = (paired_difference(mean_measure(*both), rounds=100) for both in (sides, sides[::-1]))
    assert math.isclose(one.value, -other.value, abs_tol=1e-12)
    assert one.p_value == other.p_value


def test_the_least_p_of_random_rounds_is_a_bound_and_said_so() -> None:
    found = paired_difference(mean_measure([0.75] * 40, [0.5] * 40), rounds=500)
    assert (found.test, found.is_bound, found.p_value) == ("swap", True, 1 / 501)
    assert p_text(found.p_value, found.is_bound) == "< 0.002"
    assert p_text(0.0312) == "0.031"
    assert p_text(1e-30) == p_text(1e-30, True) == "< 0.0001"
    assert p_text(1.0, True) == "1"


# ------------------------------ several training runs ------------------------------


def test_student_s_t_over_runs_by_hand() -> None:
    # 10, 14 and 18 points: mean 14, sd 4, error 4 / sqrt(3) = 2.3094; t(0.975; 2) = 4.3027: reach 9.937; t = 6.0622
    found = over_runs((0.10, 0.14, 0.18), 0.0)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.14 - 0.09937, abs=1e-5)
    assert found.interval.high == pytest.approx(0.14 + 0.09937, abs=1e-5)
    # two-sided p of t with 2 degrees: 1 - t / sqrt(t^2 + 2) = 1 - 6.0622 / 6.2250
    assert found.p_value == pytest.approx(1 - 6.0622 / math.sqrt(6.0622**2 + 2), abs=1e-5)
    assert found.test == "t" and found.stderr == pytest.approx(0.04 / math.sqrt(3))


def test_the_published_differences_of_the_study_with_student_s_t() -> None:
    """By seed, in points: +14.6 (+11.3 to +17.9), p .0003 stands; "p 0.043" over three seeds was .17."""
    primary = over_runs([0.162, 0.115, 0.183, 0.139, 0.132], 0.0)
    assert primary.interval is not None and primary.p_value == pytest.approx(0.0003, abs=5e-5)
    assert (round(100 * primary.interval.low, 1), round(100 * primary.interval.high, 1)) == (11.3, 17.9)
    rare = over_runs([0.275, 0.054, 0.096], 0.0)
    assert rare.interval is not None and rare.p_value == pytest.approx(0.17, abs=0.005)
    assert (round(100 * rare.interval.low), round(100 * rare.interval.high)) == (-15, 43)


def test_what_all_runs_share_is_added_and_is_the_questions_variance() -> None:
    """Runs that agree on every question have no spread: what is left is the error of the questions' mean."""
    answers = [1.0] * 30 + [0.0] * 70
    found = estimate(mean_measure(answers, answers, answers))
    error = math.sqrt(0.3 * 0.7 / 99)
    assert found.stderr == pytest.approx(error)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.3 - Z * error, abs=1e-6)


def test_runs_that_happen_to_agree_are_no_surer_than_their_questions() -> None:
    """Three runs at 30% of 100 questions, other ones each: nothing varies between them, but the questions do."""
    runs = [[0.0] * (30 * i) + [1.0] * 30 + [0.0] * (70 - 30 * i) for i in range(3)]
    found = estimate(mean_measure(*runs))
    # 90 questions with a mean of 1/3 and 10 with 0: variance 0.1 - 0.09, of 99
    error = math.sqrt(0.01 / 99)
    assert found.interval is not None
    assert found.interval.high == pytest.approx(0.3 + Z * error, abs=1e-6)


def test_one_checkpoint_may_stand_against_several_runs() -> None:
    before = [0.0] * 90 + [1.0] * 10
    runs = [[1.0] * k + before[k:] for k in (20, 24, 28)]
    found = paired_difference(mean_measure(*runs, before, before, before))
    assert found.by_run == pytest.approx((0.20, 0.24, 0.28))
    assert found.test == "t" and found.p_value < 0.05


def test_nothing_varies_is_a_sign_test_over_questions() -> None:
    few, many = ([1.0] * n for n in (3, 30))
    for answers, p_value in ((few, 2 / 2**3), (many, 2 / 2**30)):
        none = [0.0] * len(answers)
        found = paired_difference(mean_measure(answers, answers, none, none))
        assert found.interval == Interval(1.0, 1.0)
        assert found.p_value == pytest.approx(p_value)
    same = paired_difference(mean_measure(few, few, few, few))
    assert (same.p_value, same.interval) == (1.0, Interval(0.0, 0.0))


@pytest.mark.parametrize("n_runs", [3, 5])
@pytest.mark.parametrize("spread", [0.02, 0.04, 0.08])
@pytest.mark.parametrize("common", [True, False])
def test_the_interval_misses_no_difference_about_once_in_twenty(
    n_runs: int, spread: float, common: bool
) -> None:
    """The true difference is 0; training moves each run by `spread`, and the questions add a point of noise, one that
    all runs share or one of each run's own."""
    rng = np.random.default_rng([n_runs, int(100 * spread), common])
    trials, n = 1500, 40
    training = rng.normal(0.0, spread, (trials, n_runs, 1))
    noise = rng.normal(0.0, 0.01 * math.sqrt(n), (trials, 1 if common else n_runs, n))
    missed = 0
    for scores in training + noise:
        found = paired_difference(mean_measure(*scores, *np.zeros((n_runs, n))))
        assert found.interval is not None
        missed += not found.interval.low <= 0.0 <= found.interval.high
        assert (found.p_value < 0.05) == (not found.interval.low <= 0.0 <= found.interval.high)
    assert 0.02 <= missed / trials <= 0.08


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6))
def test_shares_stay_shares_and_their_differences_within_100_points(values: list[float]) -> None:
    runs = [[value, value, 1.0, 1.0] for value in values]
    found = estimate(mean_measure(*runs)).interval
    assert found is not None and 0.0 <= found.low <= found.high <= 1.0
    zero = [[0.0] * 4] * len(runs)
    found = paired_difference(mean_measure(*runs, *zero)).interval
    assert found is not None and -1.0 <= found.low <= found.high <= 1.0


def test_bounds_are_those_of_the_metric() -> None:
    lengths = build_measure([120.0, 90.0], [400.0, 20.0])
    judged = build_measure([[[True, True], [False, True]]], [[[True, False], [False, True]]])
    assert lengths is not None and judged is not None
    assert (
        estimate(lengths).interval
        != estimate(Measure(lengths.columns, lengths.statistic, bounds=SHARE)).interval
    )
    assert judged.bounds == (-1.0, 1.0)


# ------------------------------ resampling ------------------------------


def ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def columns(values: list[float]) -> np.ndarray:
    return np.array([[value, 1.0] for value in values])


def test_bootstrap_of_a_mean_has_its_standard_error() -> None:
    values = [1.0] * 60 + [0.0] * 140
    drawn = ratio(bootstrap_sums(columns(values), rounds=20_000, seed=1))
    assert drawn.mean() == pytest.approx(0.3, abs=0.002)
    assert drawn.std() == pytest.approx(math.sqrt(0.3 * 0.7 / 200), rel=0.03)
    interval = bootstrap_interval(drawn)
    assert interval.low == pytest.approx(0.3 - Z * 0.0324, abs=0.006)
    assert interval.high == pytest.approx(0.3 + Z * 0.0324, abs=0.006)


def test_bootstrap_depends_on_the_seed_alone_not_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    data = columns([0.1, 0.5, 0.9, 0.2])
    whole = bootstrap_sums(data, rounds=50, seed=4)
    assert (bootstrap_sums(data, rounds=50, seed=5) != whole).any()
    monkeypatch.setattr(statistics, "_AT_A_TIME", 40)
    statistics._kept.cache_clear()
    assert (bootstrap_sums(data, rounds=50, seed=4) == whole).all()


def test_bootstrap_draws_are_shared_by_columns() -> None:
    drawn = bootstrap_sums(np.array([[1.0, 2.0], [3.0, 6.0]]), rounds=30)
    assert (drawn[:, 1] == 2 * drawn[:, 0]).all()


def test_swap_test_agrees_with_the_exact_test_where_both_apply() -> None:
    # 14 gained, 4 lost of 100: exact p is 0.0309
    after = columns([1.0] * 14 + [0.0] * 4 + [1.0] * 40 + [0.0] * 42)
    before = columns([0.0] * 14 + [1.0] * 4 + [1.0] * 40 + [0.0] * 42)
    kept = swap_sums(after - before, rounds=20_000)
    p_value = swap_test(0.1, swap_differences(after.sum(axis=0), before.sum(axis=0), kept, ratio))
    assert p_value == pytest.approx(mcnemar_exact(14, 4), abs=0.005)


def test_swap_test_is_even_under_no_difference() -> None:
    """Of 200 pairs of checkpoints that do not differ, about 5% come out below 0.05."""
    rng = np.random.default_rng(0)
    low = 0
    for seed in range(200):
        after, before = (columns(list(rng.random(40))) for _ in range(2))
        kept = swap_sums(after - before, rounds=400, seed=seed)
        sums = after.sum(axis=0), before.sum(axis=0)
        low += swap_test(float(ratio(sums[0]) - ratio(sums[1])), swap_differences(*sums, kept, ratio)) < 0.05
    assert 2 <= low <= 20


def test_resampling_refuses_no_questions() -> None:
    for resample in (bootstrap_sums, swap_sums):
        with pytest.raises(ValueError, match="at least one question"):
            resample(np.empty((0, 2)))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 * 0.01, 2 * 0.03, then never smaller
        ([0.5, 0.9], [1.0, 1.0]),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)
