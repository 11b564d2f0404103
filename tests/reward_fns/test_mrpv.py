"""MRPV components: what judges of each kind expect, and what weights are refused."""

import random
from collections.abc import Callable
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.domains.math import DOMAIN
from reward_fns.mrpv import (
    Weights,
    best_constant_guesses,
    best_guess_rate,
    check_weights,
    decisive_credit,
    first_error_counts,
    is_consistent,
    measured_guess_rates,
    measured_right_share,
    process_range,
    score_response,
    verdict_credit,
)
from reward_fns.response import Response, Verdict
from reward_fns.routes import Route

SAYS_RIGHT: dict[str, Callable[[bool], float]] = {
    "right": lambda label: 1.0,
    "wrong": lambda label: 0.0,
    "coin": lambda label: 0.5,
    "biased coin": lambda label: 0.9,
    "perfect": float,
}
"""How likely a judge is to call a route of this label right."""


def route(label: bool, answer: str = "", steps: int = 4, first_error: int | None = None) -> Route:
    answer = answer or ("18" if label else "7")
    return Route(tuple(f"s{i}" for i in range(steps)), answer, label, None, first_error, "test")


def expected_credit(share: float, says_right: Callable[[bool], float], sizes: tuple[int, ...]) -> float:
    """The exact mean over sets, each size as likely, a route right with probability `share`, half of them of one kind."""
    total = 0.0
    for size in sizes:
        for labels in product((True, False), repeat=size):
            chance = prod(share if label else 1 - share for label in labels) / 2
            if len(set(labels)) == 1:
                chance += (share if labels[0] else 1 - share) / 2
            shown = [route(label) for label in labels]
            for said in product((True, False), repeat=size):
                likely = prod(
                    says_right(label) if right else 1 - says_right(label)
                    for label, right in zip(labels, said, strict=True)
                )
                if likely:
                    credit = verdict_credit(shown, [Verdict(right) for right in said], share)
                    assert credit is not None
                    total += chance * likely * credit
    return total / len(sizes)


@pytest.mark.parametrize("share", [0.35, 0.5, 0.6])
@pytest.mark.parametrize("judge", SAYS_RIGHT)
def test_constant_and_random_judges_expect_zero(share: float, judge: str) -> None:
    expected = 1.0 if judge == "perfect" else 0.0
    assert expected_credit(share, SAYS_RIGHT[judge], (1, 2, 3, 5)) == pytest.approx(expected, abs=1e-12)


def test_within_one_kind_constant_judges_cannot_be_told_from_perfect_ones() -> None:
    """What the design's sentence cannot mean: the docstring of `mrpv` says so."""
    all_right = [route(True)] * 3
    assert verdict_credit(all_right, [Verdict(True)] * 3, 0.5) == 1.0
    all_wrong = [route(False)] * 3
    assert verdict_credit(all_wrong, [Verdict(True)] * 3, 0.5) == -1.0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.5, 0.65, 0.8, 1.0])
def test_blind_judges_expect_zero_at_every_share_and_no_verdict_exceeds_the_bound(share: float) -> None:
    """Outside the range it is the perfect judge who earns less, not the constant one who earns more."""
    value_right = verdict_credit([route(True)], [Verdict(True)], share)
    value_wrong = verdict_credit([route(False)], [Verdict(False)], share)
    assert value_right is not None and value_wrong is not None
    assert share * value_right - (1 - share) * value_wrong == pytest.approx(0.0)
    assert 0 <= value_right <= 1 / 0.7 and 0 <= value_wrong <= 1 / 0.7
    perfect = share * value_right + (1 - share) * value_wrong
    assert perfect == pytest.approx(min(1.0, 2 * min(share, 1 - share) / 0.7))


def test_missing_verdict_is_a_wrong_one() -> None:
    shown = [route(True), route(False)]
    assert verdict_credit(shown, [None, None], 0.5) == -1.0


def test_disputed_routes_stay_out_and_are_counted() -> None:
    disputed = Route(("s",) * 4, "18", True, False, 1, "test")
    assert verdict_credit([disputed], [Verdict(True)], 0.5) is None
    assert verdict_credit([disputed, route(True)], [None, Verdict(True)], 0.5) == 1.0
    unsound = Route(("s",) * 4, "7", False, True, 1, "test")
    assert decisive_credit([unsound], [Verdict(False, 1)]) is None
    parsed = Response(None, (Verdict(False, 1),), True, "18", (), ("18",))
    parts = score_response(parsed, [disputed], "18", DOMAIN)
    assert (parts.disputed, parts.consistent, parts.verdict) == (1, True, None)


def test_decisive() -> None:
    negative = route(False, steps=5, first_error=3)
    assert decisive_credit([negative], [Verdict(False, 3)]) == 1.0
    assert decisive_credit([negative], [Verdict(False, 2)]) == pytest.approx(-0.25)
    assert decisive_credit([negative], [Verdict(False)]) == 0.0
    assert decisive_credit([negative], [Verdict(False, 99_999)]) == 0.0
    assert decisive_credit([negative], [Verdict(True)]) is None
    assert decisive_credit([negative], [None]) is None
    assert decisive_credit([route(False)], [Verdict(False, 3)]) is None
    assert decisive_credit([route(False, steps=1, first_error=0)], [Verdict(False, 0)]) is None


def test_decisive_measures_a_guess_against_its_own_rate() -> None:
    negative = route(False, steps=5, first_error=3)
    rates = {5: (0.0, 0.1, 0.2, 0.2, 0.5)}
    assert decisive_credit([negative], [Verdict(False, 3)], rates) == 1.0
    assert decisive_credit([negative], [Verdict(False, 4)], rates) == pytest.approx(-1.0)
    assert decisive_credit([negative], [Verdict(False, 1)], rates) == pytest.approx(-1 / 9)
    assert decisive_credit([negative], [Verdict(False, 0)], rates) == 0.0
    assert decisive_credit([negative], [Verdict(False, 3)], {5: (0, 0, 0.2, 0.6, 0.2)}) is None, "too easy"
    assert decisive_credit([negative], [Verdict(False, 3)], {4: (0.25,) * 4}) is None, "unknown length"


@pytest.mark.parametrize("steps", [2, 3, 6])
def test_every_constant_guess_expects_zero(steps: int) -> None:
    """With measured rates each constant step earns 0 over the bank, the true one 1."""
    rng = random.Random(steps)
    bank = [route(False, steps=steps, first_error=min(rng.randrange(9), steps - 1)) for _ in range(400)]
    bank += [route(False, steps=steps, first_error=0) for _ in range(200)]
    rates = measured_guess_rates(bank)
    if max(rates[steps]) > 0.5:
        assert decisive_credit(bank, [Verdict(False, 0)] * len(bank), rates) is None
        return
    for guess in range(steps):
        credit = decisive_credit(bank, [Verdict(False, guess)] * len(bank), rates)
        assert credit == pytest.approx(0.0, abs=1e-9)
    assert decisive_credit(bank, [Verdict(False, r.first_error) for r in bank], rates) == 1.0


def test_guess_rates_need_enough_undisputed_routes() -> None:
    many = [route(False, steps=3, first_error=i % 2) for i in range(20)]
    few = [route(False, steps=4, first_error=1)] * 19
    disputed = [Route(("s",) * 5, "7", False, True, 1, "test")] * 30
    assert measured_guess_rates([*many, *few, *disputed, route(True)]) == {3: (0.5, 0.5, 0.0)}


def test_the_best_constant_guess_is_the_commonest_first_error_of_a_length() -> None:
    bank = [route(False, steps=3, first_error=i) for i in (2, 1, 2)]
    bank += [route(False, steps=4, first_error=i) for i in (3, 0)]
    bank += [route(True, steps=5), route(False, steps=6)]
    assert best_constant_guesses(bank) == {3: 2, 4: 0}


def test_measured_share_is_a_mean_over_questions() -> None:
    disputed = Route(("s",), "18", True, False, None, "test")
    banks = [[route(True)], [route(True), route(False), route(False), route(False), disputed], [disputed], []]
    assert measured_right_share(banks) == pytest.approx((1.0 + 0.25) / 2)
    assert measured_right_share([[], [disputed]]) is None


@pytest.mark.parametrize(
    ("verdicts", "prediction", "expected"),
    [
        ([True, False], "18", True),
        ([True, False], "18.0", True),
        ([True, False], "19", False),
        ([True, True], "18", False),
        ([False, False], "19", True),
        ([False, False], "18", False),
        ([False, True], "7", True),
        ([None, None], "18", True),
        ([True, False], None, False),
    ],
)
def test_consistency(verdicts: list[bool | None], prediction: str | None, expected: bool) -> None:
    shown = [route(True, "18"), route(False, "7")]
    judged = [None if right is None else Verdict(right) for right in verdicts]
    assert is_consistent(shown, judged, prediction, DOMAIN) is expected


def test_inconsistency_drops_credit_but_not_blame() -> None:
    shown = [route(True, "18"), route(False, "7", first_error=1)]
    perfect = (Verdict(True), Verdict(False, 1))
    parts = score_response(Response(None, perfect, True, "19", (), ("19",)), shown, "18", DOMAIN)
    assert (parts.raw_verdict, parts.raw_decisive, parts.verdict, parts.decisive) == (1.0, 1.0, 0.0, 0.0)
    swapped = (Verdict(False, 0), Verdict(True))
    parts = score_response(Response(None, swapped, True, "19", (), ("19",)), shown, "18", DOMAIN)
    assert parts.verdict == -1.0


def test_default_weights_hold_for_every_share() -> None:
    for share in (0.0, 0.35, 0.5, 0.65, 1.0):
        low, high = check_weights(Weights(), share)
        assert low < 0 < high and high - low < 1


@pytest.mark.parametrize(
    ("weights", "share", "max_routes", "message"),
    [
        (Weights(verdict=0.5), 0.5, 4, "could outrank"),
        (Weights(outcome=0.0, verdict=0, decisive=0, format=0), 0.5, 4, "could outrank"),
        (Weights(verdict=0.27), 0.65, 4, "could outrank"),
        (Weights(decisive=-0.1), 0.5, 4, "decisive is -0.1"),
        (Weights(format=float("nan")), 0.5, 4, "format is nan"),
        (Weights(), 1.5, 4, "right_share is 1.5"),
        (Weights(), 0.5, -1, "max_routes is -1"),
    ],
)
def test_weights_refused(weights: Weights, share: float, max_routes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_weights(weights, share, max_routes)


def test_range_at_an_extreme_share() -> None:
    low, high = process_range(Weights(verdict=1, decisive=0, format=0), 0.99)
    assert low == pytest.approx(-1 / 0.7) and high == pytest.approx(1 / 0.7)


kinds = st.tuples(st.booleans(), st.integers(2, 5), st.none() | st.integers(0, 1))
judgements = (
    st.none() | st.just(Verdict(True)) | st.builds(Verdict, st.just(False), st.none() | st.integers(0, 4))
)


@given(st.lists(st.tuples(kinds, judgements), min_size=1, max_size=4), st.floats(0, 1), st.sampled_from("78"))
def test_every_score_is_in_the_range(
    slots: list[tuple[tuple[bool, int, int | None], Verdict | None]], share: float, answer: str
) -> None:
    shown = [route(label, steps=steps, first_error=error) for (label, steps, error), _ in slots]
    judged = tuple(verdict for _, verdict in slots)
    response = Response(None, judged, True, answer, (), (answer,))
    parts = score_response(response, shown, "18", DOMAIN, right_share=share)
    weights = Weights(outcome=0)
    low, high = process_range(weights, share)
    assert low - 1e-9 <= parts.score(weights) <= high + 1e-9


def test_first_errors_named_and_what_the_best_constant_guess_would_name() -> None:
    """Two routes of three steps and one of two; of three steps the likeliest first error is right 60% of the time."""
    shown = [route(False, steps=3, first_error=1), route(False, steps=3, first_error=0)]
    shown += [route(False, steps=2, first_error=1), route(True, steps=3), route(False, steps=3)]
    verdicts = [Verdict(False, 1), Verdict(False, 1), None, Verdict(True, None), Verdict(False, 0)]
    rates = {3: (0.3, 0.6, 0.1)}
    assert first_error_counts(shown, verdicts, rates) == {
        "first_errors": 2,
        "first_errors_named": 1,
        "first_errors_guessed": pytest.approx(1.2),
    }
    everything = first_error_counts(shown, verdicts)  # nothing known: each step is as likely
    assert everything == {
        "first_errors": 3,
        "first_errors_named": 1,
        "first_errors_guessed": pytest.approx(2 / 3 + 1 / 2),
    }


def test_the_best_guess_rate_is_measured_length_by_length() -> None:
    bank = [route(False, steps=3, first_error=i) for i in (2, 1, 2)]
    bank += [route(False, steps=4, first_error=i) for i in (3, 0)]
    bank += [route(True, steps=5), route(False, steps=6)]
    assert best_guess_rate(bank) == pytest.approx((2 + 1) / 5)
    assert best_guess_rate([route(True), route(False, steps=6)]) is None
