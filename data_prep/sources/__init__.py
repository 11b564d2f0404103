"""The registry of sources: what `realm prep NAME` can convert, one module each.

Serves design.md, section Data. To add one, write a module like `gsm8k` and name it here.
"""

from data_prep.sources import (
    arc,
    bbh,
    big_bench_mistake,
    casehold,
    commonsense_qa,
    esci,
    finqa,
    gsm8k,
    gsm8k_routes,
    hendrycks_math,
    medqa,
    mmlu_pro,
)
from data_prep.sources.base import Source

_MODULES = (
    gsm8k,
    gsm8k_routes,
    hendrycks_math,
    esci,
    finqa,
    medqa,
    casehold,
    arc,
    commonsense_qa,
    mmlu_pro,
    bbh,
    big_bench_mistake,
)
SOURCES: dict[str, Source] = {module.SOURCE.name: module.SOURCE for module in _MODULES}
