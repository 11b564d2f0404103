"""The report's figures, one function each: from a `Run` to a matplotlib `Figure`, or None where the data is missing.

Serves design sections "EAAI" (exposure, both validation curves and their gap) and "MRPV" (components and length by
regime). Guided and unguided keep their colours everywhere; the plain GRPO run is dashed.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from realm_ext.report.curves import draw_and_label, mark_autonomy, mark_rounds, step_axis
from realm_ext.report.method_plots import plot_carry_over, plot_levels, plot_verdicts
from realm_ext.report.reading import REGIMES, Run
from realm_ext.report.rounds import FEW
from realm_ext.report.scalars import Series
from realm_ext.report.style import SMOOTHING, EndLabel, Theme, label_ends, new_figure
from realm_ext.report.summary import interval_of, percent, tasks_of, title_of, validation_series
from realm_ext.report.time_plots import plot_stages, plot_step_time

DPI = 160
COMPONENTS = {
    "score": "Score, all components weighted",
    "outcome": "Outcome: the answer is right",
    "verdict": "Verdict: guessing 0, perfect 1",
    "decisive": "Decisive: guessing 0, perfect 1",
    "format": "Format: the grammar held",
    "consistent": "Consistent with the verdicts",
}
GUIDED_ONLY = ("verdict", "decisive")  # an unguided response judges no routes
HEALTH = {
    "actor/entropy": "Entropy",
    "actor/entropy_loss": "Entropy, at the update",  # the one there is with rollout_correction.bypass_mode
    "actor/grad_norm": "Gradient norm",
    "actor/pg_loss": "Policy loss",
}


def plot_exposure(run: Run, theme: Theme) -> Figure | None:
    """Exposure and the share of guided rollouts by step, and how many routes a guided prompt shows."""
    upper = [
        (name, text, color, style)
        for name, text, color, style in (
            ("realm/schedule", "schedule", theme.quiet, ":"),
            ("realm/exposure", "exposure", theme.ink, "-"),
            ("realm/guided_share", "guided share", theme.guided, "--"),
        )
        if name in run.rl and (name != "realm/schedule" or departs_from_schedule(run.rl))
    ]
    if not upper:
        return None
    shown = run.rl.get("realm/routes_shown")
    ratios = [2, 1] if shown else [1]
    figure, grid = new_figure(
        3.9 if shown else 3.0, nrows=len(ratios), sharex=True, squeeze=False, height_ratios=ratios
    )
    axes = grid[0][0]
    labels = []
    for name, text, color, style in upper:
        series = run.rl[name]
        for part in series.segments():
            axes.plot(part.steps, part.values, style, color=color, linewidth=2.0)
        labels.append(EndLabel(series.steps[-1], series.values[-1], text, color))
    axes.set(ylim=(-0.03, 1.05), ylabel="share")
    mark_rounds(axes, run, theme)
    mark_autonomy(axes, run, theme)
    label_ends(axes, labels)
    if shown:
        lower = grid[1][0]
        for part in shown.segments():
            lower.plot(part.steps, part.values, color=theme.guided, linewidth=2.0, drawstyle="steps-mid")
        lower.set(ylim=(-0.15, max(shown.values) * 1.1 + 0.3), ylabel="routes")
        label_ends(lower, [EndLabel(shown.steps[-1], shown.values[-1], "routes shown", theme.guided)])
    step_axis(grid[-1][0])
    return figure


def plot_rewards(run: Run, theme: Theme) -> Figure | None:
    """Each reward component by step, guided and unguided rollouts apart."""
    control = {name: run.grpo.get(f"realm/unguided/{name}") for name in COMPONENTS}
    control["score"] = control["score"] or run.grpo.get("critic/score/mean")
    names = [n for n in COMPONENTS if any(f"realm/{regime}/{n}" in run.rl for regime in REGIMES)]
    if not names:
        return None
    rows = -(-len(names) // 2)
    figure, grid = new_figure(2.0 * rows + 0.3, nrows=rows, ncols=2, sharex=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        lines: list[tuple[str, Series | None, str, str]] = [
            (regime, run.rl.get(f"realm/{regime}/{name}"), theme.of_regime(regime), "-")
            for regime in REGIMES
            if regime == "guided" or name not in GUIDED_ONLY
        ]
        if name not in GUIDED_ONLY:
            lines.append(("GRPO", control[name], theme.control, "--"))
        draw_and_label(axes, lines, size=8.0)
        axes.set_title(COMPONENTS[name])
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        step_axis(axes)
    return figure


def plot_validation(run: Run, theme: Theme) -> Figure | None:
    """Validation accuracy by regime, the gap between them, and where the routes are gone."""
    series = {regime: validation_series(run.rl, regime) for regime in REGIMES}
    if not any(series.values()):
        return None
    both = series["guided"] is not None and series["unguided"] is not None
    gap = run.rl.get("realm/val/gap") if both else None
    ratios = [2.4, 1] if gap else [1]
    figure, grid = new_figure(
        4.3 if gap else 3.2, nrows=len(ratios), sharex=True, squeeze=False, height_ratios=ratios
    )
    axes = grid[0][0]
    lines = [(regime, series[regime], theme.of_regime(regime), "-") for regime in REGIMES]
    lines.append(("GRPO, unguided", validation_series(run.grpo, "unguided"), theme.control, "--"))
    for each in grid.flat:
        mark_rounds(each, run, theme, text=each is axes)
        mark_autonomy(each, run, theme, text=each is axes)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("accuracy")
    axes.margins(y=0.12)
    draw_and_label(axes, lines, smooth=False)
    if gap:
        lower = grid[1][0]
        scaled = replace(gap, values=tuple(100 * value for value in gap.values))
        lower.axhline(0, color=theme.quiet, linewidth=1.0)
        for part in scaled.segments():
            lower.fill_between(part.steps, 0, part.values, color=theme.quiet, alpha=0.18, linewidth=0)
        lower.set_ylabel("points")
        lower.margins(y=0.2)
        draw_and_label(lower, [("gap", scaled, theme.ink, "-")], smooth=False)
    step_axis(grid[-1][0])
    return figure


def plot_lengths(run: Run, theme: Theme) -> Figure | None:
    """Mean response length in tokens, by regime."""
    lines = [
        (regime, run.rl.get(f"realm/{regime}/response_length"), theme.of_regime(regime), "-")
        for regime in REGIMES
    ]
    if not any(series for _, series, _, _ in lines):
        lines = [("all", run.rl.get("response_length/mean"), theme.ink, "-")]
    lines.append(("GRPO", run.grpo.get("response_length/mean"), theme.control, "--"))
    if not any(series for _, series, _, _ in lines):
        return None
    figure, axes = new_figure(3.0)
    axes.set_ylabel("tokens")
    axes.margins(y=0.15)
    draw_and_label(axes, lines)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    step_axis(axes)
    return figure


def plot_health(run: Run, theme: Theme) -> Figure | None:
    """What tells a sound training run from a broken one: entropy, gradient norm, policy loss."""
    names = [name for name in HEALTH if name in run.rl]
    if not names:
        return None
    figure, grid = new_figure(2.3, ncols=len(names), squeeze=False)
    for axes, name in zip(grid[0], names, strict=True):
        control = run.grpo.get(name)
        lines = [("ReaLM" if control else "", run.rl[name], theme.ink, "-")]
        draw_and_label(axes, [*lines, ("GRPO", control, theme.control, "--")], size=8.0)
        axes.set_title(HEALTH[name])
        step_axis(axes)
    return figure


def plot_accuracy(run: Run, theme: Theme) -> Figure | None:
    """lm_eval accuracy of each checkpoint, guided and unguided, with 95% intervals."""
    tasks = tasks_of(run)
    if not tasks:
        return None
    figure, grid = new_figure(3.1 * len(tasks), nrows=len(tasks), squeeze=False)
    for axes, task in zip(grid[:, 0], tasks, strict=True):
        evaluations = [e for e in run.evaluations if e.task == task]
        checkpoints = list(dict.fromkeys(e.checkpoint for e in evaluations))
        for e in evaluations:
            x = checkpoints.index(e.checkpoint) + (-0.2 if e.regime == "unguided" else 0.2)
            color = theme.of_regime(e.regime)
            named = e.regime not in axes.get_legend_handles_labels()[1]
            axes.bar(x, e.accuracy, width=0.38, color=color, label=e.regime if named else None)
            interval = interval_of(e)
            if interval is not None:
                for edge, width in ((theme.paper, 3.6), (theme.ink, 1.6)):
                    axes.plot([x, x], [interval.low, interval.high], color=edge, linewidth=width)
            top = max(e.accuracy, interval.high if interval else 0.0)
            axes.text(x, top + 0.015, percent(e.accuracy), ha="center", fontsize=8.5, fontweight="bold")
        axes.set_xticks(range(len(checkpoints)), [title_of(name).replace("$", r"\$") for name in checkpoints])
        axes.set(ylim=(0, 1.08), ylabel="accuracy", xlim=(-0.6, len(checkpoints) - 0.4))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(axis="x", visible=False)
        if len(tasks) > 1:
            axes.set_title(task)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, handlelength=1.0)
    return figure


# ------------------------------ what the metrics say ------------------------------


def departs_from_schedule(log: Mapping[str, Series]) -> bool:
    """Whether the mean exposure of any step was another than the schedule's, as adaptive levels make it."""
    schedule, exposure = log.get("realm/schedule"), log.get("realm/exposure")
    if schedule is None or exposure is None:
        return False
    planned = dict(zip(schedule.steps, schedule.values, strict=True))
    return any(
        abs(value - planned.get(step, value)) > 1e-4
        for step, value in zip(exposure.steps, exposure.values, strict=True)
    )


@dataclass(frozen=True)
class Plot:
    """A figure with what the page says about it.

    `needs` is said when it cannot be drawn; empty for a figure that not every run has, which is then left out.
    """

    name: str
    title: str
    caption: str
    needs: str
    draw: Callable[[Run, Theme], Figure | None]


_SMOOTHED = (
    f"Thick lines are means over {SMOOTHING} steps, thin ones the raw values; they break where a round begins and where no "
    f"rollout of the kind was there. Faint points are means of fewer than {FEW} rollouts."
)
PLOTS = (
    Plot(
        "accuracy",
        "Accuracy of each checkpoint",
        "Measured by lm_eval on held-out questions; bars of the same colour share a regime. Lines are 95% intervals "
        "of each accuracy alone; the table of paired differences is the sharper comparison.",
        "lm_eval results under eval/",
        plot_accuracy,
    ),
    Plot(
        "validation",
        "Validation during RL, guided and unguided",
        "The same questions with all routes in sight and with none. "
        "The gap, guided minus unguided, is what the routes still bring. A jump between two rounds is what was done between "
        "them, SFT on harvested chains for `realm quickstart`, and no effect of RL.",
        "realm/val/guided_acc or realm/val/unguided_acc in rl/tensorboard",
        plot_validation,
    ),
    Plot(
        "carry_over",
        "Does the skill carry over?",
        "Mean log-probability a token of right guided responses, verdicts stripped, behind the bare question. It rises "
        "towards 0 as the model comes to write without routes what it wrote with them; a fall of the entropy alone raises "
        "it too, so read it beside that. Each point is of other responses, as many as the lower panel says, and there is "
        "none at a step without a right guided one. Drawn from four points on.",
        "",
        plot_carry_over,
    ),
    Plot(
        "exposure",
        "How the routes fade",
        "Exposure is how much of the routes the model may see; the guided share is the share of rollouts that see any. "
        "Routes shown is the mean over guided rollouts. The schedule is drawn apart where exposure was not equal to it.",
        "realm/exposure in rl/tensorboard",
        plot_exposure,
    ),
    Plot(
        "levels",
        "Levels of the adaptive exposure",
        "A question is shown its level times the schedule. Lines are mean levels of the questions visited so far, by "
        "domain and by the share of right ones among a question's routes: the lower, the harder. A level falls where "
        "questions are solved without routes and rises where they fail again and again.",
        "",
        plot_levels,
    ),
    Plot(
        "rewards",
        "Reward components by regime",
        f"Means over the rollouts of a step. {_SMOOTHED} Verdict and decisive are 0 and 1 on average over a bank: a step's "
        "mean verdict can pass 1 where the routes it shows are mostly of the rarer kind.",
        "realm/guided/... and realm/unguided/... in rl/tensorboard",
        plot_rewards,
    ),
    Plot(
        "verdicts",
        "How routes are judged",
        "Of the right and of the wrong routes that got a verdict, the share judged right. Informedness is the distance "
        "between the two: 0 is judging without looking (both lines together, however high), 1 is perfect. No verdict is the "
        "share of routes without a readable one. First error: of the wrong routes shown, those whose first wrong step was "
        f"named, beside what the best constant guess for each number of steps would name. {_SMOOTHED}",
        "",
        plot_verdicts,
    ),
    Plot(
        "response_length",
        "Response length",
        f"No component rewards length. {_SMOOTHED}",
        "response lengths in rl/tensorboard",
        plot_lengths,
    ),
    Plot("health", "Health of the training", _SMOOTHED, "actor/... in rl/tensorboard", plot_health),
    Plot(
        "step_time",
        "Where the time of a step went",
        "Mean over all logged steps; saving and validation are spread over the steps. Parts under 1% are in other.",
        "timing_s/step in rl/tensorboard",
        plot_step_time,
    ),
    Plot(
        "stages",
        "Where the time of the whole run went",
        "A reused stage was done by an earlier run; its time is that of then.",
        "stages.json",
        plot_stages,
    ),
)


def render(plot: Plot, run: Run, theme: Theme) -> bytes | None:
    """The figure as a PNG; None when the run has not the data for it."""
    with matplotlib.rc_context(theme.settings()):
        figure = plot.draw(run, theme)
        if figure is None:
            return None
        png = io.BytesIO()
        options: dict[str, Any] = {"format": "png", "dpi": DPI, "metadata": {"Software": None}}
        figure.savefig(png, **options)
    return png.getvalue()
