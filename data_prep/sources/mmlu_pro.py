"""MMLU-Pro: exam questions of 14 fields with up to ten options. Source: TIGER-Lab/MMLU-Pro, MIT licence.

Serves design.md, section Domains (`choice`). A record is `question`, `options` (a list of texts, in early versions filled up
with `N/A`) and `answer`, a letter, or `answer_index`. It is an evaluation set: its splits are `test` and `validation`.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, text_at
from data_prep.sources.options import choice_item
from reward_fns.domains.choice.letters import LETTERS


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its lettered options, the filling left out."""
    texts = record.get("options")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused("no list of texts under `options`")
    while texts and texts[-1] == "N/A":
        texts = texts[:-1]
    index = record.get("answer_index")
    by_index = LETTERS[index] if isinstance(index, int) and 0 <= index < len(LETTERS) else None
    key = record.get("answer") or by_index
    return choice_item(text_at(record, "question"), list(zip(LETTERS, texts, strict=False)), key, ledger)


SOURCE = Source(
    name="mmlu-pro",
    title="MMLU-Pro",
    summary="Exam questions of MMLU-Pro with up to ten options, in ReaLM's RL schema, without routes.",
    domain="choice",
    licence="mit",
    example="test.parquet",
    hub="TIGER-Lab/MMLU-Pro",
    make=make,
    split="test",
)
