"""The flagship domain: reading labels, the rule book, and properties of the engine over its whole world."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_fns import compute_score, domains
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.catalog import BRANDS, COLOURS, FAMILY_OF, PRICES, REGIONS
from reward_fns.domains.search_relevance.engine import (
    FINDINGS,
    LABELS,
    Ad,
    Finding,
    Query,
    conclude,
    decide,
    observe,
    walk,
)
from reward_fns.domains.search_relevance.question import parse_question, render_question

QUERIES = st.builds(
    Query,
    type=st.sampled_from([t for t, family in FAMILY_OF.items() if t in family.types]),
    region=st.sampled_from(REGIONS),
    brand=st.none() | st.sampled_from(BRANDS),
    colour=st.none() | st.sampled_from(COLOURS),
    limit=st.none() | st.sampled_from(PRICES),
    new=st.booleans(),
)
ADS = st.builds(
    Ad,
    type=st.sampled_from(sorted(FAMILY_OF)),
    brand=st.sampled_from(BRANDS),
    colour=st.sampled_from(COLOURS),
    used=st.booleans(),
    price=st.sampled_from(PRICES),
    ships_to=st.lists(st.sampled_from(REGIONS), min_size=1, unique=True).map(tuple),
)
PAIRS = st.tuples(QUERIES, ADS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Exact", "Exact"),
        (" exact.\n", "Exact"),
        ("**SUBSTITUTE**", "Substitute"),
        ("“Complement”", "Complement"),
        ("`Irrelevant`.", "Irrelevant"),
        ("The answer is **exact**.", "Exact"),
        ("Final answer: Exact", "Exact"),
        ("label: Complement", "Complement"),
        ("\\boxed{\\text{Exact}}", "Exact"),
        ("Exact or Substitute", None),
        ("Exact/Substitute", None),
        ("Exact, Substitute", None),
        ("not Exact", None),
        ("probably Exact", None),
        ("inexact", None),
        ("Exactly", None),
        ("Exact because it ships", None),
        ("", None),
        ("**", None),
        ("Exact" + " " * 1000, None),
        ("1", None),
    ],
)
def test_extract(text: str, expected: str | None) -> None:
    assert DOMAIN.extract(text) == expected


@given(st.text())
def test_extract_is_total(text: str) -> None:
    assert DOMAIN.extract(text) in (*LABELS, None)


def test_equivalent_and_score() -> None:
    assert domains.get("search_relevance") is DOMAIN
    assert DOMAIN.equivalent("exact.", "Exact") and not DOMAIN.equivalent("Exact", "Substitute")
    assert not DOMAIN.equivalent("x", "x")
    for label in LABELS:
        assert compute_score("realm/search_relevance", f"<answer> {label} </answer>", label)["outcome"] == 1.0


def test_rules_are_the_engines_in_order_of_precedence() -> None:
    assert [rule.precedence for rule in DOMAIN.rules] == list(range(1, 13))
    assert DOMAIN.rules is DOMAIN.rules
    alone = [conclude([Finding(check, value)]) for check, values in FINDINGS.items() for value in values]
    assert {rule for rule, _ in alone} == {rule.id for rule in DOMAIN.rules}
    findings = {
        conclude([f])[0]: f for f in (Finding(c, v) for c, values in FINDINGS.items() for v in values)
    }
    for first, second in itertools.combinations(DOMAIN.rules, 2):
        both = conclude([findings[second.id], findings[first.id]])
        assert both[0] == first.id, f"{first.id} stands before {second.id}"
    for rule in DOMAIN.rules:
        label = conclude([findings[rule.id]])[1]
        assert label in rule.text and rule.example.endswith(f"-> {label}")


def row(question: str, gold: str) -> dict[str, Any]:
    return {"prompt": [{"role": "user", "content": question}], "reward_model": {"ground_truth": gold}}


@given(PAIRS)
@settings(max_examples=50)
def test_check_row(pair: tuple[Query, Ad]) -> None:
    question, label = render_question(*pair), decide(*pair).label
    assert DOMAIN.check_row(row(question, label)) == []
    other = next(name for name in LABELS if name != label)
    (problem,) = DOMAIN.check_row(row(question, other))
    assert problem == f"the gold answer is {other!r}, the engine's is {label!r}"
    assert DOMAIN.check_row(row("A question of ESCI", other)) == []
    assert "cannot read" in DOMAIN.check_row(row(question, "Exact or Substitute"))[0]


@given(PAIRS)
def test_question_reads_back(pair: tuple[Query, Ad]) -> None:
    assert parse_question(render_question(*pair)) == pair


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Region: ", "Place: ", "Region"),
        ("30", "ten", "whole number for the ad's price, got 'ten'"),
        ("laces", "shoelaces", "unknown product type 'shoelaces'"),
        ("boots", "shoes", "unknown product type 'shoes'"),
    ],
)
def test_foreign_questions_are_refused(old: str, new: str, message: str) -> None:
    question = render_question(Query("boots", "US"), Ad("laces", "norvik", "red", False, 30, ("US",)))
    with pytest.raises(ValueError, match=message):
        parse_question(question.replace(old, new))


@given(PAIRS)
def test_the_engine_concludes_from_true_findings(pair: tuple[Query, Ad]) -> None:
    decision = decide(*pair)
    assert decision.label in LABELS
    assert all(f.value == observe(*pair, f.check) for f in decision.findings)
    assert len({f.check for f in decision.findings}) == len(decision.findings)
    assert conclude(reversed(decision.findings)) == (decision.rule, decision.label)


@given(PAIRS)
def test_stopping_early_never_changes_the_label(pair: tuple[Query, Ad]) -> None:
    """All checks of what the query mentions, made to the end, lead where the walk stops."""
    query, ad = pair
    mentioned = {"price": query.limit, "colour": query.colour, "brand": query.brand, "condition": query.new}
    wanted = [check for check in FINDINGS if mentioned.get(check, True)]
    if observe(query, ad, "category") == "unrelated":
        wanted = ["region", "category"]
    elif observe(query, ad, "type") == "accessory":
        wanted = ["region", "category", "type", "lock"]
    else:
        wanted.remove("lock")
    assert conclude(Finding(c, observe(query, ad, c)) for c in wanted)[1] == decide(query, ad).label


@given(PAIRS, st.data())
def test_a_planted_finding_changes_nothing_before_it(pair: tuple[Query, Ad], data: st.DataObject) -> None:
    truth = walk(*pair)
    position = data.draw(st.integers(0, len(truth) - 1))
    check = truth[position].check
    planted = Finding(check, data.draw(st.sampled_from(FINDINGS[check])))
    findings = walk(*pair, planted)
    assert findings[:position] == truth[:position] and findings[position] == planted
