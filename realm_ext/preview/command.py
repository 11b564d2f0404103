"""The command `realm preview`: prints what `realm_ext.preview.planning` finds, and has it drawn."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from rich.text import Text

from realm_ext.config import RealmConfig, read_config
from realm_ext.exposure import GroupPlan
from realm_ext.preflight import model_problem
from realm_ext.preview.drawing import draw, draw_beside
from realm_ext.preview.planning import (
    PERCENTILES,
    PRINTED_STEPS,
    UNGUIDED,
    Preview,
    look_ahead,
    plan_of,
    render_plan,
    steps_to_view,
)
from realm_ext.preview.sampling import Question, Sample, compose_config, sample_questions
from realm_ext.report.style import LIGHT
from realm_ext.tokens import PromptTokens


@dataclass(frozen=True)
class Variant:
    """A config that was looked at; the first is the one that was asked for, others stand beside it."""

    title: str
    config: DictConfig
    realm: RealmConfig
    sample: Sample
    tokens: PromptTokens
    found: Preview


def preview(
    config: Annotated[str, typer.Argument(help="A recipe's name, or the path of a .yaml file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes to it, as on verl's command line.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("preview.png"),
    questions: Annotated[int, typer.Option(help="Questions to sample.", min=1)] = 200,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Further changes to draw beside it, as in realm.fade=[steps]; may be given again."),
    ] = None,
) -> None:
    """Print and plot what a config's schedule will show at each step, on its own data."""
    try:
        given = overrides or []
        variants = [look_at(config, given, questions, "as given" if beside else "what will be shown")]
        for more in beside or []:
            variants.append(look_at(config, [*given, *shlex.split(more)], questions, more))
        out.parent.mkdir(parents=True, exist_ok=True)
        if beside:
            draw_beside([(variant.title, variant.found) for variant in variants], LIGHT, out)
        else:
            draw(variants[0].found, LIGHT, out)
    except (OSError, TypeError, ValueError, OmegaConfBaseException) as error:
        typer.echo(f"realm preview: {error}", err=True)
        raise typer.Exit(1) from None
    for variant in variants:
        print_table(variant)
    first = variants[0]
    print_notes(first)
    if first.found.levels:
        print_levels(first)
    for title, question, plan in example_prompts(first):
        typer.echo(f"\n--- {title} ---\n{first.tokens.render(render_plan(question, plan, first.realm))}")
    typer.echo(f"\npicture: {out}")


def look_at(name: str, overrides: Sequence[str], questions: int, title: str) -> Variant:
    """Compose a config, read its data and go through its steps.

    Raises:
        OSError, TypeError, ValueError, OmegaConfBaseException: the message says what is wrong with it.
    """
    config = compose_config(name, overrides)
    realm = read_config(config)
    sample = sample_questions(config, questions)
    problem = model_problem(config.actor_rollout_ref.model.path)
    if problem:
        raise ValueError(f"{problem} (prompts are measured with its tokenizer)")
    tokens = PromptTokens(config)
    return Variant(
        title,
        config,
        realm,
        sample,
        tokens,
        look_ahead(config, realm, sample.questions, sample.n_rows, tokens.count),
    )


def print_table(variant: Variant) -> None:
    """What is shown at some of the steps."""
    found = variant.found
    table = Table("step", title=Text(variant.title), title_justify="left")
    for name in ("exposure", "guided", "routes", "steps", *(f"p{p}" for p in PERCENTILES), "too long"):
        table.add_column(name, justify="right")
    lengths = {view.step: view for view in found.lengths}
    printed = steps_to_view(found.steps[-1].step, variant.realm.schedule.get("fade_steps"), PRINTED_STEPS)
    for view in found.steps:
        if view.step not in printed:
            continue
        cells = [f"{view.exposure:.3f}", f"{view.guided_share:.1%}"]
        cells += [f"{view.routes:.2f}", f"{view.steps_shown:.0%}"] if view.guided_share else ["-", "-"]
        length = lengths.get(view.step)
        cells += [str(p) for p in length.percentiles] if length else ["-"] * len(PERCENTILES)
        cells.append(f"{length.over_budget:.1%}" if length else "-")
        table.add_row(str(view.step), *cells)
    Console().print(table)


def print_levels(variant: Variant) -> None:
    """Mean exposure under adaptive levels at some of the steps, and what is assumed."""
    found = variant.found
    table = Table("step", title="adaptive: mean exposure if visits succeed", title_justify="left")
    for level in found.levels:
        table.add_column(f"{level.rate:.0%} of the time", justify="right")
    printed = steps_to_view(found.steps[-1].step, variant.realm.schedule.get("fade_steps"), PRINTED_STEPS)
    for i, view in enumerate(found.steps):
        if view.step in printed:
            table.add_row(str(view.step), *(f"{level.exposure[i]:.3f}" for level in found.levels))
    Console().print(table)
    typer.echo(
        "Levels follow the model's answers and cannot be known ahead: assumed is that every question's visits succeed at "
        f"the same rate. A question is visited about {found.visits:.1f} times in this run; below three visits its "
        "bucket's level counts. All other figures here are taken at the schedule's ceiling."
    )


def print_notes(variant: Variant) -> None:
    """What the columns mean, and what cannot be seen ahead."""
    found = variant.found
    typer.echo(
        "guided: share of rollouts that see routes. routes: how many, and steps: how much of each. "
        f"p{PERCENTILES[0]} to p{PERCENTILES[-1]}: tokens of a guided prompt; too long: share of them over the "
        f"budget of {found.budget}, which lose whole routes.\n"
        f"{len(variant.sample.questions)} questions sampled of {found.n_rows}; longest prompt without routes "
        f"{found.longest_bare} tokens"
        + (
            f", {found.longest_bare - found.budget} over the budget: the run will refuse it"
            if found.longest_bare > found.budget
            else ""
        )
        + "."
    )


def example_prompts(variant: Variant) -> list[tuple[str, Question, GroupPlan]]:
    """Three prompts: guided at the start, guided where exposure has halved, unguided."""
    steps, questions = variant.found.steps, variant.sample.questions
    n = int(variant.config.actor_rollout_ref.rollout.n)
    half = next((v.step for v in steps if v.exposure <= steps[0].exposure / 2), steps[-1].step)
    chosen = []
    for step in dict.fromkeys((steps[0].step, half)):
        plans = ((question, plan_of(question, step, variant.realm, n)) for question in questions)
        guided = next(((question, plan) for question, plan in plans if plan.shown), None)
        if guided:
            chosen.append((f"guided, step {step}, exposure {guided[1].exposure:.2f}", *guided))
    return [*chosen, ("unguided", questions[0], UNGUIDED)]
