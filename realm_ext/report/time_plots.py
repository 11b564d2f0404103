"""The report's figures about time: where a step's went, and where the whole run's went.

Serves the issue's question "where the time went"; `plots` lists them with the others.
"""

from collections.abc import Mapping
from itertools import cycle

from matplotlib.figure import Figure

from realm_ext.report.reading import Run
from realm_ext.report.scalars import Series
from realm_ext.report.style import Theme, new_figure, text_on
from realm_ext.report.summary import duration

PHASES = {
    "gen": "generate",
    "reward": "reward",
    "old_log_prob": "old log-probs",
    "ref": "reference log-probs",
    "values": "values",
    "adv": "advantages",
    "update_critic": "update critic",
    "update_actor": "update actor",
    "update_weights": "sync weights",
    "save_checkpoint": "save checkpoint",
}
SMALL_PHASE = 0.01  # of the longest bar; smaller ones join "other"


def plot_step_time(run: Run, theme: Theme) -> Figure | None:
    """Where the time of a mean step went, validation included, for each run."""
    bars = {
        title: phase_seconds(log)
        for title, log in (("ReaLM", run.rl), ("GRPO", run.grpo))
        if any(log.get("timing_s/step", Series((), ())).values)
    }
    if not bars:
        return None
    longest = max(sum(phases.values()) for phases in bars.values())
    bars = {title: _join_small(phases, SMALL_PHASE * longest) for title, phases in bars.items()}
    order = [*PHASES.values(), "validate", "other"]
    names = [name for name in order if any(name in phases for phases in bars.values())]
    colors = dict(zip([n for n in names if n != "other"], cycle(theme.phases), strict=False))
    colors["other"] = theme.quiet
    figure, axes = new_figure(1.45 + 0.55 * len(bars))
    for row, phases in enumerate(bars.values()):
        left = 0.0
        for name in names:
            width = phases.get(name, 0.0)
            label = name if row == 0 or name not in next(iter(bars.values())) else None
            axes.barh(
                row, width, left=left, height=0.6, color=colors[name], edgecolor=theme.paper, label=label
            )
            if width > 0.075 * longest:
                color = text_on(colors[name])
                axes.text(left + width / 2, row, f"{width:.1f}", ha="center", va="center", color=color)
            left += width
        axes.text(left + 0.01 * longest, row, f"{left:.1f} s", va="center", fontweight="bold")
    axes.set(xlabel="seconds a step, mean", xlim=(0, longest * 1.12))
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper left", ncols=min(5, len(names)), frameon=False, handlelength=1.0)
    return figure


def plot_stages(run: Run, theme: Theme) -> Figure | None:
    """How long each stage of the whole run took."""
    if not run.stages:
        return None
    total = sum(stage.seconds for stage in run.stages)
    longest = max(stage.seconds for stage in run.stages) or 1.0
    figure, axes = new_figure(0.75 + 0.32 * len(run.stages))
    for row, stage in enumerate(run.stages):
        reused = stage.status == "reused"
        axes.barh(
            row,
            stage.seconds,
            height=0.62,
            color=theme.paper if reused else theme.unguided,
            edgecolor=theme.unguided,
            hatch="////" if reused else None,
        )
        share = f", {stage.seconds / total:.0%}" if total else ""
        text = f"{duration(stage.seconds)}{share}{', reused' if reused else ''}"
        axes.text(stage.seconds + 0.01 * longest, row, text, va="center")
    # "$" would start a formula in matplotlib, and names come from a file.
    axes.set_yticks(range(len(run.stages)), [stage.name.replace("$", r"\$") for stage in run.stages])
    axes.set(xlabel="seconds", xlim=(0, longest * 1.3))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure


def phase_seconds(log: Mapping[str, Series]) -> dict[str, float]:
    """Mean seconds a step by phase, in verl's order; what verl does not name is "other".

    verl's `step` includes saving, not validation: that one is added on top (trainer/ppo/v1/trainer_base.py).
    """
    steps = log["timing_s/step"]
    n = len(steps.steps)
    phases = {
        text: sum(log[f"timing_s/{name}"].values) / n
        for name, text in PHASES.items()
        if f"timing_s/{name}" in log
    }
    other = sum(steps.values) / n - sum(phases.values())
    if "timing_s/testing" in log:
        phases["validate"] = sum(log["timing_s/testing"].values) / n
    return phases | {"other": max(0.0, other)}


def _join_small(phases: Mapping[str, float], least: float) -> dict[str, float]:
    kept = {name: seconds for name, seconds in phases.items() if seconds >= least and name != "other"}
    other = sum(phases.values()) - sum(kept.values())
    return kept | ({"other": other} if other > 0 else {})
