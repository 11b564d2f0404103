"""FinQA: questions over a page of a financial report. Source: czyssrs/FinQA, MIT licence.

Serves design.md, section Domains (`numeric`). A record has `pre_text`, `table`, `post_text` and `qa` with `question` and
`exe_ans`, what the annotated program gives; on the Hub (rootsautomation/FinQA) these two stand beside the text, and
`exe_ans` is a text. The gold answer is `exe_ans`, not the written `answer`, which is rounded unevenly and sometimes
empty; it says one thing more, whether the result is a percentage, and then the gold answer is written as one: `13.71%`
for 0.1371 beside `14%`. So a bare `13.71` counts where a percentage was asked for. The question asks for three digits that
count: the domain takes what the gold answer rounds to at three or more.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, text_at

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,2})?")
_PERCENT = re.compile(r"(-?[0-9][0-9,]{0,20}(?:\.[0-9]{1,20})?) ?%")
ASK = "Answer with a number of at least three digits that count, or with yes or no."


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """Text, table and question, with the program's result."""
    qa = record.get("qa") or record
    if not isinstance(qa, Mapping):
        raise Refused("no object under `qa`")
    parts = [
        _paragraph(record.get("pre_text")),
        _table(record.get("table")),
        _paragraph(record.get("post_text")),
        f"Question: {text_at(qa, 'question')} {ASK}",
    ]
    return Item("\n\n".join(part for part in parts if part), _gold(qa.get("exe_ans"), qa.get("answer")))


def _paragraph(value: object) -> str:
    sentences = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else []
    return " ".join(text.strip() for text in sentences if isinstance(text, str) and text.strip(" ."))


def _table(value: object) -> str:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Refused("no table: expected a list of rows under `table`")
    return "\n".join(" | ".join(map(str, row)) for row in value if isinstance(row, Sequence))


def _gold(value: object, written: object) -> str:
    """The result of the program; as a percentage where the written answer is one of the same value, give or take its
    last digit."""
    text = "" if isinstance(value, bool) else str(value).strip().lower()
    if text in ("yes", "no"):
        return text
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        percent = _PERCENT.fullmatch(written.strip()) if isinstance(written, str) else None
        if percent is None:
            return _plain(number)
        said = Decimal(percent[1].replace(",", ""))
        near = Decimal(1).scaleb(int(said.as_tuple().exponent))
        of_it = next((n for n in (number.scaleb(2), number) if abs(n - said) <= near), None)
        return _plain(number) if of_it is None else f"{_plain(of_it)}%"
    raise Refused(f"`exe_ans` is neither a number nor yes or no; got {value!r}")


def _plain(number: Decimal) -> str:
    whole = number.to_integral_value()
    return format(whole if number == whole else number, "f")


SOURCE = Source(
    name="finqa",
    title="FinQA",
    summary=(
        "Questions over text and table of financial reports (czyssrs/FinQA), answered by the result of the annotated "
        "program, in ReaLM's RL schema, without routes."
    ),
    domain="numeric",
    licence="mit",
    example="dataset/train.json",
    hub="rootsautomation/FinQA",
    make=make,
    tags=("finance",),
)
