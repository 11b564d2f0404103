"""The generated evaluation sets: committed as made, each row by (seed, index) alone, composed as MRPV asks."""

import json
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from data_prep.eval_sets.chains import Chain, Problem, Step, compose, make_bank
from data_prep.eval_sets.finance import _decimal
from data_prep.eval_sets.writing import SETS, make_row, make_rows, write_sets
from data_prep.schema import rl_row
from eval_tasks.bundled import DATA
from reward_fns.domains import get
from reward_fns.routes import Route, routes_from

FINANCE = get("numeric")


@pytest.fixture(scope="module", params=list(SETS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / f"{name}_test.jsonl").read_text().splitlines()]


def routes_of(rows: list[dict[str, Any]]) -> list[Route]:
    return [route for row in rows for route in routes_from(row["routes"])]


def test_committed_files_are_what_the_command_makes(tmp_path: Path) -> None:
    for path in write_sets(tmp_path):
        assert path.read_bytes() == (DATA / path.name).read_bytes(), (
            "run `python -m data_prep.eval_sets eval_tasks/data` and raise metadata.version of the tasks"
        )
        assert path.stat().st_size < 400_000


def test_a_row_depends_on_seed_and_index_alone(name: str) -> None:
    assert make_row(name, 0, 7) == list(make_rows(name, 8))[7]
    assert make_row(name, 0, 7) != make_row(name, 1, 7)


def test_gold_and_labels_hold_by_the_domain_s_own_check(name: str, rows: list[dict[str, Any]]) -> None:
    domain = get(SETS[name].domain)
    for n, row in enumerate(rows):
        checked = rl_row(
            row["question"],
            row["gold"],
            domain=domain.name,
            index=n,
            split="test",
            routes=routes_from(row["routes"]),
        )
        assert domain.check_row(checked) == []
        assert checked["extra_info"]["uid"] == row["uid"]


def test_sets_are_composed_as_mrpv_asks(rows: list[dict[str, Any]]) -> None:
    assert 200 <= len(rows) <= 300 and len({row["question"] for row in rows}) == len(rows)
    kinds = Counter(sum(route["label"] for route in row["routes"]) for row in rows)
    assert kinds[0] / len(rows) >= 0.2 and kinds[3] > 0
    assert abs(kinds[1] - kinds[2]) < 0.1 * len(rows)
    for row in rows:
        texts = {tuple(route["steps"]) for route in row["routes"]}
        assert len(texts) == len(row["routes"]) == 3
    assert {row["long_tail"] for row in rows} == {True, False}


def test_every_wrong_route_knows_its_first_error(rows: list[dict[str, Any]]) -> None:
    for route in routes_of(rows):
        assert route.sound == route.label
        assert (route.first_error is None) == route.label
    wrong = [route for route in routes_of(rows) if not route.label]
    commonest = Counter(route.first_error for route in wrong).most_common(1)[0][1]
    assert commonest / len(wrong) < 0.4  # no constant step is a good guess


def test_length_does_not_tell_right_from_wrong(rows: list[dict[str, Any]]) -> None:
    """The best threshold on the number of steps, and on the characters, stays under the warning of `routes stats`."""
    routes = routes_of(rows)
    for length in (lambda r: len(r.steps), lambda r: sum(map(len, r.steps))):
        right = [length(route) for route in routes if route.label]
        wrong = [length(route) for route in routes if not route.label]
        gaps = [
            sum(v <= cut for v in right) / len(right) - sum(v <= cut for v in wrong) / len(wrong)
            for cut in {*right, *wrong}
        ]
        assert max(map(abs, gaps)) < 0.2


def solve(mistake: str | None) -> Chain:
    total = 5 if mistake is None else 6 if mistake == "sum" else 7
    steps = (Step("asked: 2 + 3", True), Step("both are whole", True), Step(f"2 + 3 = {total}"))
    return Chain((*steps, Step(f"so {total}")), str(total))


def test_the_first_error_is_the_first_difference_whatever_is_left_out() -> None:
    bank = make_bank(Problem("q", "r", False, solve, ("sum", "other")), FINANCE)
    assert {(len(r.steps), r.first_error) for r in bank.wrong} == {(4, 2), (3, 1), (2, 0)}
    assert all(route.steps[route.first_error or 0].startswith("2 + 3") for route in bank.wrong)
    assert bank.is_enough and len(compose(bank, random.Random(0))) == 3


def test_a_mistake_that_ends_right_is_no_wrong_route() -> None:
    problem = Problem("q", "r", False, lambda mistake: solve(None), ("nothing",))
    assert make_bank(problem, FINANCE).wrong == ()


def test_an_unreadable_gold_answer_is_refused() -> None:
    problem = Problem("q", "r", False, lambda mistake: Chain((Step("?"),), "maybe 5"), ())
    with pytest.raises(ValueError, match="does not read its own gold answer"):
        make_bank(problem, FINANCE)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (Fraction(1, 20), 1, "0.1"),
        (Fraction(-1, 20), 1, "-0.1"),
        (Fraction(-1, 100), 1, "0.0"),
        (Fraction(2, 3), 4, "0.6667"),
        (Fraction(12), 1, "12.0"),
    ],
)
def test_rounding_is_exact_and_away_from_zero(value: Fraction, digits: int, text: str) -> None:
    assert _decimal(value, digits) == text
