"""A model's response as a route: its reasoning cut into steps, its answer read by the domain.

Serves design.md, sections Words and Guided CoT distillation (item 7). Anything that cannot be shown to a reader as a
route is refused with a reason: no text is guessed at, and none, however long or odd, can do worse than be refused.
"""

import re

from data_prep.steps import split_steps
from reward_fns.domains import Domain
from reward_fns.mrpv import Reason, read_answer
from reward_fns.response import MAX_CHARS, parse_response
from reward_fns.routes import Route

MAX_STEPS = 200
"""A chain of more steps is refused: no prompt has room for it."""

_TAG = re.compile(r"</?(?:think|verdicts|answer)>")
_WHY = {
    Reason.NO_ANSWER: "no answer",
    Reason.UNCLOSED_ANSWER: "answer not closed",
    Reason.UNREADABLE_ANSWER: "answer not readable",
    Reason.SEVERAL_ANSWERS: "several answers",
    Reason.TOO_LONG: f"longer than {MAX_CHARS} characters",
}


def read_route(text: str, gold: str, domain: Domain, source: str, *, truncated: bool = False) -> Route | str:
    """The route that an unguided response is, labelled by the domain; or the reason why it is none.

    Args:
        text: the whole response.
        gold: the question's gold answer.
        domain: reads and compares answers.
        source: the writer's name, the route's `source`.
        truncated: whether the writer ran into its token limit.
    """
    if truncated:
        return "cut off at the token limit"
    response = parse_response(text, 0)
    answer, why = read_answer(response, domain)
    if answer is None:
        return _WHY.get(why or Reason.NO_ANSWER, "no answer")
    reasoning = response.think if response.think is not None else text[: text.find("<answer>")]
    if _TAG.search(reasoning):
        return "a tag of the grammar inside the reasoning"
    if not _is_unicode(reasoning + answer):
        return "half a surrogate pair, which no file can hold"
    steps = split_steps(reasoning)
    if not steps:
        return "no reasoning"
    if len(steps) > MAX_STEPS:
        return f"more than {MAX_STEPS} steps"
    return Route(tuple(steps), answer, domain.equivalent(answer, gold), None, None, source)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
