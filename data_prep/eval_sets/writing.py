"""From problems to the rows and files that the evaluation tasks read; each row depends on (seed, index) alone.

Serves design.md, section Domains. A draw whose mistakes do not make enough different routes is drawn again. Files are
JSON lines with uid, question, gold, rule, long_tail and routes, in the order in which prompts show them.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.eval_sets import finance, law, medicine
from data_prep.eval_sets.chains import Problem, compose, make_bank
from data_prep.outputs import replacing
from reward_fns.content import content_uid
from reward_fns.domains import get
from reward_fns.routes import route_to_mapping


@dataclass(frozen=True)
class EvalSet:
    """How the problems of a set are made, from (seed, index, attempt), and the domain that judges them."""

    make: Callable[[int, int, int], Problem]
    domain: str


SETS = {
    "finance": EvalSet(finance.make_problem, "numeric"),
    "medicine": EvalSet(medicine.make_problem, "choice"),
    "law": EvalSet(law.make_problem, "choice"),
}
SEED = 0
ROWS = 200
_MAX_DRAWS = 200


def make_row(name: str, seed: int, index: int, redraw: int = 0) -> dict[str, Any]:
    """The row at (seed, index) of a set; `redraw` asks for another one, where its question stands elsewhere.

    Raises:
        KeyError: there is no set of that name.
    """
    chosen = SETS[name]
    domain = get(chosen.domain)
    for attempt in range(_MAX_DRAWS):
        problem = chosen.make(seed, index, redraw * _MAX_DRAWS + attempt)
        bank = make_bank(problem, domain)
        if bank.is_enough:
            rng = random.Random(f"eval_sets/{name}/routes/{seed}/{index}/{redraw}")
            return {
                "uid": content_uid(problem.question, bank.gold),
                "question": problem.question,
                "gold": bank.gold,
                "rule": problem.rule,
                "long_tail": problem.long_tail,
                "routes": [route_to_mapping(route) for route in compose(bank, rng)],
            }
    raise RuntimeError(f"no {name} problem with enough routes at index {index} in {_MAX_DRAWS} draws")


def make_rows(name: str, n: int = ROWS, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """`n` rows with different questions."""
    seen: set[str] = set()
    for index in range(n):
        redraw = 0
        while (row := make_row(name, seed, index, redraw))["question"] in seen:
            redraw += 1
        seen.add(row["question"])
        yield row


def write_sets(folder: Path, n: int = ROWS, seed: int = SEED) -> list[Path]:
    """Write `<name>_test.jsonl` for every set into `folder`; the same bytes each time."""
    written = []
    for name in SETS:
        path = folder / f"{name}_test.jsonl"
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in make_rows(name, n, seed))
        with replacing(path) as part:
            part.write(text.encode("utf-8"))
        written.append(path)
    return written
