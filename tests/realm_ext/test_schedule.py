"""Schedules: values at the ends, monotone in between, and clear refusals."""

import math
import pickle
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realm_ext.schedule import KINDS, build_schedule

FADING = [kind for kind in KINDS if kind != "constant"]


@given(
    kind=st.sampled_from(FADING),
    start=st.floats(0, 1),
    fade_steps=st.integers(1, 500),
    rate=st.floats(0.001, 100),
)
def test_starts_at_start_never_rises_and_ends_at_zero(
    kind: str, start: float, fade_steps: int, rate: float
) -> None:
    exposure = build_schedule({"kind": kind, "start": start, "fade_steps": fade_steps, "rate": rate})
    values = [exposure(step) for step in range(fade_steps + 3)]
    # A staged fade shorter than its stages has dropped a stage by its first step.
    if kind != "staged" or fade_steps >= 4:
        assert values[0] == start
    assert values[fade_steps:] == [0.0, 0.0, 0.0]
    assert all(0.0 <= later <= earlier for earlier, later in pairwise(values))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", 0.5),
        ("cosine", 0.5),
        ("exponential", (math.exp(-2.5) - math.exp(-5)) / (1 - math.exp(-5))),
        ("staged", 0.5),
    ],
)
def test_half_way(kind: str, expected: float) -> None:
    assert build_schedule({"kind": kind, "fade_steps": 20})(10) == pytest.approx(expected)


def test_constant_never_fades() -> None:
    exposure = build_schedule({"kind": "constant", "start": 0.7})
    assert [exposure(step) for step in (0, 1, 10**6)] == [0.7] * 3


def test_stages_hold_from_their_first_step() -> None:
    exposure = build_schedule({"kind": "staged", "fade_steps": 10, "stages": [[2, 0.6], [5, 0.1]]})
    assert [exposure(step) for step in (0, 1, 2, 4, 5, 9, 10)] == [1.0, 1.0, 0.6, 0.6, 0.1, 0.1, 0.0]


def test_travels_to_another_process() -> None:
    exposure = build_schedule({"kind": "exponential", "fade_steps": 30})
    assert pickle.loads(pickle.dumps(exposure))(7) == exposure(7)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"kind": "cubic", "fade_steps": 3}, "'cubic' is unknown"),
        ({"kind": "linear"}, "fade_steps: needed"),
        ({"kind": "linear", "fade_steps": 0}, "fade_steps: expected a whole number above 0"),
        ({"kind": "linear", "fade_steps": 2.5}, "fade_steps: expected a whole number"),
        ({"kind": "linear", "fade_steps": True}, "fade_steps: expected a whole number"),
        ({"kind": "linear", "fade_steps": 3, "start": 1.1}, r"start: 1.1 is outside \[0, 1\]"),
        ({"kind": "linear", "fade_steps": 3, "start": math.nan}, "start: expected a number"),
        ({"kind": "exponential", "fade_steps": 3, "rate": 0}, "rate: 0.0 is outside"),
        ({"kind": "linear", "fade_step": 3}, "unknown key fade_step"),
        ({"kind": "staged", "fade_steps": 9, "stages": [[3, 0.5], [3, 0.2]]}, "first steps must rise"),
        ({"kind": "staged", "fade_steps": 9, "stages": [[3, 0.5], [4, 0.6]]}, "exposure must fall"),
        ({"kind": "staged", "fade_steps": 9, "stages": [[9, 0.5]]}, "between 0 and fade_steps 9"),
        ({"kind": "staged", "fade_steps": 9, "stages": [0.5]}, "expected a pair"),
        ({"kind": "staged", "fade_steps": 9, "stages": "x"}, "expected pairs"),
    ],
)
def test_bad_configs_are_refused(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_schedule(config)


@pytest.mark.parametrize("config", [None, "linear", ["linear", 30]])
def test_what_is_no_mapping_is_refused(config: Any) -> None:
    with pytest.raises(TypeError, match="schedule: expected a mapping"):
        build_schedule(config)


def test_the_least_that_must_be_given() -> None:
    for kind in FADING:
        exposure = build_schedule({"kind": kind, "start": 1.0, "fade_steps": 20})
        assert (exposure(0), exposure(20), exposure(10**9)) == (1.0, 0.0, 0.0)
        assert [exposure(step) for step in range(20)] == [exposure(step) for step in range(20)]


def test_negative_step_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        build_schedule({"kind": "constant"})(-1)
