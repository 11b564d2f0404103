"""The report as one HTML page: nothing outside it is needed, everything that comes from files is escaped.

Each figure is embedded twice, for light and for dark screens; print takes the light one.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from realm_ext.report.plots import Plot
from realm_ext.report.reading import Run
from realm_ext.report.summary import (
    METHOD,
    ONE_RUN,
    Summary,
    TextTable,
    duration,
    gains_table,
    interval_of,
    percent,
    percent_interval,
    points,
    points_interval,
    tasks_of,
    title_of,
    trace_tables,
)

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Picture:
    """A figure as PNG in both themes; both None when it could not be drawn."""

    plot: Plot
    light: bytes | None
    dark: bytes | None


def build_page(run: Run, summary: Summary, pictures: Sequence[Picture]) -> str:
    """The whole page."""
    sections = [
        _section(f"Accuracy by checkpoint, {ONE_RUN}", _accuracy_tables(run)) if run.evaluations else "",
        _section(f"Paired differences, {ONE_RUN}", _comparison_table(summary)) if summary.comparisons else "",
        _section("Stages of training", _text_tables([gains_table(summary.gains)])) if summary.gains else "",
        *(_figure(picture) for picture in pictures),
        _section("Route traces", _text_tables(trace_tables(run.traces))) if run.traces else "",
        _section("Stages", _stage_table(run)) if run.stages else "",
        _section("Missing or left out", _list(summary.notes)) if summary.notes else "",
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(run.name),
        headline=escape(summary.headline),
        sections="\n".join(section for section in sections if section),
    )


def _accuracy_tables(run: Run) -> str:
    rows = [
        (
            *((e.task,) if len(tasks_of(run)) > 1 else ()),
            title_of(e.checkpoint),
            e.regime,
            percent(e.accuracy),
            percent_interval(interval_of(e)),
            "-" if e.n is None else str(e.n),
        )
        for e in run.evaluations
    ]
    task = ("Task",) if len(tasks_of(run)) > 1 else ()
    return _table((*task, "Checkpoint", "Regime"), ("Accuracy", "95% interval, %", "Questions"), rows)


def _comparison_table(summary: Summary) -> str:
    several = len({c.task for c in summary.comparisons}) > 1
    rows = [
        (
            *((c.task,) if several else ()),
            f"{title_of(c.after)} minus {title_of(c.before)}",
            c.regime,
            c.reading,
            points(c.found.value),
            points_interval(c.found.interval),
            f"{c.gained} / {c.lost}",
            str(c.n),
            c.p_shown,
        )
        for c in summary.comparisons
    ]
    words = (*(("Task",) if several else ()), "Difference", "Regime", "Reading")
    numbers = ("Points", "95% interval", "Gained / lost", "Questions", "p")
    return _table(words, numbers, rows) + f'<p class="quiet">{escape(METHOD)}</p>'


def _stage_table(run: Run) -> str:
    total = sum(stage.seconds for stage in run.stages)
    rows = [
        (
            stage.name,
            stage.status,
            "; ".join(f"{key} {value}" for key, value in stage.detail.items()),
            duration(stage.seconds),
        )
        for stage in run.stages
    ]
    return _table(("Stage", "Status", "Detail"), ("Time",), [*rows, ("All stages", "", "", duration(total))])


def _text_tables(tables: Iterable[TextTable]) -> str:
    return "".join(
        f'<p class="quiet">{escape(title)}</p>' + _table(words, numbers, rows)
        for title, words, numbers, rows in tables
    )


def _figure(picture: Picture) -> str:
    plot = picture.plot
    if picture.light is None or picture.dark is None:
        if not plot.needs:
            return ""
        return _section(plot.title, f'<p class="quiet">Not drawn: needs {escape(plot.needs)}.</p>')
    body = (
        "<figure><picture>"
        f'<source media="screen and (prefers-color-scheme: dark)" srcset="{_data_uri(picture.dark)}">'
        f'<img alt="{escape(plot.title)}" src="{_data_uri(picture.light)}">'
        f"</picture><figcaption>{escape(plot.caption)}</figcaption></figure>"
    )
    return _section(plot.title, body)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(words: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """`words` are the left-aligned columns, `numbers` the right-aligned ones after them."""
    kinds = [""] * len(words) + [' class="number"'] * len(numbers)
    head = "".join(
        f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, (*words, *numbers), strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(kind, cell) for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(kind: str, text: str) -> str:
    if text in ("better", "worse"):
        kind = f' class="{text}"'
    return f"<td{kind}>{escape(text)}</td>"
