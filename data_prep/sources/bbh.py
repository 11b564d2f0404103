"""BIG-Bench Hard: short reasoning tasks of several kinds. Source: suzgunmirac/BIG-Bench-Hard, MIT licence.

Serves design.md, section Domains (`logic`). A record is `input` and `target`; a file of the original holds them in a list under
`examples`. Give one file, or the folder for all tasks.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Source, text_at

BENCHMARK_WARNING = "BIG-bench asks that its questions stay out of training data: keep these for evaluation."


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The task's input, which holds its options if there are any, and its target."""
    return Item(text_at(record, "input"), text_at(record, "target"))


SOURCE = Source(
    name="bbh",
    title="BIG-Bench Hard",
    summary="Questions of BIG-Bench Hard (suzgunmirac/BIG-Bench-Hard) in ReaLM's RL schema, without routes.",
    domain="logic",
    licence="mit",
    example="bbh",
    hub="lukaemon/bbh:navigate",
    make=make,
    warning=BENCHMARK_WARNING,
    split="test",
)
