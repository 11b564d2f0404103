"""Adaptive levels: when they move, what is pooled, and that order of arrival does not matter."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realm_ext.adaptive import POOLED_BELOW, AdaptiveConfig, Levels, Visit, bucket_of, read_adaptive
from reward_fns.routes import Route

CONFIG = AdaptiveConfig(kind="per_question", start=0.5, raise_by=0.25, lower_by=0.25)
VISITS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["x", "y"]), st.booleans()), max_size=8)


def after(*successes: bool, config: AdaptiveConfig = CONFIG) -> Levels:
    levels = Levels(config)
    for success in successes:
        levels.update([Visit("q", "b", success)])
    return levels


@pytest.mark.parametrize(
    ("successes", "level", "failures"),
    [
        ((False,), 0.5, 1),
        ((False, False), 0.75, 0),
        ((False, False, False), 0.75, 1),
        ((False, True, False), 0.25, 1),
        ((True,), 0.25, 0),
        ((True, True, True), 0.0, 0),
        ((False,) * 6, 1.0, 0),
    ],
)
def test_up_after_two_failures_down_after_a_success(
    successes: tuple[bool, ...], level: float, failures: int
) -> None:
    state = after(*successes).questions["q"]
    assert (state.level, state.failures, state.visits) == (level, failures, len(successes))


def test_below_three_visits_the_bucket_speaks() -> None:
    levels = after(True, True)
    levels.update([Visit("other", "b", False), Visit("third", "c", True)])
    assert levels.level("q", "b") == levels.level("unseen", "b") == pytest.approx((0.0 + 0.5) / 2)
    assert levels.level("third", "c") == 0.25
    assert levels.level("unseen", "nobody here") == CONFIG.start
    levels.update([Visit("q", "b", True)])
    assert levels.questions["q"].visits == POOLED_BELOW
    assert levels.level("q", "b") == 0.0


def test_a_question_keeps_its_first_bucket() -> None:
    levels = after(True)
    levels.update([Visit("q", "another", True)])
    assert levels.buckets == {"b": (1, 0.0)}


def test_two_visits_in_one_step_are_refused() -> None:
    with pytest.raises(ValueError, match="two visits"):
        Levels(CONFIG).update([Visit("q", "b", True), Visit("q", "b", False)])


@settings(deadline=None, max_examples=50)
@given(st.lists(VISITS, max_size=12), st.randoms(use_true_random=False))
def test_state_depends_on_what_happened_not_on_the_order_of_arrival(
    steps: list[list[tuple[str, str, bool]]], random: Any
) -> None:
    one, other = Levels(CONFIG), Levels(CONFIG)
    for step in steps:
        visits = list({uid: Visit(uid, bucket, success) for uid, bucket, success in step}.values())
        one.update(visits)
        random.shuffle(visits)
        other.update(visits)
    assert one == other
    for name, (n, total) in one.buckets.items():
        members = [state.level for state in one.questions.values() if state.bucket == name]
        assert len(members) == n and sum(members) == pytest.approx(total)
    assert all(0.0 <= one.level(uid, "x") <= 1.0 for uid in "abcdez")


def route(label: bool) -> Route:
    return Route(("s",), "1", label, None, None, "t")


def test_buckets_by_domain_and_share_of_right_routes() -> None:
    assert bucket_of("realm/math/guided", [route(True)] * 4) == "realm/math/3"
    assert bucket_of("realm/math", [route(True), route(False)]) == "realm/math/2"
    assert bucket_of("realm/math", [route(False)]) == bucket_of("realm/math", []) == "realm/math/0"


def test_options() -> None:
    assert read_adaptive(None) == AdaptiveConfig() == read_adaptive({})
    assert read_adaptive({"kind": "per_question", "start": 0.5}) == CONFIG


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("per_question", "adaptive: expected a mapping"),
        ({"kinds": 1}, "adaptive: unknown key kinds"),
        ({"kind": "each"}, "adaptive.kind: 'each' is unknown"),
        ({"start": 2}, "adaptive.start: expected a number"),
        ({"raise_by": -0.1}, "adaptive.raise_by: expected a number"),
        ({"lower_by": True}, "adaptive.lower_by: expected a number"),
    ],
)
def test_bad_options_are_refused(value: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        read_adaptive(value)
