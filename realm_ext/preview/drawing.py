"""The pictures of `realm preview`: one config in detail, or several beside each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from realm_ext.preview.levels import RATES
from realm_ext.preview.planning import PERCENTILES, Preview, StepView
from realm_ext.report.style import EndLabel, Theme, label_ends, new_figure

STYLES = ("-", "--", "-.", ":")


def draw(found: Preview, theme: Theme, path: Path) -> None:
    """Over the steps: shares (exposure, guided, of each route), routes, prompt lengths against the budget."""
    with matplotlib.rc_context(theme.settings()):
        figure, (shares, routes, lengths) = new_figure(6.0, nrows=3, sharex=True, height_ratios=[2, 1, 1.6])
        steps = [view.step for view in found.steps]
        shares.plot(
            steps, [v.exposure for v in found.steps], color=theme.ink, linewidth=2.0, label="exposure"
        )
        for style, level in zip(STYLES[1:], found.levels, strict=False):
            shares.plot(
                steps, level.exposure, style, color=theme.unguided, label=f"adaptive: {RATES[level.rate]}"
            )
        _draw_guided(shares, found.steps, "guided_share", theme.guided, "--", "guided share")
        if _is_cut(found):
            _draw_guided(shares, found.steps, "steps_shown", theme.control, ":", "shown of each route")
        shares.set(ylim=(-0.03, 1.05), ylabel="share")
        shares.legend(frameon=False, loc="upper right")
        _draw_guided(routes, found.steps, "routes", theme.guided, "-")
        routes.set(ylabel="routes", ylim=(-0.15, None))
        _draw_lengths(lengths, found, theme)
        _save(figure, lengths, path)


def draw_beside(variants: Sequence[tuple[str, Preview]], theme: Theme, path: Path) -> None:
    """Over the steps, a line for each variant: exposure, guided share, routes, and where any is cut, of each route."""
    panels = {"exposure": "exposure", "guided_share": "guided share", "routes": "routes"}
    if any(_is_cut(found) for _, found in variants):
        panels["steps_shown"] = "of each route"
    with matplotlib.rc_context(theme.settings()):
        figure, all_axes = new_figure(1.0 + 1.5 * len(panels), nrows=len(panels), sharex=True)
        for axes, (name, text) in zip(all_axes, panels.items(), strict=True):
            for number, (title, found) in enumerate(variants):
                color, style = theme.phases[number % len(theme.phases)], STYLES[number % len(STYLES)]
                _draw_guided(axes, found.steps, name, color, style, title)
            top = max([1.0, *(getattr(view, name) for _, found in variants for view in found.steps)])
            axes.set(ylabel=text, ylim=(-0.05 * top, 1.08 * top))
        handles, titles = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, titles, frameon=False, loc="outside upper left", ncols=2, fontsize=8.0)
        _save(figure, all_axes[-1], path)


def _is_cut(found: Preview) -> bool:
    """Whether any route loses steps."""
    return any(view.guided_share and view.steps_shown < 1.0 for view in found.steps)


def _draw_guided(
    axes: Any, views: Sequence[StepView], name: str, color: str, style: str, label: str | None = None
) -> None:
    """One attribute of the views; `routes` and `steps_shown` only where somebody is guided."""
    shown = [view for view in views if view.guided_share or name in ("exposure", "guided_share")]
    steps, values = [view.step for view in shown], [getattr(view, name) for view in shown]
    axes.plot(steps, values, style, color=color, linewidth=1.8, label=label)


def _draw_lengths(axes: Any, found: Preview, theme: Theme) -> None:
    axes.axhline(found.budget, color=theme.quiet, linestyle=":", linewidth=1.4)
    longest = max([found.budget, *(view.percentiles[-1] for view in found.lengths)])
    axes.set(ylabel="prompt tokens", ylim=(0, longest * 1.15))
    ends = [EndLabel(axes.get_xlim()[1], found.budget, "budget", theme.quiet)]
    for i, percentile in enumerate(PERCENTILES):
        points = [(view.step, view.percentiles[i]) for view in found.lengths]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=theme.guided, alpha=0.4 + 0.3 * i, markersize=3)
            ends.append(EndLabel(*points[-1], f"p{percentile}", theme.guided))
    label_ends(axes, ends, 8.0)


def _save(figure: Figure, lowest: Any, path: Path) -> None:
    lowest.set_xlabel("training step")
    lowest.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    figure.savefig(path, dpi=100, metadata={"Software": None})
