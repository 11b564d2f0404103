"""What the report's figures by training step share: labelled lines, the axis of steps, and where the routes are gone.

Serves design section "EAAI" (the last part of training is unguided).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from realm_ext.report.reading import Run
from realm_ext.report.scalars import Series
from realm_ext.report.style import Theme, draw_line, label_ends

Line = tuple[str, Series | None, str, str]
"""Label, metric (None: not drawn), colour and line style."""


def autonomy_step(log: Mapping[str, Series]) -> int | None:
    """First step from which exposure is 0 to the end; None when it never is, or always was."""
    exposure = log.get("realm/exposure")
    if exposure is None or not any(exposure.values) or exposure.values[-1] > 0:
        return None
    last_seen = max(s for s, value in zip(exposure.steps, exposure.values, strict=True) if value > 0)
    return next(step for step in exposure.steps if step > last_seen)


def draw_and_label(axes: Axes, lines: Sequence[Line], size: float = 9.0, smooth: bool = True) -> None:
    """Draw the lines that there are, and name each where it ends; the limits of the axes must be final."""
    ends = [
        replace(draw_line(axes, series, color, style, smooth), text=text)
        for text, series, color, style in lines
        if series is not None
    ]
    label_ends(axes, ends, size)


def mark_autonomy(axes: Axes, run: Run, theme: Theme, text: bool = True) -> None:
    """A dotted line at `autonomy_step`, said in words if `text`."""
    step = autonomy_step(run.rl)
    if step is None:
        return
    axes.axvline(step, color=theme.quiet, linewidth=1.2, linestyle=":")
    if text:
        _say_at(axes, step, f"no routes from step {step}", theme, top=True)


def mark_rounds(axes: Axes, run: Run, theme: Theme, text: bool = True) -> None:
    """A line at each step where a round of RL ends and another begins, with its number if `text`."""
    for number, step in enumerate(run.round_ends, start=2):
        axes.axvline(step, color=theme.quiet, linewidth=1.0, linestyle="-", alpha=0.6)
        if text:
            _say_at(axes, step, f"round {number}", theme, top=False)


def _say_at(axes: Axes, step: int, words: str, theme: Theme, *, top: bool) -> None:
    """Words to the right of a step, at the top or the bottom of the axes."""
    axes.annotate(
        words,
        (step, 1.0 if top else 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2 if top else 4),
        textcoords="offset points",
        va="top" if top else "bottom",
        color=theme.quiet,
        fontsize=8.5,
    )


def step_axis(axes: Axes) -> None:
    """Whole steps along the x axis."""
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
