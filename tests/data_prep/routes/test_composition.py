"""Composition: whatever a bank is like, sets are feasible, majorities balance, and the targets are met where they can be."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.routes.composition import Cell, Drawer, Mix, Targets, cell_of, kind_of, mix_of, plan_sets
from reward_fns.routes import Route

cells = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any), st.integers(1, 500), min_size=1, max_size=20
)


def draw_all(numbers: dict[Cell, int], k: int, seed: int = 0, targets: Targets | None = None) -> Counter[Mix]:
    drawer = Drawer(plan_sets(numbers, k, targets or Targets()), seed)
    return Counter(drawer.draw(cell) for cell, n in numbers.items() for _ in range(n))


@settings(deadline=None, max_examples=200)
@given(numbers=cells, k=st.integers(1, 5))
def test_shares_add_up_and_sets_are_feasible(numbers: dict[Cell, int], k: int) -> None:
    capped: Counter[Cell] = Counter()
    for (right, wrong), n in numbers.items():
        capped[cell_of(right, wrong, k)] += n
    plan = plan_sets(capped, k, Targets())
    assert set(plan) == set(capped)
    gap = 0.0
    for cell, mixes in plan.items():
        assert sum(share for _, share in mixes) == pytest.approx(1)
        for (right, wrong), share in mixes:
            assert share > 0 and right <= cell[0] and wrong <= cell[1] and 1 <= right + wrong <= k
            if right and wrong:
                gap += capped[cell] * share * ((right > wrong) - (right < wrong))
    assert gap == pytest.approx(0, abs=1e-6), "majorities are right as often as wrong, whatever there is"


@pytest.mark.parametrize("k", [3, 4, 8])
@pytest.mark.parametrize("accuracy", [0.3, 0.5, 0.7])
def test_targets_are_met_by_banks_of_any_accuracy(accuracy: float, k: int) -> None:
    rng = random.Random(0)
    numbers: Counter[Cell] = Counter()
    for _ in range(2000):
        right = sum(rng.random() < accuracy for _ in range(8))
        numbers[cell_of(right, 8 - right, k)] += 1
    drawn = draw_all(dict(numbers), k)
    kinds = Counter[str]()
    for mix, n in drawn.items():
        kinds[kind_of(mix)] += n
    assert kinds["all wrong"] / 2000 >= 0.2
    assert kinds["all right"] / 2000 >= 0.1
    assert abs(kinds["majority right"] - kinds["majority wrong"]) < 0.02 * 2000


def test_forced_sets_are_what_they_are() -> None:
    assert draw_all({(0, 3): 10, (4, 0): 20}, 4) == {(0, 3): 10, (4, 0): 20}


def test_one_right_route_against_many_wrong_ones_is_tied_in_part() -> None:
    drawn = draw_all({(1, 4): 1000}, 4, targets=Targets(0.2, 0.0))
    assert set(drawn) == {(0, 4), (1, 1)}, "no set with a right majority is there to balance (1, 3)"
    assert drawn[0, 4] == pytest.approx(200, abs=3)


def test_draws_depend_on_the_seed_and_meet_the_shares_closely() -> None:
    numbers = {(4, 4): 600}
    plan = plan_sets(numbers, 4, Targets())
    for seed in range(3):
        drawn = draw_all(numbers, 4, seed)
        assert all(abs(drawn[mix] - 600 * share) < 4 for mix, share in plan[4, 4])
    first, second = ([Drawer(plan, seed).draw((4, 4)) for _ in range(1)] + [seed] for seed in (0, 5))
    assert first[0] != second[0] or first[1] != second[1]


@pytest.mark.parametrize(("wrong", "right"), [(-0.1, 0), (0.7, 0.4), (0, -1)])
def test_impossible_targets_are_refused(wrong: float, right: float) -> None:
    with pytest.raises(ValueError, match="together at most 1"):
        Targets(wrong, right)


def test_no_routes_are_asked_for() -> None:
    with pytest.raises(ValueError, match="k=0"):
        plan_sets({}, 0, Targets())


def test_kinds() -> None:
    def route(label: bool, sound: bool | None = None) -> Route:
        return Route(("s",), "a", label, sound, None, "")

    assert mix_of([route(True), route(False), route(False), route(True, False)]) == (1, 2)
    named = [kind_of(mix) for mix in ((0, 0), (2, 0), (0, 2), (2, 1), (1, 2), (1, 1))]
    assert named == [
        "none that count",
        "all right",
        "all wrong",
        "majority right",
        "majority wrong",
        "majority tied",
    ]
