"""The picture of the study: accuracy without routes on dev as rollouts go by, and on the test at the end.

Serves docs/study_plan.md. Drawn from the rows alone, by `python -m benchmarks.study.report --write`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.study.analysis import mean_of
from benchmarks.study.rows import Row
from realm_ext.report.style import LIGHT, EndLabel, label_ends, new_figure

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "img" / "study.png"
DPI = 160
Rows = Mapping[str, Mapping[int, Row]]


def mean_curve(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """(rollouts, unguided dev accuracy), mean over the rows at the steps that all of them have.

    A step that stands twice (the end of a round, and the start of the next after SFT) gives two points.
    """
    curves = [_points(row) for row in rows if row.curve]
    shared = [key for key in (curves[0] if curves else {}) if all(key in curve for curve in curves)]
    return [(key[0], fmean(curve[key] for curve in curves)) for key in shared]


def _points(row: Row) -> dict[tuple[float, int], float]:
    a_step = row.rollouts / row.steps
    points: dict[tuple[float, int], float] = {}
    for step, unguided, *_ in row.curve:
        again = int((step * a_step, 0) in points)
        points[step * a_step, again] = unguided
    return points


def draw(rows: Rows, arms: Sequence[str], highlighted: str, samples: int) -> Figure:
    """Both panels for the arms that have rows, in this order; `highlighted` is the claimed arm.

    Raises:
        ValueError: none of the arms has a row.
    """
    present = [name for name in arms if rows.get(name)]
    if not present:
        raise ValueError(f"no rows of {', '.join(arms)}: nothing to draw")
    with matplotlib.rc_context(LIGHT.settings()):
        figure, (left, right) = new_figure(3.4, ncols=2, width_ratios=[1.25, 1])
        labels = []
        most = max((row.rollouts for row in rows.get(highlighted, {}).values()), default=0)
        for name in present:  # with equal rollouts
            curve = mean_curve([row for row in rows[name].values() if row.rollouts <= most])
            if not curve:
                continue
            is_ours = name == highlighted
            color = LIGHT.guided if is_ours else LIGHT.quiet
            xs, ys = zip(*curve, strict=True)
            left.plot(xs, ys, "-" if is_ours else "--", color=color, linewidth=2.2 if is_ours else 1.3)
            labels.append(EndLabel(xs[-1], ys[-1], name, color))
        left.set(xlabel="rollouts", ylabel="accuracy without routes", title="Validation while training")
        left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        for place, name in enumerate(reversed(present)):
            scores = {
                seed: row.scores("unguided") for seed, row in rows[name].items() if "unguided" in row.correct
            }
            if not scores:
                continue
            e = mean_of(scores, samples)
            color = LIGHT.guided if name == highlighted else LIGHT.quiet
            ends = (e.interval.low, e.interval.high) if e.interval else (e.value, e.value)
            errors = [[max(0.0, e.value - ends[0])], [max(0.0, ends[1] - e.value)]]
            right.barh(place, e.value, xerr=errors, color=color, ecolor=LIGHT.ink, height=0.62, capsize=2)
            right.annotate(
                f"{e.value:.1%}",
                (0.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                color=LIGHT.paper,
            )
        right.set_yticks(range(len(present)), list(reversed(present)))
        right.set(xlim=(0, 1), title="Test, at the end")
        right.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        right.grid(axis="y", visible=False)
        label_ends(left, labels)
    return figure


def save(figure: Figure, path: Path = PICTURE) -> None:
    """Write the PNG by rename; the same bytes for the same rows."""
    partial = path.with_suffix(".part.png")
    with matplotlib.rc_context(LIGHT.settings()):
        figure.savefig(partial, dpi=DPI, metadata={"Software": None})
    partial.replace(path)
