"""Intervals and tests against numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realm_ext.report import stats
from realm_ext.report.stats import (
    Interval,
    PairedDifference,
    bootstrap_interval,
    bootstrap_sums,
    holm,
    mcnemar_exact,
    normal_interval,
    paired_difference,
    swap_differences,
    swap_sums,
    swap_test,
    wilson_interval,
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


def test_paired_difference_by_hand() -> None:
    # d = 1 1 1 1 -1 0 0 0 0 0: mean 0.3, variance (5 - 10 * 0.09) / 9 = 0.45556, error sqrt(0.045556) = 0.21344
    after = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    before = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    paired = paired_difference(after, before)
    assert (paired.n, paired.gained, paired.lost) == (10, 4, 1)
    assert paired.difference == pytest.approx(0.3)
    assert paired.interval is not None
    assert paired.interval.low == pytest.approx(0.3 - Z * 0.213437, abs=1e-5)
    assert paired.interval.high == pytest.approx(0.3 + Z * 0.213437, abs=1e-5)
    assert paired.p_value == pytest.approx(2 * (1 + 5) / 32)
    assert paired.within_noise


def test_a_clear_difference_is_more_than_noise() -> None:
    paired = paired_difference([1.0] * 40 + [0.0] * 60, [1.0] * 20 + [0.0] * 80)
    assert paired.p_value == pytest.approx(2 / 2**20)
    assert not paired.within_noise


def test_identical_checkpoints_are_within_noise() -> None:
    paired = paired_difference([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert paired.interval == Interval(0.0, 0.0)
    assert paired.within_noise


def test_few_changes_are_noise_even_where_the_normal_interval_is_clear_of_0() -> None:
    # 5 gained of 100, none lost: the interval is 0.7 to 9.3 points, the exact p is 0.0625
    paired = paired_difference([1.0] * 5 + [0.0] * 95, [0.0] * 100)
    assert paired.interval is not None and paired.interval.low > 0
    assert paired.within_noise


def test_one_question_has_no_interval() -> None:
    assert paired_difference([1.0], [0.0]) == PairedDifference(1, 1.0, None, 1, 0, 1.0)


def test_different_lengths_and_no_questions_are_refused() -> None:
    pairs: list[tuple[list[float], list[float]]] = [([1.0], []), ([], [])]
    for after, before in pairs:
        with pytest.raises(ValueError, match="same questions twice"):
            paired_difference(after, before)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_swapping_the_checkpoints_turns_the_sign(pairs: list[tuple[bool, bool]]) -> None:
    one = paired_difference([float(a) for a, _ in pairs], [float(b) for _, b in pairs])
    other = paired_difference([float(b) for _, b in pairs], [float(a) for a, _ in pairs])
    assert math.isclose(one.difference, -other.difference, abs_tol=1e-12)
    assert one.p_value == other.p_value
    assert one.within_noise == other.within_noise


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
    monkeypatch.setattr(stats, "_AT_A_TIME", 40)
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
