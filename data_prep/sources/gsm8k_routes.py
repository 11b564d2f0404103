"""GSM8K's example model solutions: test questions, each with the solutions of four models as real routes.

Serves design.md, section Data. A record is `question`, `ground_truth` and, under each model's name, `solution` and
`is_correct`. Steps are the lines before the answer line; labels are the verifier's; soundness and first errors are
unknown. Source: openai/grade-school-math, MIT licence.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, is_unicode, text_at
from data_prep.sources.gsm8k import ANSWER_LINE, read_gold
from reward_fns.routes import Route

SMOKE_WARNING = "These are questions of GSM8K's test split: smoke run only, never a result."


def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
    """The question with its usable solutions, each text once; a solution that is not costs only the route."""
    gold = read_gold(text_at(record, "ground_truth"), ledger)
    routes = tuple(_routes(record, gold, ledger))
    if not routes:
        raise Refused("no usable solution")
    return Item(text_at(record, "question"), gold, routes, split="test")


def _routes(record: Mapping[str, Any], gold: str, ledger: Ledger) -> Iterator[Route]:
    texts: set[str] = set()
    for model, published in record.items():
        if not isinstance(published, dict):
            continue
        solution = published.get("solution")
        try:
            steps, answer = _split(solution, texts)
        except ValueError as error:
            ledger.refuse(str(error), f"{model}: {solution}")
            continue
        texts.add(str(solution))
        right = published.get("is_correct")
        yield ledger.route(gold, steps, answer, model, published=right if isinstance(right, bool) else None)


def _split(solution: object, seen: set[str]) -> tuple[list[str], str]:
    """Steps and final answer of a solution; raises Refused with the reason where it is refused."""
    if not isinstance(solution, str) or not is_unicode(solution):
        raise Refused("no text under `solution`")
    if solution in seen:
        raise Refused("text of another route")
    lines = [line.strip() for line in solution.splitlines() if line.strip()]
    last = ANSWER_LINE.fullmatch(lines[-1]) if lines else None
    if last is None:
        raise Refused("no answer line (`A: N` or `#### N`) at the end")
    if len(lines) == 1:
        raise Refused("no step before the answer line")
    return lines[:-1], last[1]


SOURCE = Source(
    name="gsm8k-routes",
    title="GSM8K example model solutions",
    summary=(
        "Test questions of GSM8K with the published solutions of four models as a route bank "
        "(openai/grade-school-math). Labels are outcome based; soundness and first errors are unknown."
    ),
    domain="math",
    licence="mit",
    example="example_model_solutions.jsonl",
    hub="",
    make=make,
    tags=("gsm8k",),
    warning=SMOKE_WARNING,
    split="routes",
)
