"""Group plans: shared by a group, floor kept, never one guided, right on average."""

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realm_ext.exposure import GroupPlan, keep_routes, plan_group

FADES = [names for n in (1, 2, 3) for names in combinations(("presence", "routes", "steps"), n)]
STEPS = 3


def plan(**changes: Any) -> GroupPlan:
    arguments: dict[str, Any] = {
        "seed": 0,
        "uid": "q",
        "step": 3,
        "exposure": 0.5,
        "n": 8,
        "route_steps": [STEPS] * 4,
        "fade": ("presence", "routes"),
        "unguided_floor": 2,
        "max_routes": 4,
        "regime": None,
    }
    return plan_group(**{**arguments, **changes})


@given(
    seed=st.integers(0, 2**32),
    uid=st.text(max_size=8),
    step=st.integers(0, 10**6),
    exposure=st.floats(0, 1),
    n=st.integers(1, 16),
    route_steps=st.lists(st.integers(0, 7), max_size=9),
    max_routes=st.integers(0, 6),
    floor=st.sampled_from([0, 2, 3]),
    fade=st.sampled_from(FADES),
)
@example(0, "", 0, 1.0, 3, [0], 1, 2, ("presence",))  # room for one guided rollout: neither one nor two
def test_rules_hold_for_every_plan(
    seed: int,
    uid: str,
    step: int,
    exposure: float,
    n: int,
    route_steps: list[int],
    max_routes: int,
    floor: int,
    fade: tuple[str, ...],
) -> None:
    arguments: dict[str, Any] = {
        "seed": seed,
        "uid": uid,
        "step": step,
        "exposure": exposure,
        "n": n,
        "route_steps": route_steps,
        "fade": fade,
        "unguided_floor": floor,
        "max_routes": max_routes,
    }
    found = plan(**arguments)
    guided = sum(found.guided)
    assert len(found.guided) == n
    assert guided != 1
    assert guided == 0 or n - guided >= floor
    assert bool(found.shown) == bool(guided)
    assert len(set(found.shown)) == len(found.shown) <= min(len(route_steps), max_routes)
    assert len(found.shown_steps) == len(found.shown)
    for index, n_steps in zip(found.shown, found.shown_steps, strict=True):
        assert min(1, route_steps[index]) <= n_steps <= route_steps[index]
        if "steps" not in fade or exposure == 1:
            assert n_steps == route_steps[index]
    if exposure == 0 or not route_steps:
        assert guided == 0
    assert plan(**arguments) == found


def test_full_exposure_shows_all_to_all_but_the_floor() -> None:
    found = plan(exposure=1.0)
    assert sum(found.guided) == 6
    assert sorted(found.shown) == [0, 1, 2, 3]


@pytest.mark.parametrize("exposure", [0.02, 0.1, 0.3, 0.5, 0.77, 1.0])
def test_guided_share_is_right_on_average(exposure: float) -> None:
    plans = [plan(uid=str(i), exposure=exposure, fade=("presence",)) for i in range(4000)]
    mean = sum(sum(p.guided) for p in plans) / len(plans)
    assert mean == pytest.approx(exposure * 6, abs=0.06)


@pytest.mark.parametrize("exposure", [0.1, 0.3, 0.5, 0.77])
def test_routes_shown_are_right_on_average(exposure: float) -> None:
    plans = [plan(uid=str(i), exposure=exposure, fade=("routes",)) for i in range(4000)]
    mean = sum(len(p.shown) for p in plans) / len(plans)
    assert mean == pytest.approx(exposure * 4, abs=0.05)


@pytest.mark.parametrize("exposure", [0.1, 0.3, 0.5, 0.77])
def test_steps_shown_are_right_on_average(exposure: float) -> None:
    plans = [plan(uid=str(i), exposure=exposure, fade=("steps",), route_steps=[5] * 4) for i in range(2000)]
    mean = sum(sum(p.shown_steps) for p in plans) / len(plans)
    assert mean == pytest.approx(exposure * 20, abs=0.1)


def test_a_route_of_which_no_step_is_left_is_not_shown() -> None:
    plans = [plan(uid=str(i), exposure=0.1, fade=("steps",), route_steps=[1] * 4) for i in range(500)]
    assert {p.shown_steps for p in plans} == {(1,) * k for k in range(4)}
    assert all(any(p.guided) == bool(p.shown) for p in plans)


def test_every_route_and_order_comes_up() -> None:
    plans = [plan(uid=str(i), exposure=1.0, max_routes=2) for i in range(600)]
    assert len({p.shown for p in plans}) == 12


def test_draw_changes_with_seed_question_and_step() -> None:
    for changes in ({"seed": 1}, {"uid": "r"}, {"step": 4}):
        plans = {plan(route_steps=[STEPS] * 9, max_routes=9, exposure=1.0).shown}
        plans.add(plan(route_steps=[STEPS] * 9, max_routes=9, exposure=1.0, **changes).shown)
        assert len(plans) == 2


def test_marked_rows() -> None:
    assert plan(regime="unguided", exposure=1.0) == GroupPlan(0.0, (False,) * 8, (), ())
    steps = [1, 2, 3, 4, 5, 6]
    guided = plan(regime="guided", exposure=0.0, n=3, route_steps=steps, max_routes=4, fade=("steps",))
    assert guided.guided == (True,) * 3
    assert len(guided.shown) == 4
    assert guided.shown_steps == tuple(steps[i] for i in guided.shown)
    assert guided == plan(regime="guided", exposure=0.3, n=3, route_steps=steps, max_routes=4, step=99)
    assert not any(plan(regime="guided", route_steps=[]).guided)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"exposure": 1.5}, "exposure must be in"),
        ({"n": 0}, "n >= 1"),
        ({"regime": "both"}, "regime must be"),
        ({"fade": ()}, "expected a list"),
        ({"fade": "presence"}, "expected a list"),
        ({"fade": ("colour",)}, "'colour' is unknown"),
        ({"fade": ("routes", "routes")}, "twice"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plan(**changes)


def test_kept_routes_are_nested_and_in_order() -> None:
    shown = (5, 2, 7, 0)
    kept = [keep_routes(seed=0, uid="q", step=1, shown=shown, n_keep=k) for k in range(5)]
    assert kept[4] == shown
    assert kept[0] == ()
    for fewer, more in pairwise(kept):
        assert set(fewer) < set(more)
        assert list(more) == [i for i in shown if i in more]
