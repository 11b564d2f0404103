"""How the report's figures look: two themes, colours safe for colour-blind readers, labels beside the lines.

Colours are those of Okabe and Ito (2008), darker on white and lighter on black. Lines are named where they end
and those of the control run are dashed, so that a print in grey can be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from realm_ext.report.scalars import Series

WIDTH = 7.2  # inches
SMOOTHING = 5  # steps
LABEL_GAP = 0.085  # of the axes' height


@dataclass(frozen=True)
class Theme:
    """Colours of one theme; `phases` tells the parts of a stacked bar apart."""

    paper: str
    ink: str
    quiet: str
    grid: str
    guided: str
    unguided: str
    control: str
    phases: tuple[str, ...]

    def of_regime(self, regime: str) -> str:
        """The colour of "guided" or "unguided"."""
        return self.guided if regime == "guided" else self.unguided

    def settings(self) -> dict[str, Any]:
        """matplotlib's rcParams for this theme."""
        return {
            "figure.facecolor": self.paper,
            "savefig.facecolor": self.paper,
            "axes.facecolor": self.paper,
            "axes.edgecolor": self.quiet,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "text.color": self.ink,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "grid.color": self.grid,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.family": "DejaVu Sans",
            "font.size": 9.0,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "hatch.linewidth": 0.6,
        }


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    quiet="#6e7781",
    grid="#e4e7eb",
    guided="#d55e00",
    unguided="#0072b2",
    control="#00805c",
    phases=("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7a5195"),
)
DARK = Theme(
    paper="#161b22",
    ink="#e6edf3",
    quiet="#8b949e",
    grid="#2b323b",
    guided="#f5a15b",
    unguided="#5cb8f0",
    control="#3fcf9f",
    phases=("#3a8fd0", "#e69f00", "#1fae83", "#cc79a7", "#7cc7f2", "#e3702a", "#f0e442", "#a884c9"),
)


@dataclass(frozen=True)
class EndLabel:
    """Text to stand where a line ends, in data coordinates."""

    x: float
    y: float
    text: str
    color: str


def new_figure(height: float, **axes: Any) -> tuple[Figure, Any]:
    """A figure of the report's width with the axes of `Figure.subplots(**axes)`; height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(**axes)


def draw_line(axes: Axes, series: Series, color: str, style: str = "-", smooth: bool = True) -> EndLabel:
    """One metric by step: its rolling mean in front of the raw values; returns the end of what was drawn.

    Nothing is joined or smoothed over a place where the series begins anew; faint points stand alone. Short series are
    drawn as they are, with markers. The label's text is left empty.
    """
    is_short = not smooth or len(series.steps) < 2 * SMOOTHING
    end = EndLabel(series.steps[-1], series.values[-1], "", color)
    if series.faint:
        few = series.pick(series.faint)
        axes.plot(few.steps, few.values, "o", color=color, markersize=2.5, alpha=0.35)
    solid = series.pick([i for i in range(len(series.steps)) if i not in series.faint])
    for part in solid.segments():
        if not part.steps:
            continue
        marker = "o" if is_short or len(part.steps) == 1 else ""
        drawn = part.values if is_short else rolling_mean(part.values, SMOOTHING)
        if not is_short:
            axes.plot(part.steps, part.values, "-", color=color, linewidth=0.8, alpha=0.35)
        width = 1.8 if is_short else 2.0
        axes.plot(part.steps, drawn, style, color=color, linewidth=width, marker=marker, markersize=3.5)
        end = EndLabel(part.steps[-1], drawn[-1], "", color)
    return end


def rolling_mean(values: Sequence[float], window: int) -> list[float]:
    """Centred mean over `window` values, over fewer of them at both ends; same length as `values`."""
    half = window // 2
    parts = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [sum(part) / len(part) for part in parts]


def label_ends(axes: Axes, labels: Sequence[EndLabel], size: float = 9.0) -> None:
    """Write each label beside the end of its line, moved up or down where two would overlap.

    Call it last: the limits of the axes must be final.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for inner in (True, False):
        group = [label for label in labels if (label.x - left < 0.85 * (right - left)) == inner]
        group.sort(key=lambda label: label.y)
        heights = spread([(label.y - bottom) / (top - bottom) for label in group], LABEL_GAP)
        for label, height in zip(group, heights, strict=True):
            axes.annotate(
                label.text,
                (label.x, height),
                xycoords=("data", "axes fraction"),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=label.color,
                fontsize=size,
                fontweight="bold",
                annotation_clip=False,
            )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights moved apart to at least `gap`, on average where they were, none below half a gap from 0.

    Heights and gap are shares of the axes' height.
    """
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    if not moved:
        return []
    excess = (sum(moved) - sum(heights)) / len(moved)
    lift = max(0.0, gap / 2 - (moved[0] - excess)) if excess > 0 else 0.0
    return [height - excess + lift for height in moved]


def text_on(color: str) -> str:
    """Black or white, whichever reads better on `color`."""
    red, green, blue = to_rgb(color)
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else "#ffffff"
