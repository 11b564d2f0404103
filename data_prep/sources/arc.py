"""ARC: school science questions, mostly with four options. Source: allenai/ai2_arc, CC BY-SA 4.0.

Serves design.md, section Domains (`choice`). A record is `question`, `choices` with `label` and `text`, and `answerKey`, a
letter or a digit; in the original files text and choices stand inside `question` (`stem`, `choices`).
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Source, text_at
from data_prep.sources.options import choice_item, labelled_options


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its options, lettered anew where their keys are digits."""
    inner = record.get("question")
    inner = inner if isinstance(inner, Mapping) else None
    question = text_at(inner, "stem") if inner else text_at(record, "question")
    options = labelled_options((inner or record).get("choices"))
    return choice_item(question, options, text_at(record, "answerKey"), ledger)


SOURCE = Source(
    name="arc",
    title="ARC",
    summary="School science questions of the AI2 Reasoning Challenge, in ReaLM's RL schema, without routes.",
    domain="choice",
    licence="cc-by-sa-4.0",
    example="ARC-Challenge-Train.jsonl",
    hub="allenai/ai2_arc:ARC-Challenge",
    make=make,
    tags=("science",),
)
