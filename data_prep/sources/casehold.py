"""CaseHOLD: which of five holdings a legal text cites. Source: reglab/casehold, CC BY 4.0 in LexGLUE.

A record is `context`, `endings` (five texts) and `label`, the index of the right one, as in LexGLUE; or, as its authors
publish it, `citing_prompt`, `holding_0` to `holding_4` and `label`.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, text_at
from data_prep.sources.options import choice_item

ASK = "Which holding does the text cite?"
HOLDINGS = 5


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The citing text and the question, with the lettered holdings."""
    holdings: Any = record.get("endings")
    if "citing_prompt" in record:
        text = text_at(record, "citing_prompt")
        holdings = [text_at(record, f"holding_{place}") for place in range(HOLDINGS)]
    else:
        text = text_at(record, "context")
    if not isinstance(holdings, list) or not all(isinstance(one, str) for one in holdings):
        raise Refused("no list of texts under `endings`")
    keys = [str(place) for place in range(len(holdings))]
    options = list(zip(keys, holdings, strict=True))
    return choice_item(f"{text}\n\n{ASK}", options, str(record.get("label")), ledger)


SOURCE = Source(
    name="casehold",
    title="CaseHOLD",
    summary="Citing texts of CaseHOLD with five holdings to choose from, in ReaLM's RL schema, without routes.",
    domain="choice",
    licence="cc-by-4.0",
    example="train.jsonl",
    hub="coastalcph/lex_glue:case_hold",
    make=make,
    tags=("legal",),
)
