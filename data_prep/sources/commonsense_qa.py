"""CommonsenseQA: everyday questions with five options. Source: tau/commonsense_qa, MIT licence.

Serves design.md, section Domains (`choice`). Its records have the form of ARC's. The published test split has no answers,
so its rows are refused: take `validation`.
"""

from data_prep.sources.arc import make
from data_prep.sources.base import Source

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
