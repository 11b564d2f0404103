"""Contrast rows: a question with routes to judge, a critique, the verdicts and the answer.

Serves design.md, section Guided CoT distillation, item 5. They come from the domain's expert, which knows labels and
first errors, or from the teacher, whose judgement is kept only when it is the verifier's. They stand in place of the
plain row of their question, so that their share of the rows is the share asked for.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.distill.chains import Drop, Reading, read_response
from data_prep.distill.experts import Expert
from data_prep.distill.flow import Ask, Outcome
from data_prep.distill.prompts import Prompts
from data_prep.distill.questions import Question, label_of
from data_prep.distill.requests import Reply
from data_prep.steps import numbered
from reward_fns.match import Match
from reward_fns.response import Verdict
from reward_fns.routes import Route

ALL_RIGHT_SHARE = 0.2
"""Of the contrast rows, at most so many show right routes only: there is less to tell apart in them."""


@dataclass(frozen=True)
class Contrast:
    """A judged set of routes; `critique` is the thinking, by short names."""

    routes: tuple[Route, ...]
    critique: str
    verdicts: tuple[Verdict, ...]
    answer: str
    source: str


@dataclass(frozen=True)
class Judged:
    """What came of asking for a contrast row: the row's content, or why there is none; and the reply, if one came."""

    contrast: Contrast | None
    drop: Drop | None
    reply: Reply | None = None


def order_of(seed: int, uid: str) -> str:
    """Questions sorted by this are in an order that depends on nothing but them and the seed."""
    return f"{random.Random(f'contrast/{seed}/{uid}').getrandbits(64):016x}{uid}"


def route_rng(seed: int, uid: str) -> random.Random:
    """Draws the expert's routes for the bank and the RL rows: others than for the contrast row of that question."""
    return random.Random(f"bank routes/{seed}/{uid}")


def by_program(question: Question, outcome: Outcome, expert: Expert, k: int, seed: int) -> Judged:
    """Routes, labels and first errors from the domain's expert: the whole set as often as a part of it.

    Fading leaves any number of routes from all down to one: the student has to have seen each.
    """
    rng = random.Random(f"contrast routes/{seed}/{question.uid}")
    try:
        made = expert.route_set(question.text, k, rng)
        shown = rng.sample(made, rng.choice((len(made), rng.randint(1, len(made)))))
        critique = expert.critique(question.text, shown)
    except ValueError as error:
        return Judged(None, Drop("contrast: the expert cannot read the question", str(error)[:200]))
    verdicts = tuple(Verdict(r.label, None if r.label else r.first_error) for r in shown)
    answer = outcome.taken.answer if outcome.taken else question.gold
    return Judged(Contrast(tuple(shown), critique, verdicts, answer, f"program/{expert.name}"), None)


def shown_routes(question: Question, outcome: Outcome, k: int, seed: int) -> tuple[Route, ...]:
    """Up to `k` of a question's routes in random order; any mixture of right and wrong that it has is as likely."""
    rng = random.Random(f"shown/{seed}/{question.uid}")
    usable = list(dict.fromkeys(r for r in (*question.routes, *outcome.routes) if not r.disputed))
    right, wrong = [r for r in usable if r.label], [r for r in usable if not r.label]
    size = min(k, len(usable))
    n_right = rng.randint(max(0, size - len(wrong)), min(size, len(right)))
    shown = [*rng.sample(right, n_right), *rng.sample(wrong, size - n_right)]
    rng.shuffle(shown)
    return tuple(shown)


async def by_teacher(
    question: Question, routes: Sequence[Route], ask: Ask, prompts: Prompts, how: Reading
) -> Judged:
    """The teacher judges the routes; kept when every verdict is the label's and the answer is right.

    A wrong step stands in the verdict where the route's first error is known, and must then be the teacher's too, or
    where the teacher gave one.
    """
    answer = await ask(prompts.contrast(question.uid, question.text, routes))
    reply = answer if isinstance(answer, Reply) else None
    read = read_response(answer, len(routes), how)
    if isinstance(read, Drop):
        return Judged(None, Drop(f"contrast: {read.reason}", read.evidence), reply)
    response, steps, _ = read
    final = response.answer or ""
    verdicts = [verdict for verdict in response.verdicts if verdict is not None]
    reason = None
    if label_of(final, question.gold, how.domain) is not Match.SAME:
        reason, evidence = "answer is wrong", final
    elif [v.right for v in verdicts] != [r.label for r in routes]:
        reason, evidence = "a verdict is not the label", f"{[v.right for v in verdicts]}"
    else:
        for verdict, route in zip(verdicts, routes, strict=True):
            if verdict.step is not None and verdict.step >= len(route.steps):
                reason, evidence = "names a step that is not there", f"{verdict.step + 1}"
            elif route.first_error is not None and verdict.step not in (None, route.first_error):
                reason, evidence = "names another first error", f"{verdict.step}, not {route.first_error}"
    if reason is not None:
        return Judged(None, Drop(f"contrast: {reason}", evidence[:200]), reply)
    told = tuple(
        Verdict(r.label, None if r.label else r.first_error if r.first_error is not None else v.step)
        for v, r in zip(verdicts, routes, strict=True)
    )
    critique = numbered([how.citations.by_name(step) for step in steps])
    return Judged(
        Contrast(tuple(routes), critique, told, how.domain.extract(final) or final, how.source), None, reply
    )
