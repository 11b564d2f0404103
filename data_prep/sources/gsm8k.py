"""GSM8K: the questions, without routes. Source: openai/grade-school-math, MIT licence.

Serves design.md, section Data. A record is `question` and `answer`, whose last line is `#### N`.
"""

import re
from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, text_at

ANSWER_LINE = re.compile(r"(?:####|A:)\s*(\S.*)")


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its canonical number."""
    return Item(text_at(record, "question"), read_gold(text_at(record, "answer"), ledger))


def read_gold(solution: str, ledger: Ledger) -> str:
    """The canonical answer of a reference solution that ends in `#### N` or `A: N`.

    Raises:
        Refused: it does not.
    """
    last = ANSWER_LINE.fullmatch(solution.strip().splitlines()[-1].strip())
    gold = ledger.domain.extract(last[1]) if last else None
    if gold is None:
        raise Refused("no readable gold answer (`#### N` or `A: N`) at the end")
    return gold


SOURCE = Source(
    name="gsm8k",
    title="GSM8K",
    summary="Grade-school math questions of GSM8K (openai/grade-school-math) in ReaLM's RL schema, without routes.",
    domain="math",
    licence="mit",
    example="train.jsonl",
    hub="openai/gsm8k:main",
    make=make,
)
