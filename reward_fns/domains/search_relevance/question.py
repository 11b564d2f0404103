"""The text of a `search_relevance` question, written and read back.

Serves design.md, section Domains. `parse_question(render_question(q, a)) == (q, a)`, so that anything that
holds a question's text can ask the rule engine for the reasons.
"""

from reward_fns.domains.search_relevance.catalog import BRANDS, COLOURS, FAMILY_OF, REGIONS
from reward_fns.domains.search_relevance.engine import Ad, Query

QUESTION = "Is the ad Exact, Substitute, Complement or Irrelevant?"


def render_query(query: Query) -> str:
    """What is asked, as a query parser gives it, e.g. `boots, category footwear, price up to 80`."""
    parts = [query.type, f"category {FAMILY_OF[query.type].name}"]
    parts += [f"brand {query.brand}"] if query.brand else []
    parts += [f"colour {query.colour}"] if query.colour else []
    parts += [f"price up to {query.limit}"] if query.limit is not None else []
    parts += ["condition new"] if query.new else []
    return ", ".join(parts)


def render_ad(ad: Ad) -> str:
    """The ad's title and attributes in one line."""
    condition = "used" if ad.used else "new"
    return (
        f"{ad.type}, category {FAMILY_OF[ad.type].name}, brand {ad.brand}, colour {ad.colour}, "
        f"price {ad.price}, condition {condition}"
    )


def render_question(query: Query, ad: Ad) -> str:
    """The user message: query, region and the ad, one a line; a route or label is never in it."""
    return (
        f"Query: {render_query(query)}\n"
        f"Region: {query.region}\n"
        f"Ad: {render_ad(ad)}\n"
        f"Ships to: {', '.join(ad.ships_to)}\n"
        f"{QUESTION}"
    )


def parse_question(text: str) -> tuple[Query, Ad]:
    """The query and ad of a rendered question.

    Raises:
        ValueError: the text is not a question of this domain; says which field is missing or unknown.
    """
    lines: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if colon:
            lines.setdefault(key, value.strip())
    missing = {"Query", "Region", "Ad", "Ships to"} - lines.keys()
    if missing:
        raise ValueError(f"not a search_relevance question: no line {', '.join(sorted(missing))}")
    asked, wanted = _fields(lines["Query"])
    offered, has = _fields(lines["Ad"])
    query = Query(
        type=asked,
        region=lines["Region"],
        brand=wanted.get("brand"),
        colour=wanted.get("colour"),
        limit=_integer(wanted["price"].removeprefix("up to "), "the price limit")
        if "price" in wanted
        else None,
        new=wanted.get("condition") == "new",
    )
    lacking = {"category", "brand", "colour", "price", "condition"} - has.keys()
    if lacking:
        raise ValueError(f"the ad lacks {', '.join(sorted(lacking))}: {lines['Ad']!r}")
    for value, known in (
        (query.region, REGIONS),
        (query.brand or has["brand"], BRANDS),
        (has["brand"], BRANDS),
        (query.colour or has["colour"], COLOURS),
        (has["colour"], COLOURS),
    ):
        if value not in known:
            raise ValueError(f"unknown value {value!r} in the question; known: {', '.join(known)}")
    for kind, category in ((asked, wanted.get("category")), (offered, has["category"])):
        if category != FAMILY_OF[kind].name:
            raise ValueError(f"{kind!r} is of the category {FAMILY_OF[kind].name!r}, not {category!r}")
    ad = Ad(
        type=offered,
        brand=has["brand"],
        colour=has["colour"],
        used=has["condition"] == "used",
        price=_integer(has["price"], "the ad's price"),
        ships_to=tuple(lines["Ships to"].split(", ")),
    )
    return query, ad


def _fields(line: str) -> tuple[str, dict[str, str]]:
    """`boots, brand norvik, price 80` -> ("boots", {"brand": "norvik", "price": "80"})."""
    kind, *rest = line.split(", ")
    if kind not in FAMILY_OF:
        raise ValueError(f"unknown product type {kind!r} in {line!r}")
    return kind, {key: value for key, _, value in (part.partition(" ") for part in rest)}


def _integer(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"expected a whole number for {what}, got {text!r}")
    return int(text)
