"""MATH: competition problems whose answer stands in the solution's last box. Source: hendrycks/math, MIT licence.

Serves design.md, section Data. A record is `problem` and `solution` (one JSON file a problem in the original), or
`problem` and `answer`, as in MATH-500.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, text_at
from reward_fns.domains.final_answer import boxes


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The problem with its `answer`, else with what the last box of its solution holds."""
    if "answer" in record:
        return Item(text_at(record, "problem"), text_at(record, "answer"))
    found = boxes(text_at(record, "solution"))
    if not found or not found[-1].text.strip():
        raise Refused("no \\boxed answer in the solution")
    return Item(text_at(record, "problem"), found[-1].text.strip())


SOURCE = Source(
    name="math",
    title="MATH",
    summary="Competition problems of MATH (hendrycks/math) in ReaLM's RL schema, without routes.",
    domain="math",
    licence="mit",
    example="MATH/train",
    hub="EleutherAI/hendrycks_math:algebra",
    make=make,
)
