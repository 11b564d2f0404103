"""ESCI, Amazon's Shopping Queries: a query, a product and a human label. Source: amazon-science/esci-data, Apache-2.0.

Serves design.md, section Domains: the public data maps onto the labels of `search_relevance`. The question's text is
not that of the generated data, so the domain's rule engine has no say here; the domain reads answers only. A record
is the published examples table joined with the products table: `query`, `product_title`, `esci_label` and, where
there is any, `product_brand`, `product_color`, `product_bullet_point`, `product_description`, `product_locale`, `split`.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import (
    TRAINING_SPLITS,
    Item,
    Ledger,
    Refused,
    Skipped,
    Source,
    is_unicode,
    text_at,
)

MAX_FIELD_CHARS = 600
"""Longer fields are cut: descriptions run to thousands of characters, and queries rarely turn on their end."""

_FIELDS = {
    "product_title": "Product",
    "product_brand": "Brand",
    "product_color": "Colour",
    "product_bullet_point": "Points",
    "product_description": "Description",
}
_TAG = re.compile(r"<[^<>]{1,200}>")
ASK = "Is the product Exact, Substitute, Complement or Irrelevant for this query?"


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The product's fields under the query, with the label's full name."""
    if record.get("product_locale", "us") != "us":
        raise Skipped("not of the locale us")
    split = record.get("split")
    wanted = "train" if ledger.split in TRAINING_SPLITS else ledger.split
    if split is not None and split != wanted:
        raise Skipped(f"not of the split {wanted}")
    label = text_at(record, "esci_label")
    gold = next((name for name in ledger.domain.labels if label in (name, name[0])), None)
    if gold is None:
        raise Refused(f"esci_label is {label!r}; expected E, S, C, I or a full name")
    if "product_title" not in record:
        raise Refused("no product_title: join the examples with the products (docs/data.md)")
    text_at(record, "product_title")
    lines = [f"Shopping query: {text_at(record, 'query')}"]
    lines += [f"{name}: {text}" for key, name in _FIELDS.items() if (text := _field(record.get(key)))]
    return Item("\n".join([*lines, ASK]), gold, split=split)


def _field(value: object) -> str:
    """A field on one line, without markup, cut at a word."""
    if not isinstance(value, str) or not is_unicode(value):
        return ""
    text = " ".join(html.unescape(_TAG.sub(" ", value)).split())
    return text if len(text) <= MAX_FIELD_CHARS else text[:MAX_FIELD_CHARS].rpartition(" ")[0] + " ..."


SOURCE = Source(
    name="esci",
    title="ESCI Shopping Queries",
    summary=(
        "English query-product pairs of Amazon's Shopping Queries data (amazon-science/esci-data) with one of four "
        "human labels, in ReaLM's RL schema, without routes."
    ),
    domain="search_relevance",
    licence="apache-2.0",
    example="esci.parquet",
    hub="tasksource/esci",
    make=make,
    tags=("search-relevance",),
)
