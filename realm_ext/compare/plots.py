"""The figures of `realm compare`, in the report's style: scores with intervals, differences by rule, autonomy gaps,
changed rules."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from realm_ext.compare.changed_rule import by_checkpoint, title_of_edit
from realm_ext.compare.comparison import Comparison
from realm_ext.compare.differences import Difference, is_share, name_of
from realm_ext.compare.tables import Baselines, names_of_rules
from realm_ext.report.plots import DPI
from realm_ext.report.style import LIGHT, Theme, new_figure

ROW = 0.27  # inches
FRAME = 0.75


def draw_all(found: Comparison, baselines: Baselines) -> dict[str, bytes]:
    """PNG by file name; figures without data are left out."""
    figures: dict[str, Figure | None] = {}
    with matplotlib.rc_context(LIGHT.settings() | {"text.parse_math": False}):  # names may hold a $
        figures["accuracy.png"] = plot_scores(found, baselines, LIGHT)
        figures["gap.png"] = plot_gaps(found, LIGHT)
        figures["changed_rule.png"] = plot_changed_rules(found, LIGHT)
        for task, after, before in dict.fromkeys((d.task, d.after, d.before) for d in found.part_differences):
            name = "".join(
                c if c.isalnum() or c in "-_." else "_" for c in f"parts_{task}_{after}_{before}.png"
            )
            figures[name] = plot_parts(found, task, after, before, LIGHT)
        return {name: _png(figure) for name, figure in figures.items() if figure is not None}


def plot_scores(found: Comparison, baselines: Baselines, theme: Theme) -> Figure | None:
    """The main metric of every run with its 95% interval, task by task; baselines as grey lines."""
    panels = [
        (task, [s for s in found.scores if s.task == task and (s.metric, s.filter) == found.main[task]])
        for task in (*found.groups, *found.versions)
        if task in found.main
    ]
    panels = [
        (task, scores)
        for task, scores in panels
        if scores and all(is_share(s.value, s.stderr) for s in scores)
    ]
    if not panels:
        return None
    heights = [len(scores) for _, scores in panels]
    figure, grid = new_figure(
        ROW * sum(heights) + FRAME * len(panels),
        nrows=len(panels),
        sharex=True,
        squeeze=False,
        height_ratios=[h + 1 for h in heights],
    )
    for axes, (task, scores) in zip(grid[:, 0], panels, strict=True):
        color = theme.of_regime("guided" if task.endswith("_guided") else "unguided")
        for place, score in enumerate(scores):
            if score.interval:
                axes.plot([score.interval.low, score.interval.high], [place] * 2, color=color, linewidth=2.0)
            axes.plot(score.value, place, "o", color=color, markersize=5.5)
        for turn, (name, value) in enumerate(sorted(baselines.get(task, {}).items(), key=lambda b: b[1])):
            axes.axvline(value, color=theme.quiet, linewidth=0.9, linestyle="--")
            axes.annotate(
                name,
                (value, (-0.9, -0.55)[turn % 2]),
                xytext=(2, 0),
                textcoords="offset points",
                color=theme.quiet,
                fontsize=6.5,
                va="center",
                bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.5},
            )
        several = {name: f" ({n} runs)" if n > 1 else "" for name, n in found.counts.items()}
        axes.set_yticks(range(len(scores)), [f"{score.run}{several[score.run]}" for score in scores])
        axes.set(ylim=(len(scores) - 0.4, -1.2), title=f"{task}: {name_of(found.main[task])}")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.margins(x=0.08)
    return figure


def plot_gaps(found: Comparison, theme: Theme) -> Figure | None:
    """Unguided and guided score of each run, and the gap between them with its interval."""
    if not found.gaps:
        return None
    several = len({gap.task for gap in found.gaps}) > 1
    names = [gap.after.removesuffix(", guided") + (f"\n{gap.task}" if several else "") for gap in found.gaps]
    titles = "Without routes (blue), with routes (orange)", "Gap, points"
    return _draw_two_sides(found.gaps, names, titles, theme)


def plot_changed_rules(found: Comparison, theme: Theme) -> Figure | None:
    """New labels found with the edited rules hidden and shown, over all edits and edit by edit, and the difference."""
    checkpoints = by_checkpoint(found)
    chosen = [
        (name, d) for name, several in checkpoints.items() for d in several if d.metric == "acc_affected"
    ]
    if not chosen:
        return None
    names = [(f"{name}: " if len(checkpoints) > 1 else "") + title_of_edit(d.part) for name, d in chosen]
    titles = "Hidden (blue), shown (orange)", "New labels, points"
    return _draw_two_sides([d for _, d in chosen], names, titles, theme)


def plot_parts(found: Comparison, task: str, after: str, before: str, theme: Theme) -> Figure | None:
    """The difference of two runs by rule, and by label, each with its 95% interval."""
    chosen = [d for d in found.part_differences if (d.task, d.after, d.before) == (task, after, before)]
    kinds = {
        kind: [d for d in chosen if d.part.startswith(f"{kind} ")]
        for kind in ("rule", "label")
        if any(d.part.startswith(f"{kind} ") for d in chosen)
    }
    if not kinds:
        return None
    figure, grid = new_figure(
        ROW * len(chosen) + FRAME * len(kinds),
        nrows=len(kinds),
        sharex=True,
        squeeze=False,
        height_ratios=[len(members) + 0.8 for members in kinds.values()],
    )
    rules = names_of_rules(found.sources.get(task, ""))
    for axes, (kind, members) in zip(grid[:, 0], kinds.items(), strict=True):
        _draw_differences(axes, members, theme)
        names = [d.part.partition(" ")[2] for d in members]
        labels = [
            f"{name} {rules[name]} ({d.n})" if kind == "rule" and name in rules else f"{name} ({d.n})"
            for name, d in zip(names, members, strict=True)
        ]
        axes.set_yticks(range(len(members)), labels)
        axes.set(ylim=(len(members) - 0.4, -0.6), title=f"By {kind}: {after} minus {before}, points")
    return figure


def _draw_two_sides(
    differences: Sequence[Difference], names: Sequence[str], titles: tuple[str, str], theme: Theme
) -> Figure:
    """One row a difference: both figures on the left, before in the unguided colour, and the difference on the right."""
    figure, (left, right) = new_figure(
        ROW * len(differences) + FRAME + 0.2, ncols=2, sharey=True, width_ratios=[1.3, 1]
    )
    for place, d in enumerate(differences):
        left.plot(sorted(d.values), [place] * 2, color=theme.grid, linewidth=4.0, solid_capstyle="butt")
        for value, regime in ((d.values[1], "unguided"), (d.values[0], "guided")):
            left.plot(value, place, "o", color=theme.of_regime(regime), markersize=6)
    _draw_differences(right, differences, theme)
    left.set_yticks(range(len(names)), names)
    left.set(ylim=(len(names) - 0.4, -0.6), title=titles[0])
    left.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    left.margins(x=0.1)
    right.set_title(titles[1])
    return figure


def _draw_differences(axes: matplotlib.axes.Axes, differences: Sequence[Difference], theme: Theme) -> None:
    """One row a difference, in points: open where it is within noise."""
    axes.axvline(0, color=theme.quiet, linewidth=1.0)
    for place, d in enumerate(differences):
        color = theme.quiet if d.within_noise else theme.unguided
        if d.interval:
            axes.plot([100 * d.interval.low, 100 * d.interval.high], [place] * 2, color=color, linewidth=1.8)
        face = theme.paper if d.within_noise else color
        axes.plot(100 * d.difference, place, "o", color=color, markerfacecolor=face, markersize=5.5)
    axes.margins(x=0.1)


def _png(figure: Figure) -> bytes:
    png = io.BytesIO()
    metadata: Mapping[str, str | None] = {"Software": None}
    figure.savefig(png, format="png", dpi=DPI, metadata=metadata)
    return png.getvalue()
