"""General arithmetic beside the domain: facts learned before RL, asked again after it.

Serves docs/study_plan.md ("forgetting"). The facts are the sums of two numbers from 1 to 10, 100 in all; `base` and SFT
have learned them, RL never sees one, and all of them are asked at the end. What is measured is what RL makes a model
forget, so the questions are those of training. Answers are scored by the domain `math`, in the grammar of everything
else.
"""

import random
from typing import Any

from data_prep.schema import sft_row
from realm_ext.prompt import render_messages
from reward_fns.content import content_uid
from reward_fns.response import render_response

LARGEST = 10
SOURCE = "program/arithmetic"


def facts() -> list[dict[str, Any]]:
    """Every fact once, with uid, question, reasoning and gold."""
    made = []
    for first in range(1, LARGEST + 1):
        for second in range(1, LARGEST + 1):
            question, gold = f"What is {first} + {second}?", str(first + second)
            reasoning = f"{first} + {second}: {gold}"
            uid = content_uid(question, gold)
            made.append({"uid": uid, "question": question, "reasoning": reasoning, "gold": gold})
    return made


def sft_rows(n: int, seed: int, split: str) -> list[dict[str, Any]]:
    """`n` rows of `SFT_SCHEMA`: each fact as often as another, in random order."""
    every = facts()
    rng = random.Random(f"study/arithmetic/{seed}/{split}")
    drawn = [fact for _ in range(-(-n // len(every))) for fact in rng.sample(every, len(every))][:n]
    return [
        sft_row(
            render_messages([{"role": "user", "content": fact["question"]}], ()),
            render_response(fact["reasoning"], (), fact["gold"]),
            source=SOURCE,
            kind="chain",
            uid=fact["uid"],
        )
        for fact in drawn
    ]
