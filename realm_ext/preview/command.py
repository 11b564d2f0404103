"""The command `realm preview`: prints and plots what `realm_ext.preview.planning` finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from realm_ext.config import RealmConfig, read_config
from realm_ext.exposure import GroupPlan
from realm_ext.preview.planning import (
    PERCENTILES,
    LengthView,
    StepView,
    plan_of,
    render_plan,
    steps_to_view,
    view_lengths,
    view_step,
)
from realm_ext.preview.sampling import Question, Sample, compose_config, sample_questions
from realm_ext.report.style import LIGHT, EndLabel, Theme, label_ends, new_figure
from realm_ext.tokens import PromptTokens

DRAWN_STEPS = 120
PRINTED_STEPS = 9
UNGUIDED = GroupPlan(0.0, (), (), ())


@dataclass(frozen=True)
class Preview:
    """All that was found: `steps` for the curves, `lengths` at fewer steps, tokens of the bare prompts."""

    steps: Sequence[StepView]
    lengths: Sequence[LengthView]
    longest_bare: int
    budget: int
    n_rows: int


def preview(
    config: Annotated[str, typer.Argument(help="A recipe's name, or the path of a .yaml file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes to it, as on verl's command line.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("preview.png"),
    questions: Annotated[int, typer.Option(help="Questions to sample.", min=1)] = 200,
) -> None:
    """Print and plot what a config's schedule will show at each step, on its own data."""
    try:
        whole = compose_config(config, overrides or [])
        realm = read_config(whole)
        sample = sample_questions(whole, questions)
        tokens = PromptTokens(whole)
        found = look_ahead(whole, realm, sample, tokens.count)
        out.parent.mkdir(parents=True, exist_ok=True)
        draw(found, LIGHT, out)
    except (OSError, TypeError, ValueError) as error:
        typer.echo(f"realm preview: {error}", err=True)
        raise typer.Exit(1) from None
    print_tables(found, realm, sample)
    n = int(whole.actor_rollout_ref.rollout.n)
    for title, question, plan in example_prompts(sample.questions, found, realm, n):
        typer.echo(f"\n--- {title} ---\n{tokens.render(render_plan(question, plan, realm))}")
    typer.echo(f"\npicture: {out}")


def look_ahead(
    config: DictConfig, realm: RealmConfig, sample: Sample, count: Callable[[Any], int]
) -> Preview:
    """Go through the steps of the run.

    Raises:
        ValueError: the number of steps is not known, or is 0.
    """
    rollout = config.actor_rollout_ref.rollout
    last = config.trainer.total_training_steps
    if last is None:
        last = sample.n_rows // config.data.train_batch_size * config.trainer.total_epochs
    if last < 1:
        raise ValueError(f"the run has {last} steps: data.train_batch_size is larger than the data")
    n, budget = int(rollout.n), int(rollout.prompt_length)
    fade_steps = realm.schedule.get("fade_steps")
    views = [
        view_step(sample.questions, step, realm, n) for step in steps_to_view(last, fade_steps, DRAWN_STEPS)
    ]
    lengths = [
        view_lengths(sample.questions, step, realm, n, count, budget)
        for step in steps_to_view(last, fade_steps, PRINTED_STEPS)
    ]
    longest = max(count(render_plan(question, UNGUIDED, realm)) for question in sample.questions)
    return Preview(views, [view for view in lengths if view], longest, budget, sample.n_rows)


def print_tables(found: Preview, realm: RealmConfig, sample: Sample) -> None:
    """The steps in a table, and what cannot be seen ahead."""
    table = Table("step", title="what will be shown", title_justify="left")
    for name in ("exposure", "guided", "routes", "steps", *(f"p{p}" for p in PERCENTILES), "too long"):
        table.add_column(name, justify="right")
    lengths = {view.step: view for view in found.lengths}
    printed = steps_to_view(found.steps[-1].step, realm.schedule.get("fade_steps"), PRINTED_STEPS)
    for view in found.steps:
        if view.step not in printed:
            continue
        cells = [f"{view.exposure:.3f}", f"{view.guided_share:.1%}"]
        cells += [f"{view.routes:.2f}", f"{view.steps_shown:.0%}"] if view.guided_share else ["-", "-"]
        length = lengths.get(view.step)
        cells += [str(p) for p in length.percentiles] if length else ["-"] * len(PERCENTILES)
        table.add_row(str(view.step), *cells, f"{length.over_budget:.1%}" if length else "-")
    Console().print(table)
    typer.echo(
        "guided: share of rollouts that see routes. routes: how many, and steps: how much of each. "
        f"p{PERCENTILES[0]} to p{PERCENTILES[-1]}: tokens of a guided prompt; too long: share of them over the "
        f"budget of {found.budget}, which lose whole routes.\n"
        f"{len(sample.questions)} questions sampled of {found.n_rows}; longest prompt without routes "
        f"{found.longest_bare} tokens."
    )
    if realm.adaptive.kind != "none":
        typer.echo(
            "realm.adaptive: levels cannot be known ahead; each question is shown at the schedule's ceiling."
        )


def example_prompts(
    questions: Sequence[Question], found: Preview, realm: RealmConfig, n: int
) -> list[tuple[str, Question, GroupPlan]]:
    """Three prompts: guided at the start, guided where exposure has halved, unguided."""
    half = next(
        (v.step for v in found.steps if v.exposure <= found.steps[0].exposure / 2), found.steps[-1].step
    )
    chosen = []
    for step in dict.fromkeys((found.steps[0].step, half)):
        plans = ((question, plan_of(question, step, realm, n)) for question in questions)
        guided = next(((question, plan) for question, plan in plans if plan.shown), None)
        if guided:
            chosen.append((f"guided, step {step}, exposure {guided[1].exposure:.2f}", *guided))
    return [*chosen, ("unguided", questions[0], UNGUIDED)]


def draw(found: Preview, theme: Theme, path: Path) -> None:
    """Three panels over the steps: exposure and guided share, routes, prompt lengths against the budget."""
    with matplotlib.rc_context(theme.settings()):
        figure, (shares, routes, lengths) = new_figure(6.0, nrows=3, sharex=True, height_ratios=[2, 1, 1.6])
        steps = [view.step for view in found.steps]
        for values, text, color, style in (
            ([v.exposure for v in found.steps], "exposure", theme.ink, "-"),
            ([v.guided_share for v in found.steps], "guided share", theme.guided, "--"),
        ):
            shares.plot(steps, values, style, color=color, linewidth=2.0, label=text)
        shares.set(ylim=(-0.03, 1.05), ylabel="share")
        shares.legend(frameon=False, loc="upper right")
        routes.plot(steps, [v.routes for v in found.steps], color=theme.guided, drawstyle="steps-mid")
        routes.set(ylabel="routes", ylim=(-0.15, None))
        _draw_lengths(lengths, found, theme)
        lengths.set_xlabel("training step")
        lengths.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        _save(figure, path)


def _draw_lengths(axes: Any, found: Preview, theme: Theme) -> None:
    axes.axhline(found.budget, color=theme.quiet, linestyle=":", linewidth=1.4)
    axes.set(ylabel="prompt tokens", ylim=(0, found.budget * 1.15))
    ends = [EndLabel(axes.get_xlim()[1], found.budget, "budget", theme.quiet)]
    for i, percentile in enumerate(PERCENTILES):
        points = [(view.step, view.percentiles[i]) for view in found.lengths]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=theme.guided, alpha=0.4 + 0.3 * i, markersize=3)
            ends.append(EndLabel(*points[-1], f"p{percentile}", theme.guided))
    label_ends(axes, ends, 8.0)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
