"""CommonsenseQA: everyday questions with five options. Source: tau/commonsense_qa, MIT licence.

Serves design.md, section Domains (`choice`). Its records have the form of ARC's. The published test split has no answers,
so its rows are refused: take `validation`.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources import arc
from data_prep.sources.base import Item, Ledger, Refused, Source


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its lettered options."""
    if not record.get("answerKey"):
        raise Refused("no `answerKey`: the published test split has no answers, take the split validation")
    return arc.make(record, ledger)


SOURCE = Source(
    name="commonsense-qa",
    title="CommonsenseQA",
    summary="Everyday questions of CommonsenseQA with five options, in ReaLM's RL schema, without routes.",
    domain="choice",
    licence="mit",
    example="train_rand_split.jsonl",
    hub="tau/commonsense_qa",
    make=make,
)
