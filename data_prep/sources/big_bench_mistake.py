"""BIG-Bench Mistake: real chains of thought with the first mistake marked by people. Source: WHGTyen/BIG-Bench-Mistake,
Apache-2.0.

Serves design.md, section Data (`sound`, `first_error`). A record is `input`, `steps`, `answer`, `target` and `mistake_index`,
the 0-based first wrong step or null. What becomes of it:

| answer | mistake_index | label | sound | first_error |
|---|---|---|---|---|
| wrong | a step | false | false | that step |
| wrong | null | false | null: a step must be wrong, nobody marked it | null |
| right | a step | true | false: disputed, left out of the verdict score | that step |
| right | null | true | true | null |

Steps stand as they were written, so the last one usually names the answer.
"""

import re
from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, is_unicode, text_at
from data_prep.sources.bbh import BENCHMARK_WARNING

_BRACKETS = re.compile(r"[\s()\[\]{}<>]+")


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its one chain as a route."""
    gold, answer = text_at(record, "target"), text_at(record, "answer")
    steps, mistake = record.get("steps"), record.get("mistake_index")
    if (
        not isinstance(steps, list)
        or not steps
        or not all(isinstance(s, str) and is_unicode(s) for s in steps)
    ):
        raise Refused("no list of texts under `steps`")
    if mistake is not None and (isinstance(mistake, bool) or mistake not in range(len(steps))):
        raise Refused(f"mistake_index is {mistake!r}, outside the {len(steps)} steps")
    right = ledger.label(answer, gold)
    sound = None if mistake is None and not right else mistake is None
    route = ledger.route(gold, steps, answer, "big_bench_mistake", sound=sound, first_error=mistake)
    return Item(_question(text_at(record, "input"), gold), gold, (route,))


def _question(text: str, gold: str) -> str:
    """The input; two tasks publish bare lists, to which BIG-Bench Hard's instruction is added."""
    if sorted(text.split()) == sorted(gold.split()):
        return f"Sort the following words alphabetically: {text}"
    if _BRACKETS.fullmatch(text):
        return f"Complete the rest of the sequence, so that the brackets are closed properly: {text}"
    return text


SOURCE = Source(
    name="big-bench-mistake",
    title="BIG-Bench Mistake",
    summary=(
        "Questions of BIG-bench tasks, each with a real chain of thought whose first mistake people marked "
        "(WHGTyen/BIG-Bench-Mistake). A right answer with a marked mistake has label true and sound false."
    ),
    domain="logic",
    licence="apache-2.0",
    example="word_sorting.jsonl",
    hub="",
    make=make,
    warning=BENCHMARK_WARNING,
)
