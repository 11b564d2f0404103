"""Routes survive what parquet, pandas and numpy make of them; bad ones are refused in words."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.routes import Route, indexes_from, route_from_mapping, route_to_mapping, routes_from

GOOD = {
    "steps": ["a", "b"],
    "answer": "18",
    "label": False,
    "sound": None,
    "first_error": 1,
    "source": "student",
}


@st.composite
def routes(draw: st.DrawFn) -> Route:
    steps = tuple(draw(st.lists(st.text(max_size=10), max_size=5)))
    first_error = draw(st.none() | st.integers(0, len(steps) - 1)) if steps else None
    return Route(
        steps,
        draw(st.text(max_size=10)),
        draw(st.booleans()),
        draw(st.none() | st.booleans()),
        first_error,
        draw(st.text(max_size=10)),
    )


@given(routes())
def test_mapping_round_trip(route: Route) -> None:
    assert route_from_mapping(route_to_mapping(route)) == route


def test_numpy_forms() -> None:
    item = GOOD | {
        "steps": np.array(["a", "b"], dtype=object),
        "label": np.bool_(False),
        "sound": np.nan,
        "first_error": np.float64(1.0),
    }
    expected = route_from_mapping(GOOD)
    assert route_from_mapping(item) == expected
    array: Any = np.empty(2, dtype=object)
    array[:] = [item, item]
    assert routes_from(array) == (expected, expected)


def test_column_form_and_none() -> None:
    columns = {key: [value] for key, value in GOOD.items()}
    assert routes_from(columns) == (route_from_mapping(GOOD),)
    assert routes_from(None) == routes_from([]) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": "one text"}, "steps must be a list"),
        ({"steps": [1]}, "steps must be texts"),
        ({"answer": 18}, "answer must be a text"),
        ({"label": None}, "lacks label"),
        ({"label": "yes"}, "label must be true"),
        ({"first_error": 2}, "first_error=2 but 2 steps"),
        ({"first_error": 0.5}, "first_error must be a whole number"),
        ({"first_error": True}, "first_error must be a whole number"),
    ],
)
def test_bad_routes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        route_from_mapping(GOOD | change)


def test_bad_containers_are_refused() -> None:
    with pytest.raises(ValueError, match="must be a mapping"):
        routes_from(["text"])
    with pytest.raises(ValueError, match="must be a list"):
        routes_from("text")


def test_shown_indexes() -> None:
    assert indexes_from(np.array([2, 0]), 3) == (2, 0)
    assert indexes_from(None, 3) == indexes_from([], 3) == ()
    for bad in ([3], [-1], [0, 0], ["0"], "01", [0.5], 5):
        with pytest.raises(ValueError, match="shown"):
            indexes_from(bad, 3)
