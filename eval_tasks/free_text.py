"""The final answer of a response that has no `<answer>` tag, as models give it that were not trained on the grammar.

The metric `acc_flexible` counts it. Read are the forms of `reward_fns.domains.final_answer` (`\\boxed{}`, `Answer: B`,
"the answer is 12", ...) anywhere outside the thinking, else a last line that is an answer by itself, each by the domain's
own reader. Two different final answers are none.
"""

import re
from collections.abc import Iterable

from reward_fns.domains import Domain
from reward_fns.domains.final_answer import final_answer
from reward_fns.symbolic import one_budget

MAX_LINES = 64
"""So many last lines are looked at for a last line that is an answer, and for others that rival it."""

_VERDICTS = re.compile(r"<verdicts>.*?</verdicts>", re.DOTALL)
_TAG = re.compile(r"</?(?:think|verdicts|answer)>")


def free_answer(response: str, domain: Domain) -> str | None:
    """The canonical final answer outside the thinking; None if there is none, several differ, or a block is left open.

    `The answer is (C).` gives C; `A`, `B`, `C` on a line each give None.
    """
    text = _VERDICTS.sub("", response.rpartition("</think>")[2]).strip()
    if _TAG.search(text):
        return None

    lines = [line for line in text.splitlines() if line.strip()][-MAX_LINES:]
    last = domain.extract(lines[-1]) if lines else None

    def differ(one: str, other: str) -> bool:
        return not domain.equivalent(one, other)

    def is_rivalled(answer: str, others: Iterable[str | None]) -> bool:
        return any(_is_like(one, answer) and differ(one, answer) for one in others if one is not None)

    def read(candidate: str) -> str | None:
        if candidate != text:
            return domain.extract(candidate)
        return None if last is None or is_rivalled(last, map(domain.extract, lines[:-1])) else last

    with one_budget():
        # Where no form occurs, it reads the whole text.
        answer = final_answer(text, read, domain.equivalent, differ)
        return None if answer is None or is_rivalled(answer, [last]) else answer


def _is_like(one: str, answer: str) -> bool:
    """Whether a line could be meant as an answer where `answer` is one: of the same kind, in as few words."""
    return _kind(one) == _kind(answer) and len(one.split()) <= len(answer.split())


def _kind(answer: str) -> str:
    if any(character.isdigit() for character in answer):
        return "number"
    return "letter" if len(answer) == 1 else "words"
