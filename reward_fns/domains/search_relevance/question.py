"""The text of a `search_relevance` question, written and read back.

Serves design.md, section Domains. `parse_question(render_question(q, a)) == (q, a)`, so that anything that
holds a question's text can ask the rule engine for the reasons.
"""

from reward_fns.domains.search_relevance.catalog import BRANDS, COLOURS, FAMILY_OF
from reward_fns.domains.search_relevance.engine import Ad, Query


def render_query(query: Query) -> str:
    """The shopper's words, e.g. `new red norvik boots under 80`."""
    words = ["new"] if query.new else []
    words += [word for word in (query.colour, query.brand) if word]
    words.append(query.type)
    if query.limit is not None:
        words += ["under", str(query.limit)]
    return " ".join(words)


def render_question(query: Query, ad: Ad) -> str:
    """The user message: query, region and the ad's fields, one a line; a route or label is never in it."""
    return (
        f"Query: {render_query(query)}\n"
        f"Region: {query.region}\n"
        f"Ad: {ad.colour} {ad.type}\n"
        f"Brand: {ad.brand}\n"
        f"Category: {FAMILY_OF[ad.type].name}\n"
        f"Condition: {'used' if ad.used else 'new'}\n"
        f"Price: {ad.price}\n"
        f"Ships to: {', '.join(ad.ships_to)}\n"
        "Is the ad Exact, Substitute, Complement or Irrelevant?"
    )


def parse_question(text: str) -> tuple[Query, Ad]:
    """The query and ad of a rendered question.

    Raises:
        ValueError: the text is not a question of this domain; says which field is missing or unknown.
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if colon:
            fields.setdefault(key, value.strip())
    missing = {"Query", "Region", "Ad", "Brand", "Condition", "Price", "Ships to"} - fields.keys()
    if missing:
        raise ValueError(f"not a search_relevance question: no field {', '.join(sorted(missing))}")
    return _parse_query(fields["Query"], fields["Region"]), _parse_ad(fields)


def _parse_query(text: str, region: str) -> Query:
    words = text.split()
    limit = None
    if len(words) >= 2 and words[-2] == "under":
        limit = _integer(words[-1], "the query's price limit")
        words = words[:-2]
    types = [word for word in words if word in FAMILY_OF]
    if len(types) != 1:
        raise ValueError(f"expected one product type in the query {text!r}, found {len(types)}")
    return Query(
        type=types[0],
        region=region,
        brand=next((word for word in words if word in BRANDS), None),
        colour=next((word for word in words if word in COLOURS), None),
        limit=limit,
        new="new" in words,
    )


def _parse_ad(fields: dict[str, str]) -> Ad:
    colour, _, kind = fields["Ad"].partition(" ")
    if kind not in FAMILY_OF or fields["Brand"] not in BRANDS:
        raise ValueError(f"unknown product type {kind!r} or brand {fields['Brand']!r} in the ad")
    return Ad(
        type=kind,
        brand=fields["Brand"],
        colour=colour,
        used=fields["Condition"] == "used",
        price=_integer(fields["Price"], "the ad's price"),
        ships_to=tuple(fields["Ships to"].split(", ")),
    )


def _integer(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"expected a whole number for {what}, got {text!r}")
    return int(text)
