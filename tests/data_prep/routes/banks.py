"""Banks and questions for the tests of `realm routes`: small, seeded, with texts that differ."""

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_prep.outputs import write_parquet
from data_prep.schema import BANK_SCHEMA, RL_SCHEMA, bank_row, rl_row
from reward_fns.routes import Route


def question_of(index: int) -> tuple[str, str]:
    """A question and its gold answer."""
    return f"What is {index} + {index}?", str(2 * index)


def make_route(index: int, number: int, label: bool, rng: random.Random, **changes: Any) -> Route:
    """A route of two to five steps; wrong ones often share one answer."""
    gold = 2 * index
    answer = str(gold if label else gold + rng.choice((1, 1, 1, 2, 10)))
    steps = tuple(
        f"part {number} of {index}: {rng.randrange(10**6)} {'x' * rng.randrange(20)}"
        for _ in range(rng.randint(2, 5))
    )
    fields = {"sound": None, "first_error": None, "source": f"model {rng.randrange(2)}"} | changes
    return Route(steps, answer, label, **fields)


def bank_rows(
    n_questions: int, n_routes: int = 8, accuracy: float = 0.5, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Rows of a bank, question by question."""
    rng = random.Random(seed)
    for index in range(n_questions):
        question, gold = question_of(index)
        for number in range(n_routes):
            route = make_route(index, number, rng.random() < accuracy, rng)
            yield bank_row(question, gold, route, domain="math", writer="w")


def rl_rows(n: int, **changes: Any) -> Iterator[dict[str, Any]]:
    """Questions without routes."""
    for index in range(n):
        question, gold = question_of(index)
        yield rl_row(question, gold, domain="math", index=index, split="train", **changes)


def write_bank(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows of `BANK_SCHEMA`."""
    write_parquet(path, rows, BANK_SCHEMA, config="bank", split="train")
    return path


def write_rl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows of `RL_SCHEMA`."""
    write_parquet(path, rows, RL_SCHEMA, config="rl", split="train")
    return path
