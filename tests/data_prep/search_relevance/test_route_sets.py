"""Composed route sets: shares of the kinds, different texts, and nothing on the surface that tells kinds apart."""

import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from data_prep.search_relevance.generator import Item, make_item
from data_prep.search_relevance.route_sets import compose_routes
from reward_fns.domains import get
from reward_fns.domains.search_relevance.engine import observe
from reward_fns.routes import Route

SETS = 2_000
K = (2, 3, 4)


def composed(k: int, count: int = SETS) -> list[tuple[Item, list[Route]]]:
    items = (make_item(5, "train", index) for index in range(count))
    return [(item, compose_routes(item, k, random.Random(f"{k}/{n}"))) for n, item in enumerate(items)]


@pytest.fixture(scope="module", params=K)
def sets(request: pytest.FixtureRequest) -> list[tuple[Item, list[Route]]]:
    return composed(request.param)


def informedness(routes: Iterable[Route], says_right: Callable[[Route], bool]) -> float:
    """Hit rate on right routes plus hit rate on wrong routes, minus 1."""
    called = {True: Counter[bool](), False: Counter[bool]()}
    for route in routes:
        called[route.label][says_right(route)] += 1
    return called[True][True] / called[True].total() - called[False][True] / called[False].total()


def test_same_seed_same_set() -> None:
    assert composed(3, 20) == composed(3, 20)


def test_shares_of_the_kinds(sets: list[tuple[Item, list[Route]]]) -> None:
    kinds: Counter[str] = Counter()
    for _, routes in sets:
        right, n = sum(r.label for r in routes), len(routes)
        kinds["all wrong" if right == 0 else "all right" if right == n else "mixed"] += 1
        if 0 < right < n:
            kinds["majority right"] += right > n - right
            kinds["majority wrong"] += right < n - right
    assert 0.19 < kinds["all wrong"] / SETS < 0.25
    assert 0.06 < kinds["all right"] / SETS < 0.15
    assert abs(kinds["majority right"] - kinds["majority wrong"]) < 0.05 * SETS


def test_no_text_stands_twice(sets: list[tuple[Item, list[Route]]]) -> None:
    for _, routes in sets:
        assert len({(r.steps, r.answer) for r in routes}) == len(routes)


def test_size_does_not_tell_the_kinds(sets: list[tuple[Item, list[Route]]]) -> None:
    largest = max(len(routes) for _, routes in sets)
    for size in range(1, largest + 1):
        inside = [r for _, routes in sets for r in routes if len(routes) == size]
        if len(inside) >= 100:
            assert 0.35 < sum(r.label for r in inside) / len(inside) < 0.65


def test_agreeing_answers_are_no_sign_of_being_right(sets: list[tuple[Item, list[Route]]]) -> None:
    flat = [(r, sum(o.answer == r.answer for o in routes), len(routes)) for _, routes in sets for r in routes]
    votes = {id(r): 2 * agree > size for r, agree, size in flat}
    assert abs(informedness((r for r, _, _ in flat), lambda r: votes[id(r)])) < 0.2


def test_neither_length_nor_style_tells_the_kinds(sets: list[tuple[Item, list[Route]]]) -> None:
    routes = [r for _, group in sets for r in group]
    lengths = sorted({len(r.steps) for r in routes})
    by_length = [informedness(routes, lambda r, cut=cut: len(r.steps) >= cut) for cut in lengths]  # type: ignore[misc]
    sources = sorted({r.source for r in routes})
    assert sources == ["program/brief", "program/full", "program/partial"]
    by_source = [informedness(routes, lambda r, source=source: r.source == source) for source in sources]  # type: ignore[misc]
    assert max(map(abs, by_length + by_source)) < 0.2


def test_labels_and_first_errors_are_true(sets: list[tuple[Item, list[Route]]]) -> None:
    """The steps before the first error are true findings; the first error is none, or draws a false conclusion."""
    labels = get("search_relevance").labels
    for item, routes in sets:
        for route in routes:
            assert route.label == (route.answer == item.decision.label) == route.sound
            assert route.answer in labels
            truth = [_is_true(item, step) for step in route.steps[:-1]]
            assert route.first_error == (None if route.label else [*truth, False].index(False)), route


def _is_true(item: Item, step: str) -> bool:
    check, _, rest = step.partition(": ")
    return observe(item.query, item.ad, check) == rest.rpartition(": ")[2]


def test_rules_are_cited_by_name(sets: list[tuple[Item, list[Route]]]) -> None:
    names = {rule.name for rule in get("search_relevance").rules}
    for _, routes in sets[:200]:
        for route in routes:
            assert not any("[R" in step for step in route.steps)
            assert any(f"({name})" in route.steps[-1] for name in names)


def test_refuses_an_empty_set() -> None:
    with pytest.raises(ValueError, match="at least one route"):
        compose_routes(make_item(0, "train", 0), 0, random.Random(0))


def test_short_routes_name_the_deciding_check_and_at_most_one_more() -> None:
    sets = [compose_routes(make_item(0, "train", n), 3, random.Random(n), "short") for n in range(300)]
    routes = [route for routes in sets for route in routes]
    assert {route.source for route in routes} == {"program/brief", "program/short"}
    assert {len(route.steps) for route in routes} == {2, 3}
    assert all(len({route.steps for route in routes}) == len(routes) for routes in sets)
    assert 0.3 < sum(route.label for route in routes) / len(routes) < 0.55
    assert 0.15 < sum(not any(route.label for route in routes) for routes in sets) / len(sets) < 0.35
    with pytest.raises(ValueError, match="detail is one of any, short"):
        compose_routes(make_item(0, "train", 0), 3, random.Random(0), "long")
