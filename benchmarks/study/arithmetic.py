"""A general task beside the domain: addition and subtraction, learned before RL, measured after it.

Serves docs/study_plan.md ("forgetting"). Questions depend on (seed, split, index) alone; those of `test` are in no
training file. Answers are scored by the domain `math`, in the grammar of everything else.
"""

import random
from collections.abc import Collection
from typing import Any

from data_prep.schema import sft_row
from realm_ext.prompt import render_messages
from reward_fns.content import content_uid
from reward_fns.response import render_response

LARGEST = 49


def problem(seed: int, split: str, index: int) -> tuple[str, str, str]:
    """`(question, reasoning, answer)`."""
    rng = random.Random(f"study/arithmetic/{seed}/{split}/{index}")
    first, second = rng.randint(0, LARGEST), rng.randint(0, LARGEST)
    if rng.random() < 0.5:
        return f"What is {first} + {second}?", _by_digits(first, second), str(first + second)
    high, low = max(first, second), min(first, second)
    return f"What is {high} - {low}?", f"{low} + {high - low}: {high}", str(high - low)


def held_out_sums(n: int) -> list[dict[str, Any]]:
    """`n` different questions with uid, question and gold."""
    rows: dict[str, dict[str, Any]] = {}
    index = 0
    while len(rows) < n:
        question, _, answer = problem(0, "test", index)
        rows[question] = {"uid": content_uid(question, answer), "question": question, "gold": answer}
        index += 1
    return list(rows.values())


def sft_rows(n: int, seed: int, split: str, exclude: Collection[str]) -> list[dict[str, Any]]:
    """`n` rows of `SFT_SCHEMA`, none of them about a question in `exclude`."""
    rows: list[dict[str, Any]] = []
    index = 0
    while len(rows) < n:
        question, reasoning, answer = problem(seed, split, index)
        index += 1
        if question in exclude:
            continue
        rows.append(
            sft_row(
                render_messages([{"role": "user", "content": question}], ()),
                render_response(reasoning, (), answer),
                source="program/arithmetic",
                kind="chain",
                uid=content_uid(question, answer),
            )
        )
    return rows


def _by_digits(first: int, second: int) -> str:
    """`37 + 45` as `7 + 5: 12, 30 + 40 + 12: 82`."""
    ones = first % 10 + second % 10
    tens = f"{first // 10 * 10} + {second // 10 * 10} + {ones}"
    return f"{first % 10} + {second % 10}: {ones}, {tens}: {first + second}"
