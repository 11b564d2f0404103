"""What the run will show: the plans of sampled questions at each step, and the prompts that they give.

Serves design section "EAAI". The plans come from `RealmConfig.plan`, as in the run; only adaptive levels
cannot be known ahead, so every question is taken at the schedule's ceiling. Prompts are measured before the length
budget drops routes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from realm_ext.config import RealmConfig
from realm_ext.exposure import GroupPlan
from realm_ext.preview.levels import LevelView, view_levels
from realm_ext.preview.sampling import Question
from realm_ext.prompt import render_messages
from realm_ext.run_length import training_steps
from realm_ext.schedule import build_schedule

PERCENTILES = (50, 90, 99)
MEASURED_PROMPTS = 64  # of one step
DRAWN_STEPS = 120
PRINTED_STEPS = 9
UNGUIDED = GroupPlan(0.0, (), (), ())


@dataclass(frozen=True)
class StepView:
    """One step, over the sampled questions.

    Attributes:
        exposure: by the schedule.
        guided_share: share of rollouts that see routes.
        routes: mean number of routes in a guided prompt; 0 when nobody is guided.
        steps_shown: mean share of a shown route's steps that is shown; 1 when none is cut.
    """

    step: int
    exposure: float
    guided_share: float
    routes: float
    steps_shown: float


@dataclass(frozen=True)
class LengthView:
    """Tokens of the guided prompts of one step: at `PERCENTILES`, and the share of them over the budget."""

    step: int
    percentiles: tuple[int, ...]
    over_budget: float


@dataclass(frozen=True)
class Preview:
    """All that was found.

    Attributes:
        steps: for the curves.
        lengths: at fewer steps, and only where somebody is guided.
        levels: of adaptive exposure at assumed rates of success, at `steps`; empty where there is none.
        visits: how often a question comes in the run.
        longest_bare: tokens of the longest prompt without routes.
        budget: `rollout.prompt_length`.
        n_rows: rows of the training files.
    """

    steps: Sequence[StepView]
    lengths: Sequence[LengthView]
    levels: Sequence[LevelView]
    visits: float
    longest_bare: int
    budget: int
    n_rows: int


def look_ahead(
    config: DictConfig,
    realm: RealmConfig,
    questions: Sequence[Question],
    n_rows: int,
    count: Callable[[Any], int],
) -> Preview:
    """Go through the steps of the run.

    Args:
        questions: a sample of the training data, which has `n_rows` rows.
        count: tokens of chat messages.

    Raises:
        ValueError: the number of steps is not known, or is 0.
    """
    rollout = config.actor_rollout_ref.rollout
    steps_per_epoch = n_rows // config.data.train_batch_size
    last = training_steps(config, n_rows) or 0
    if last < 1 or steps_per_epoch < 1:
        raise ValueError(
            f"the run has no step: data.train_batch_size={config.data.train_batch_size} with {n_rows} rows of data"
        )
    n, budget = int(rollout.n), int(rollout.prompt_length)
    fade_steps = realm.schedule.get("fade_steps")
    viewed = steps_to_view(last, fade_steps, DRAWN_STEPS)
    printed = set(steps_to_view(last, fade_steps, PRINTED_STEPS))
    lengths = [view_lengths(questions, step, realm, n, count, budget) for step in sorted(printed)]
    return Preview(
        steps=[view_step(questions, step, realm, n) for step in sorted(printed | set(viewed))],
        lengths=[view for view in lengths if view],
        levels=view_levels(questions, sorted(printed | set(viewed)), realm, steps_per_epoch),
        visits=last / steps_per_epoch,
        longest_bare=max(count(render_plan(question, UNGUIDED, realm)) for question in questions),
        budget=budget,
        n_rows=n_rows,
    )


def plan_of(question: Question, step: int, realm: RealmConfig, n: int) -> GroupPlan:
    """The plan of one question's group at a step, at the schedule's ceiling."""
    return realm.plan(
        uid=question.uid,
        step=step,
        exposure=build_schedule(realm.schedule)(step),
        n=n,
        routes=question.routes,
        regime=question.regime,
    )


def view_step(questions: Sequence[Question], step: int, realm: RealmConfig, n: int) -> StepView:
    """What is shown at a step, over the questions."""
    plans = [plan_of(question, step, realm, n) for question in questions]
    guided = [(question, plan) for question, plan in zip(questions, plans, strict=True) if plan.shown]
    weights = [sum(plan.guided) for _, plan in guided]
    shares = [
        steps / max(1, len(question.routes[i].steps))
        for question, plan in guided
        for i, steps in zip(plan.shown, plan.shown_steps, strict=True)
    ]
    routes = sum(w * len(plan.shown) for w, (_, plan) in zip(weights, guided, strict=True))
    return StepView(
        step=step,
        exposure=build_schedule(realm.schedule)(step),
        guided_share=sum(weights) / (n * len(questions)),
        routes=routes / sum(weights) if weights else 0.0,
        steps_shown=sum(shares) / len(shares) if shares else 0.0,
    )


def view_lengths(
    questions: Sequence[Question],
    step: int,
    realm: RealmConfig,
    n: int,
    count: Callable[[list[dict[str, object]]], int],
    budget: int,
) -> LengthView | None:
    """Lengths of the guided prompts of a step; None when nobody is guided."""
    plans = ((question, plan_of(question, step, realm, n)) for question in questions)
    guided = [(question, plan) for question, plan in plans if plan.shown][:MEASURED_PROMPTS]
    if not guided:
        return None
    lengths = sorted(count(render_plan(question, plan, realm)) for question, plan in guided)
    ranks = (max(0, math.ceil(len(lengths) * p / 100) - 1) for p in PERCENTILES)
    over = sum(length > budget for length in lengths) / len(lengths)
    return LengthView(step, tuple(lengths[rank] for rank in ranks), over)


def render_plan(question: Question, plan: GroupPlan, realm: RealmConfig) -> list[dict[str, object]]:
    """The messages that a guided rollout of the plan sees; those of an unguided one where nothing is shown."""
    routes = [question.routes[i] for i in plan.shown]
    return render_messages(question.messages, routes, realm.show_answers, plan.shown_steps)


def steps_to_view(last: int, fade_steps: int | None, at_most: int) -> list[int]:
    """Up to `at_most` steps from 1 to `last`, evenly, with `fade_steps` among them."""
    n = min(at_most, last)
    steps = {1 + round(i * (last - 1) / max(1, n - 1)) for i in range(n)}
    return sorted(steps | ({fade_steps} if fade_steps and fade_steps <= last else set()))
