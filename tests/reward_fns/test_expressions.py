"""Exact formulas: every writing of a value is that value, and look-alikes are not."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.answers import compare, is_equivalent
from reward_fns.cleaning import clean
from reward_fns.exact import Arithmetic, Value
from reward_fns.expressions import is_too_large, read_expression
from reward_fns.match import Match

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

coefficients = st.lists(st.integers(-9, 9), min_size=1, max_size=4)


def read(text: str) -> Value:
    value = read_expression(text)
    assert value is not None, text
    return value


def polynomial(terms: list[int], order: list[int]) -> str:
    return " + ".join(f"({terms[i]})x^{{{i}}}" for i in order)


@given(coefficients)
def test_the_order_of_terms_is_nothing(terms: list[int]) -> None:
    order = list(range(len(terms)))
    backwards = read(polynomial(terms, order[::-1]))
    assert Arithmetic().equal(read(polynomial(terms, order)), backwards)
    other = [*terms[:-1], terms[-1] + 1]
    assert not Arithmetic().equal(read(polynomial(other, order)), backwards)


@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 30))
def test_roots_are_exact(inside: int, factor: int, bottom: int) -> None:
    one = read(f"\\frac{{\\sqrt{{{inside * factor * factor}}}}}{{{bottom}}}")
    assert Arithmetic().equal(one, read(f"{factor}\\sqrt{{{inside}}}/{bottom}"))
    assert not Arithmetic().equal(one, read(f"{factor}\\sqrt{{{inside}}}/{bottom + 1}"))


@given(st.fractions(max_denominator=999))
def test_rationals_come_back(value: Fraction) -> None:
    assert read(f"({value.numerator})/{value.denominator}").rational() == value


@given(st.text(max_size=60) | st.text(alphabet="x12+-*/^_{}()[]|!.,\\ ", max_size=60))
def test_total(text: str) -> None:
    read_expression(text)
    is_too_large(text)


@pytest.mark.parametrize(
    "text", ["even", "1 2", "x2", "101_2", "5%", "(1,2)", "1/0", "0^0", "\\frac{1}", "", "+"]
)
def test_not_surely_a_formula(text: str) -> None:
    assert read_expression(text) is None


def hard_pairs(name: str) -> list[dict[str, Any]]:
    lines = (BENCHMARKS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("name", "share"), [("hard_latex", 0.75), ("hard_pairs", 0.7)])
def test_hard_pairs_are_never_decided_wrongly_by_the_cheap_tiers(name: str, share: float) -> None:
    rows, decided = hard_pairs(name), 0
    for row in rows:
        verdict = compare(clean(row["answer"]), clean(row["gold"]))[0]
        assert verdict is not (Match.DIFFERENT if row["same"] else Match.SAME), row
        decided += verdict in (Match.SAME, Match.DIFFERENT)
    assert decided > share * len(rows)


def test_look_alikes_are_refused() -> None:
    pytest.importorskip("math_verify")
    rows = hard_pairs("hard_latex")
    accepted = [row for row in rows if not row["same"] and is_equivalent(row["answer"], row["gold"])]
    assert accepted == []
