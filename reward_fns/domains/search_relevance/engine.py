"""The rule engine of `search_relevance`: a query and an ad in, the label and the reasons out.

Serves design.md, section Domains. The engine walks the checks in the order of the rule book (rules.yaml)
and stops where a rule settles the label. Each check yields a `Finding`; the label is a pure function of
the findings, so a wrong finding can be planted and its consequences followed (`conclude`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reward_fns.domains.search_relevance.catalog import FAMILY_OF, same_house

LABELS = ("Exact", "Substitute", "Complement", "Irrelevant")

# check -> findings it can yield; the first is the harmless one
FINDINGS: dict[str, tuple[str, ...]] = {
    "region": ("served", "not served"),
    "category": ("same", "unrelated"),
    "type": ("same", "similar", "accessory"),
    "lock": ("fits", "locked out"),
    "price": ("within", "over", "double"),
    "colour": ("same", "differs", "functional"),
    "brand": ("same", "sister", "differs"),
    "condition": ("same", "differs"),
}


@dataclass(frozen=True)
class Query:
    """What the shopper asks for; None where the query says nothing."""

    type: str
    region: str
    brand: str | None = None
    colour: str | None = None
    limit: int | None = None
    new: bool = False


@dataclass(frozen=True)
class Ad:
    """What is offered. `price` is in whole dollars."""

    type: str
    brand: str
    colour: str
    used: bool
    price: int
    ships_to: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """The result of one check, e.g. ("brand", "differs")."""

    check: str
    value: str


@dataclass(frozen=True)
class Decision:
    """A label, the rule that decides it, and the findings that lead there, in the order of checking."""

    label: str
    rule: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class RuleBook:
    """What the engine reads from the rule book rather than knows; the defaults are those of rules.yaml.

    Attributes:
        price_gap: a price above so many times the limit makes the ad irrelevant (R5, R10).
        sisters_are_same: brands of one house count as one brand (R3, R7).
        labels: labels that rules give instead of their own, by rule id.
    """

    price_gap: int = 2
    sisters_are_same: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


RULES = RuleBook()


def observe(query: Query, ad: Ad, check: str, book: RuleBook = RULES) -> str:
    """The true finding of one check."""
    family = FAMILY_OF[query.type]
    sisters = query.brand is not None and book.sisters_are_same and same_house(query.brand, ad.brand)
    if check == "region":
        return "served" if query.region in ad.ships_to else "not served"
    if check == "category":
        return "same" if ad.type in family.types + family.accessories else "unrelated"
    if check == "type":
        if ad.type == query.type:
            return "same"
        return "accessory" if ad.type in FAMILY_OF[ad.type].accessories else "similar"
    if check == "lock":
        locked = ad.type in FAMILY_OF[ad.type].locked
        return "fits" if not locked or query.brand in (None, ad.brand) or sisters else "locked out"
    if check == "price":
        limit = query.limit if query.limit is not None else ad.price
        return "double" if ad.price > book.price_gap * limit else "over" if ad.price > limit else "within"
    if check == "colour":
        if query.colour in (None, ad.colour):
            return "same"
        return "functional" if family.functional_colour else "differs"
    if check == "brand":
        if query.brand in (None, ad.brand):
            return "same"
        return "sister" if sisters else "differs"
    if check == "condition":
        return "differs" if query.new and ad.used else "same"
    raise ValueError(f"unknown check {check!r}; known: {', '.join(FINDINGS)}")


def next_check(query: Query, found: dict[str, str]) -> str | None:
    """The check to make after those in `found`, or None when the label is settled.

    Checks of attributes that the query does not mention are left out.
    """
    if "region" not in found:
        return "region"
    if found["region"] == "not served":
        return None
    if "category" not in found:
        return "category"
    if found["category"] == "unrelated":
        return None
    if "type" not in found:
        return "type"
    if found["type"] == "accessory":
        return "lock" if query.brand and "lock" not in found else None
    if query.limit is not None and "price" not in found:
        return "price"
    if found.get("price") == "double":
        return None
    if query.colour and "colour" not in found:
        return "colour"
    if found.get("colour") == "functional":
        return None
    if query.brand and "brand" not in found:
        return "brand"
    if query.new and "condition" not in found:
        return "condition"
    return None


# (check, finding) -> (rule, label), highest precedence first
_DECISIONS: tuple[tuple[str, str, str, str], ...] = (
    ("region", "not served", "R1", "Irrelevant"),
    ("category", "unrelated", "R2", "Irrelevant"),
    ("lock", "locked out", "R3", "Irrelevant"),
    ("type", "accessory", "R4", "Complement"),
    ("price", "double", "R5", "Irrelevant"),
    ("colour", "functional", "R6", "Irrelevant"),
    ("brand", "differs", "R7", "Substitute"),
    ("colour", "differs", "R8", "Substitute"),
    ("condition", "differs", "R9", "Substitute"),
    ("price", "over", "R10", "Substitute"),
    ("type", "similar", "R11", "Substitute"),
)


def conclude(findings: Iterable[Finding], book: RuleBook = RULES) -> tuple[str, str]:
    """`(rule id, label)` that follows from findings, by precedence; R12 (Full match) where none speaks."""
    found = {(f.check, f.value) for f in findings}
    for check, value, rule, label in _DECISIONS:
        if (check, value) in found:
            return rule, book.labels.get(rule, label)
    return "R12", "Exact"


def walk(query: Query, ad: Ad, planted: Finding | None = None, book: RuleBook = RULES) -> tuple[Finding, ...]:
    """The findings in the order of checking, with at most one of them replaced by `planted`.

    After the planted finding the walk goes on as if it were true, as a reader who made that mistake would.
    """
    found: dict[str, str] = {}
    while (check := next_check(query, found)) is not None:
        found[check] = (
            planted.value if planted and planted.check == check else observe(query, ad, check, book)
        )
    return tuple(Finding(check, value) for check, value in found.items())


def decide(query: Query, ad: Ad, book: RuleBook = RULES) -> Decision:
    """The right label for an ad under the rule book, or under an edited one."""
    findings = walk(query, ad, book=book)
    rule, label = conclude(findings, book)
    return Decision(label, rule, findings)
