"""The report's figures of what the methods do inside: verdicts, what carries over, levels of the adaptive exposure.

Serves design sections "MRPV" (is each route judged for what it is?) and "EAAI" (does guided skill carry over, and what
does `per_question` make of each kind of question?). Not every run logs these; `plots` lists them with the others.
Metrics are those of `realm_ext.rollout_metrics`, `realm_ext.carry_over` and `realm_ext.trainer`.
"""

from collections.abc import Mapping
from dataclasses import replace

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from realm_ext.adaptive import BUCKETS
from realm_ext.report.curves import Line, draw_and_label, step_axis
from realm_ext.report.reading import Run
from realm_ext.report.scalars import Series
from realm_ext.report.style import Theme, new_figure

LEAST_POINTS = 4
LEVEL = "realm/adaptive/level/"
RIGHT_ROUTES, WRONG_ROUTES = 2, 7  # of Theme.phases
QUARTERS = (7, 3, 4, 2)  # of Theme.phases, hardest first


def plot_verdicts(run: Run, theme: Theme) -> Figure | None:
    """The share of right and of wrong routes judged right; informedness, missing verdicts and first errors below."""
    log = run.rl
    judged: list[Line] = [
        ("right routes", log.get("realm/verdicts/right_judged_right"), theme.phases[RIGHT_ROUTES], "-"),
        ("wrong routes", log.get("realm/verdicts/wrong_judged_right"), theme.phases[WRONG_ROUTES], "--"),
    ]
    below: list[Line] = [
        ("informedness", informedness(log), theme.ink, "-"),
        ("no verdict", log.get("realm/verdicts/missing"), theme.quiet, "--"),
        ("first error", log.get("realm/first_error_acc"), theme.guided, "-"),
        ("guess of it", log.get("realm/first_error_guess"), theme.guided, ":"),
    ]
    panels = [
        (lines, name, ratio)
        for lines, name, ratio in ((judged, "judged right", 1.6), (below, "share", 1.0))
        if any(series for _, series, _, _ in lines)
    ]
    if not panels:
        return None
    figure, grid = new_figure(
        1.9 * len(panels) + 0.4,
        nrows=len(panels),
        sharex=True,
        squeeze=False,
        height_ratios=[ratio for _, _, ratio in panels],
    )
    for axes, (lines, name, _) in zip(grid[:, 0], panels, strict=True):
        axes.set_ylabel(name)
        if lines is judged:
            axes.set_ylim(-0.03, 1.05)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        else:
            axes.margins(y=0.15)
        draw_and_label(axes, lines)
    step_axis(grid[-1][0])
    return figure


def plot_carry_over(run: Run, theme: Theme) -> Figure | None:
    """Log-probability of guided successes under the unguided prompt, and of how many responses it is the mean.

    None for fewer than `LEAST_POINTS` points: two do not make a trend.
    """
    log_prob = run.rl.get("realm/carry_over/log_prob")
    if log_prob is None or len(log_prob.steps) < LEAST_POINTS:
        return None
    counted = run.rl.get("realm/carry_over/rollouts")
    ratios = [2.4, 1] if counted else [1]
    figure, grid = new_figure(
        3.9 if counted else 3.0, nrows=len(ratios), sharex=True, squeeze=False, height_ratios=ratios
    )
    axes = grid[0][0]
    axes.set_ylabel("log-probability a token")
    axes.margins(y=0.15)
    draw_and_label(axes, [("", log_prob, theme.ink, "-")], smooth=False)
    if counted:
        lower = grid[1][0]
        lower.set(ylim=(0, max(counted.values) * 1.15 + 1), ylabel="responses")
        lower.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        draw_and_label(lower, [("", counted, theme.quiet, "-")], smooth=False)
    step_axis(grid[-1][0])
    return figure


def plot_levels(run: Run, theme: Theme) -> Figure | None:
    """Mean level by difficulty bucket, a panel a domain, beside the schedule; questions visited so far."""
    domains = levels_by_domain(run.rl)
    if not domains:
        return None
    visited = run.rl.get("realm/adaptive/questions")
    count = len(domains) + bool(visited)
    rows = -(-count // 2)
    figure, grid = new_figure(2.2 * rows + 0.4, nrows=rows, ncols=min(2, count), sharex=True, squeeze=False)
    panels = list(grid.flat)
    for axes, (domain, quarters) in zip(panels, domains.items(), strict=False):
        lines: list[Line] = [("schedule", run.rl.get("realm/schedule"), theme.quiet, ":")]
        lines += [
            (_share_text(quarter), series, theme.phases[QUARTERS[quarter % len(QUARTERS)]], "-")
            for quarter, series in quarters.items()
        ]
        axes.set(ylim=(-0.03, 1.05), ylabel="level")
        draw_and_label(axes, lines, size=8.0)
        axes.set_title(domain.replace("$", r"\$"))  # "$" would start a formula in matplotlib
    if visited:
        axes = panels[len(domains)]
        axes.set(ylim=(0, max(visited.values) * 1.08 + 1), ylabel="questions")
        for part in visited.segments():
            axes.plot(part.steps, part.values, "-", color=theme.ink, linewidth=2.0)
        axes.set_title("Visited so far")
    for axes in panels[count:]:
        axes.set_visible(False)
    for axes in grid[-1]:
        step_axis(axes)
    return figure


def informedness(log: Mapping[str, Series]) -> Series | None:
    """Right routes judged right minus wrong ones judged right, at the steps that judged both; None without any."""
    right = log.get("realm/verdicts/right_judged_right")
    wrong = log.get("realm/verdicts/wrong_judged_right")
    if right is None or wrong is None:
        return None
    falsely = dict(zip(wrong.steps, wrong.values, strict=True))
    both = right.pick([i for i, step in enumerate(right.steps) if step in falsely])
    values = (hits - falsely[step] for step, hits in zip(both.steps, both.values, strict=True))
    return replace(both, values=tuple(values)) if both.steps else None


def levels_by_domain(log: Mapping[str, Series]) -> dict[str, dict[int, Series]]:
    """Mean levels by domain and quarter of the share of right routes, as `realm_ext.adaptive.bucket_of` names them."""
    domains: dict[str, dict[int, Series]] = {}
    for name in sorted(log):
        domain, slash, quarter = name.removeprefix(LEVEL).rpartition("/")
        if name.startswith(LEVEL) and slash and quarter.isdecimal():
            domains.setdefault(domain.removeprefix("realm/"), {})[int(quarter)] = log[name]
    return domains


def _share_text(quarter: int) -> str:
    return f"{100 * quarter // BUCKETS} to {100 * (quarter + 1) // BUCKETS}%"
