"""Edits of the rule book: words and engine say the same, and nothing else changes."""

import pytest

from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.edits import EDITS, Edit, edited_rules
from reward_fns.domains.search_relevance.engine import RULES, Ad, Query, decide

BOOTS = Ad("boots", "norvik", "red", used=False, price=50, ships_to=("US",))
ASKED = Query("boots", "US")
CASES = {
    "price_gap": (
        (Query("boots", "US", limit=20), "Irrelevant", "Substitute"),  # 2.5 times the limit
        (Query("boots", "US", limit=10), "Irrelevant", "Irrelevant"),  # 5 times
        (Query("boots", "US", limit=40), "Substitute", "Substitute"),
    ),
    "sister_brands": (
        (Query("boots", "US", brand="aldera"), "Exact", "Substitute"),
        (Query("boots", "US", brand="norvik"), "Exact", "Exact"),
        (Query("boots", "US", brand="halden"), "Substitute", "Substitute"),
    ),
    "similar_type": ((Query("sandals", "US"), "Substitute", "Complement"), (ASKED, "Exact", "Exact")),
}


@pytest.mark.parametrize(
    ("name", "query", "old", "new"), [(n, *case) for n, cases in CASES.items() for case in cases]
)
def test_labels_before_and_after(name: str, query: Query, old: str, new: str) -> None:
    assert decide(query, BOOTS).label == old
    assert decide(query, BOOTS, EDITS[name].book).label == new


@pytest.mark.parametrize(
    ("name", "query", "ad", "old", "new"),
    [
        (
            "functional_colour",
            Query("paint", "US", colour="blue"),
            Ad("paint", "norvik", "red", False, 10, ("US",)),
            "Irrelevant",
            "Substitute",
        ),
        (
            "used_goods",
            Query("boots", "US", new=True),
            Ad("boots", "norvik", "red", True, 10, ("US",)),
            "Substitute",
            "Irrelevant",
        ),
        (
            "sister_brands",  # the lock too
            Query("phone", "US", brand="norvik"),
            Ad("charger", "aldera", "red", False, 10, ("US",)),
            "Complement",
            "Irrelevant",
        ),
    ],
)
def test_labels_of_other_ads(name: str, query: Query, ad: Ad, old: str, new: str) -> None:
    assert decide(query, ad).label == old
    assert decide(query, ad, EDITS[name].book).label == new


def test_an_unmentioned_brand_is_no_sister() -> None:
    for edit in EDITS.values():
        assert decide(ASKED, BOOTS, edit.book) == decide(ASKED, BOOTS)


@pytest.mark.parametrize("edit", EDITS.values(), ids=lambda edit: edit.name)
def test_an_edit_changes_the_engine_and_the_words_of_rules_that_are_there(edit: Edit) -> None:
    assert edit.book != RULES
    changed = {
        old.id: new.text for old, new in zip(DOMAIN.rules, edited_rules(edit), strict=True) if old != new
    }
    assert changed == edit.texts
    assert set(edit.book.labels) <= set(edit.texts)
