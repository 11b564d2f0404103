"""MedQA: questions of medical licensing exams with four or five options. Source: jind11/MedQA, MIT licence.

Serves design.md, section Domains (`choice`). A record is `question`, `options` (`{"A": ...}`, or a list of `key` and
`value`) and `answer_idx`, a letter.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Source, text_at
from data_prep.sources.options import choice_item, labelled_options


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its lettered options."""
    options = labelled_options(record.get("options"))
    return choice_item(text_at(record, "question"), options, record.get("answer_idx"), ledger)


SOURCE = Source(
    name="medqa",
    title="MedQA",
    summary="Medical exam questions of MedQA with four or five options, in ReaLM's RL schema, without routes.",
    domain="choice",
    licence="mit",
    example="train.jsonl",
    hub="GBaker/MedQA-USMLE-4-options",
    make=make,
    tags=("medical",),
)
