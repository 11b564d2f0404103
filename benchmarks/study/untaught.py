"""A teacher of `search_relevance` that never saw the rule book, for the study's arm `rules_never`.

Serves docs/study_plan.md. It reads query and ad as anybody would, and concludes by common sense: another kind of thing is
Irrelevant, an accessory a Complement, a thing of the asked kind that differs in anything asked for a Substitute, what is
left Exact. Shipping, locked accessories, houses of brands, functional colours and price gaps are rules that it does not
know. As guided distillation would have it, its chain is taken where the label is right, whatever led there.
"""

import re

from data_prep.search_relevance.datasets import Teacher
from data_prep.search_relevance.expert import right_route
from data_prep.search_relevance.generator import Item
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.engine import (
    Ad,
    Decision,
    Finding,
    Query,
    RuleBook,
    conclude,
    observe,
)
from reward_fns.domains.search_relevance.question import parse_question
from reward_fns.routes import Route

_COMMON_SENSE = RuleBook(price_gap=10**9, sisters_are_same=False)
_CITED = re.compile(r" \[R\d+\]$")


def teach(question: str, style: str) -> Route:
    """The chain that common sense writes, in the words of the program teacher, without a rule.

    Raises:
        ValueError: the text is not a question of this domain.
    """
    query, ad = parse_question(question)
    findings = _findings(query, ad)
    rule, label = conclude(findings)
    chain = right_route(Item(query, ad, Decision(label, rule, findings)), style)
    steps = tuple(_CITED.sub("", step) for step in chain.steps)
    return Route(steps, chain.answer, True, True, None, chain.source)


def _findings(query: Query, ad: Ad) -> tuple[Finding, ...]:
    found = []
    asked = {
        "category": True,
        "type": True,
        "price": query.limit is not None,
        "colour": query.colour is not None,
        "brand": query.brand is not None,
        "condition": query.new,
    }
    for check in (name for name, is_asked in asked.items() if is_asked):
        value = observe(query, ad, check, _COMMON_SENSE)
        found.append(Finding(check, "differs" if value == "functional" else value))
        if value in ("unrelated", "accessory"):
            break
    return tuple(found)


def _refusal(item: Item, chain: Route) -> str | None:
    return None if DOMAIN.equivalent(chain.answer, item.decision.label) else "wrong label"


UNTAUGHT = Teacher(teach, _refusal)
