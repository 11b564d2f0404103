"""Seeded questions of `search_relevance`, balanced over the rules that decide them.

Serves design.md, section Domains. `make_item(seed, split, index)` depends on nothing else, so any row can
be made again. A deciding rule is drawn first and attributes are drawn until the engine agrees, which gives
each rule of the long tail its share; the labels then have shares of 14 to 35%.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from reward_fns.domains.search_relevance.catalog import (
    BRANDS,
    COLOURS,
    FAMILIES,
    HOUSE_OF,
    HOUSES,
    PRICES,
    REGIONS,
    Family,
)
from reward_fns.domains.search_relevance.engine import Ad, Decision, Query, conclude, decide
from reward_fns.domains.search_relevance.question import render_question

# How often each rule decides a question, in percent.
RULE_SHARES: dict[str, int] = {
    "R1": 7,
    "R2": 8,
    "R3": 8,
    "R4": 14,
    "R5": 5,
    "R6": 7,
    "R7": 6,
    "R8": 7,
    "R9": 7,
    "R10": 5,
    "R11": 6,
    "R12": 20,
}
# The same for text to learn reading from: kinds of product pairs and regions come about equally often.
READING_SHARES: dict[str, int] = RULE_SHARES | {"R1": 20, "R2": 25, "R4": 12, "R11": 30, "R12": 8}
FULL_MATCH = "R12"
LONG_TAIL = frozenset({"R3", "R5", "R6", "R9", "R10"})
_MAX_DRAWS = 10_000


@dataclass(frozen=True)
class Item:
    """One question with what the engine knows about it."""

    query: Query
    ad: Ad
    decision: Decision

    @property
    def question(self) -> str:
        """The user message."""
        return render_question(self.query, self.ad)


def make_item(seed: int, split: str, index: int, shares: Mapping[str, int] = RULE_SHARES) -> Item:
    """The question at (seed, split, index); the same each time, on every machine."""
    rng = random.Random(f"search_relevance/{seed}/{split}/{index}")
    rule = rng.choices(list(shares), weights=list(shares.values()))[0]
    for _ in range(_MAX_DRAWS):
        query, ad = _draw(rng, rule)
        decision = decide(query, ad)
        if decision.rule == rule:
            return Item(query, ad, decision)
    raise RuntimeError(f"no question for rule {rule} in {_MAX_DRAWS} draws: RULE_SHARES and _draw disagree")


def combination(item: Item) -> str:
    """The rules that have something to say on a question, the deciding one included: `R7+R10`; `R12` for none."""
    speaking = {conclude([finding])[0] for finding in item.decision.findings} - {FULL_MATCH}
    return "+".join(sorted(speaking, key=lambda rule: int(rule[1:]))) or FULL_MATCH


def _draw(rng: random.Random, rule: str) -> tuple[Query, Ad]:
    family = rng.choice(_families_for(rule))
    asked = rng.choice(family.types)
    query = Query(
        type=asked,
        region=rng.choice(REGIONS),
        brand=rng.choice(BRANDS) if rule in ("R3", "R7") or rng.random() < 0.6 else None,
        colour=rng.choice(COLOURS) if rule in ("R6", "R8") or rng.random() < 0.5 else None,
        limit=rng.choice(PRICES[1:5]) if rule in ("R5", "R10") or rng.random() < 0.5 else None,
        new=rule == "R9" or rng.random() < 0.3,
    )
    return query, Ad(
        type=_ad_type(rng, rule, family, asked),
        brand=_ad_brand(rng, rule, query.brand),
        colour=query.colour if query.colour and rng.random() < 0.65 else rng.choice(COLOURS),
        used=rng.random() < 0.35,
        price=_ad_price(rng, rule, query.limit),
        ships_to=_ships_to(rng, rule, query.region),
    )


def _families_for(rule: str) -> list[Family]:
    if rule == "R3":
        return [f for f in FAMILIES if f.locked]
    if rule == "R6":
        return [f for f in FAMILIES if f.functional_colour]
    return list(FAMILIES)


def _ad_type(rng: random.Random, rule: str, family: Family, asked: str) -> str:
    if rule == "R2":
        other = rng.choice([f for f in FAMILIES if f is not family])
        return rng.choice(other.types + other.accessories)
    if rule == "R3":
        return rng.choice(sorted(family.locked))
    if rule == "R4":
        return rng.choice(family.accessories)
    if rule == "R11":
        return rng.choice([t for t in family.types if t != asked])
    if rule == "R1":
        return rng.choice(family.types + family.accessories)
    similar = rule != "R12" and rng.random() < 0.25
    return rng.choice(family.types) if similar else asked


def _ad_brand(rng: random.Random, rule: str, asked: str | None) -> str:
    if asked is None or rule in ("R3", "R7"):
        return rng.choice(BRANDS)
    chance = rng.random()
    if chance < 0.15:
        return rng.choice(BRANDS)
    return rng.choice(HOUSES[HOUSE_OF[asked]]) if chance < 0.5 else asked


def _ad_price(rng: random.Random, rule: str, limit: int | None) -> int:
    if limit is None:
        return rng.choice(PRICES)
    if rule == "R5":
        return rng.choice([p for p in PRICES if p > 2 * limit] or [PRICES[-1]])
    if rule == "R10":
        return rng.choice([p for p in PRICES if limit < p <= 2 * limit])
    return rng.choice([p for p in PRICES if p <= limit] if rng.random() < 0.8 else PRICES)


def _ships_to(rng: random.Random, rule: str, region: str) -> tuple[str, ...]:
    others = [r for r in REGIONS if r != region]
    chosen = rng.sample(others, rng.randint(1, 2))
    if rule != "R1":
        chosen.append(region)
    return tuple(sorted(chosen))
