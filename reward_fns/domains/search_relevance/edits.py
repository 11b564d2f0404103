"""Edits of the rule book: one rule says something else, in words and for the engine alike.

Serves the changed-rule test: what does a model do whose rules have changed since it was trained?
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reward_fns.domains.base import Rule
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.engine import RuleBook


@dataclass(frozen=True)
class Edit:
    """One change: what the engine reads, and the new text of each rule whose wording it touches, by rule id."""

    name: str
    book: RuleBook
    texts: Mapping[str, str]


EDITS: dict[str, Edit] = {
    edit.name: edit
    for edit in (
        Edit(
            "price_gap",
            RuleBook(price_gap=3),
            {
                "R5": "A price above three times the stated limit makes the ad Irrelevant.",
                "R10": "A price above the stated limit, up to three times of it, makes the ad a Substitute.",
            },
        ),
        Edit(
            "sister_brands",
            RuleBook(sisters_are_same=False),
            {
                "R3": "An accessory that fits one brand only is Irrelevant when the query asks for another brand, "
                "a sister brand included.",
                "R7": "Another brand than the one asked is a Substitute. Sister brands of one house count as "
                "different brands.",
            },
        ),
        Edit(
            "functional_colour",
            RuleBook(labels={"R6": "Substitute"}),
            {
                "R6": "Where the colour is the product (paint, dye, make-up), another colour than asked is a "
                "Substitute.",
            },
        ),
        Edit(
            "used_goods",
            RuleBook(labels={"R9": "Irrelevant"}),
            {"R9": "A used product is Irrelevant when the query asks for a new one."},
        ),
        Edit(
            "similar_type",
            RuleBook(labels={"R11": "Complement"}),
            {"R11": "A type that serves the same need as the asked one is a Complement."},
        ),
    )
}


def edited_rules(edit: Edit) -> tuple[Rule, ...]:
    """The rule book with the edit's texts in place; an edited rule has no example."""
    return tuple(
        replace(rule, text=edit.texts[rule.id], example="") if rule.id in edit.texts else rule
        for rule in DOMAIN.rules
    )
