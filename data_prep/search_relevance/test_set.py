"""The bundled test set of `search_relevance`, which the evaluation tasks read.

Serves design.md, section Domains. The committed file eval_tasks/data/search_relevance_test.jsonl is what
`python -m data_prep.search_relevance.test_set FILE` writes; a test holds the two together. Its questions are
those of split "test" at `TEST_SEED`, each with a composed set of routes, shown in the order stored.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.search_relevance.datasets import make_rows
from data_prep.search_relevance.generator import LONG_TAIL, Item
from data_prep.search_relevance.route_sets import compose_routes
from reward_fns.content import content_uid
from reward_fns.routes import route_to_mapping

TEST_SPLIT = "test"
TEST_SEED = 0
TEST_ROWS = 1_000
RESERVED_ROWS = 2_000  # of this split, in no training or validation file: larger studies test on all of them
ROUTES_SHOWN = 3


def held_out_rows(n: int = TEST_ROWS, seed: int = TEST_SEED, detail: str = "any") -> list[dict[str, Any]]:
    """`n` rows: uid, question, gold, the deciding rule, whether that is one of the long tail, and routes."""

    def make(index: int, item: Item) -> dict[str, Any]:
        rng = random.Random(f"search_relevance/test_set/{seed}/{index}")
        return {
            "uid": content_uid(item.question, item.decision.label),
            "question": item.question,
            "gold": item.decision.label,
            "rule": item.decision.rule,
            "long_tail": item.decision.rule in LONG_TAIL,
            "routes": [route_to_mapping(route) for route in compose_routes(item, ROUTES_SHOWN, rng, detail)],
        }

    return make_rows(n, seed, TEST_SPLIT, make).rows


def reserved_questions(on_row: Callable[[], object] | None = None) -> frozenset[str]:
    """The questions that are kept for tests, whatever the seed of the data."""
    return make_rows(RESERVED_ROWS, TEST_SEED, TEST_SPLIT, lambda index, item: {}, on_row=on_row).questions


def write_test_set(path: Path, n: int = TEST_ROWS, seed: int = TEST_SEED) -> None:
    """Write the rows as JSON lines; the same bytes each time."""
    lines = (json.dumps(row, separators=(",", ":")) + "\n" for row in held_out_rows(n, seed))
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m data_prep.search_relevance.test_set FILE")
    write_test_set(Path(sys.argv[1]))
