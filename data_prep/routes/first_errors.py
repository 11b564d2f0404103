"""Asking a teacher, who sees the right answer, which step of a route is the first wrong one.

Serves design.md, sections Words (first error) and Guided CoT distillation (item 7). The teacher is anything that turns
prompts into texts; each route is asked about several times, and only what a majority of all its replies says is
taken. On a route with a right answer the reply "none" says that the reasoning is sound; on one with a wrong answer it
cannot be true, and counts as no majority.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

PROMPT_VERSION = "first-error-1"
NO_STEP = 0
"""What `parse_reply` gives for a reply that finds no wrong step."""

_REPLY = re.compile(r"first wrong step\W{0,8}(\d{1,6}|none)\b", re.IGNORECASE)
_TAIL = 4000


class Teacher(Protocol):
    """Answers prompts in order; an empty text where it failed."""

    def __call__(self, prompts: Sequence[str]) -> Sequence[str]:
        """One reply for each prompt; equal prompts are further samples."""
        ...


@dataclass
class Annotator:
    """Fills `sound` and `first_error` of rows of a bank where neither is known; made for `labels.label_bank`.

    Attributes:
        teacher: who is asked.
        samples: how often for each route; more than half of all have to agree.
        counts: routes by what came of them.
    """

    teacher: Teacher
    samples: int = 3
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"each route is asked about once or more; got samples={self.samples}")

    def __call__(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows, with what the teacher could tell.

        Raises:
            ValueError: the teacher gave another number of replies than prompts.
        """
        asked = [i for i, row in enumerate(rows) if row["sound"] is None and row["first_error"] is None]
        asked = [i for i in asked if rows[i]["steps"]]
        prompts = [text for i in asked for text in [error_prompt(rows[i])] * self.samples]
        replies = list(self.teacher(prompts)) if prompts else []
        if len(replies) != len(prompts):
            raise ValueError(f"the teacher gave {len(replies)} replies to {len(prompts)} prompts")
        annotated = list(rows)
        for number, i in enumerate(asked):
            texts = replies[number * self.samples : (number + 1) * self.samples]
            annotated[i] = self._annotated(rows[i], texts)
        return annotated

    def _annotated(self, row: dict[str, Any], replies: Sequence[str]) -> dict[str, Any]:
        step = majority([parse_reply(reply, len(row["steps"])) for reply in replies])
        if step is None:
            self.counts["no majority"] += 1
        elif step != NO_STEP:
            self.counts["first error found"] += 1
            return row | {"sound": False, "first_error": step - 1}
        elif row["label"]:
            self.counts["sound"] += 1
            return row | {"sound": True}
        else:
            self.counts["no wrong step found, but the answer is wrong"] += 1
        return row


def error_prompt(row: Mapping[str, Any]) -> str:
    """What the teacher is asked: question, right answer, and the route with its steps numbered from 1."""
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(row["steps"], start=1))
    return (
        f"A question, its right answer, and somebody's reasoning in numbered steps.\n\n"
        f"Question:\n{row['question']}\n\nRight answer: {row['gold']}\n\n"
        f"Reasoning:\n{steps}\nTheir answer: {row['answer']}\n\n"
        "Check the steps one after the other. A step is wrong if it states something false, or draws a conclusion that "
        "does not follow from the question and the steps before it. A step that only carries an earlier mistake on is "
        "not the first wrong step.\n"
        "End with one line: `first wrong step: N` with the number of the step, or `first wrong step: none`."
    )


def parse_reply(reply: str, n_steps: int) -> int | None:
    """The step that a reply names last, counted from 1; `NO_STEP` for none; None where it says nothing usable."""
    found = _REPLY.findall(reply[-_TAIL:])
    if not found:
        return None
    if found[-1].lower() == "none":
        return NO_STEP
    step = int(found[-1])
    return step if 1 <= step <= n_steps else None


def says_something(reply: str) -> bool:
    """Whether a reply ends as it was asked to, whatever step it names."""
    return _REPLY.search(reply[-_TAIL:]) is not None


def majority(steps: Sequence[int | None]) -> int | None:
    """What more than half of all replies say, unusable ones included in the half; None if nothing."""
    named = Counter(step for step in steps if step is not None)
    step, count = named.most_common(1)[0] if named else (None, 0)
    return step if 2 * count > len(steps) else None
