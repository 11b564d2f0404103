"""The command `realm report`: reads a run folder, writes the page and the PNGs, prints the tables."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from realm_ext.report.page import Picture, build_page
from realm_ext.report.plots import PLOTS, render
from realm_ext.report.reading import Run, read_run
from realm_ext.report.style import DARK, LIGHT
from realm_ext.report.summary import (
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
    summarize,
    tasks_of,
    title_of,
    trace_tables,
)

PAGE = "index.html"


def report(
    run_dir: Annotated[Path, typer.Argument(help="The folder of a run: rl/, eval/, stages.json.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; RUN_DIR/report when left out.")] = None,
) -> None:
    """Write a run's curves, comparisons and times as one HTML page and PNGs, and print the tables."""
    try:
        run = read_run(run_dir)
        summary = summarize(run)
        page = write_report(run, summary, out or run_dir / "report")
    except OSError as error:
        typer.echo(f"realm report: {error}", err=True)
        raise typer.Exit(1) from None
    print_summary(run, summary, Console())
    typer.echo(f"report: {page}")


def write_report(run: Run, summary: Summary, folder: Path) -> Path:
    """Write `index.html` and one PNG for each figure that could be drawn; returns the page's path.

    A PNG of an earlier report whose figure can no longer be drawn is removed.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [Picture(plot, render(plot, run, LIGHT), render(plot, run, DARK)) for plot in PLOTS]
    for picture in pictures:
        path = folder / f"{picture.plot.name}.png"
        if picture.light is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(picture.light)
    page = folder / PAGE
    page.write_text(build_page(run, summary, pictures), encoding="utf-8")
    return page


def print_summary(run: Run, summary: Summary, console: Console) -> None:
    """Accuracies, paired differences, stages, the outcome in a sentence, and what is missing."""
    for task in tasks_of(run):
        console.print(_accuracy_table(run, task))
    if summary.comparisons:
        console.print(_comparison_table(summary))
    if run.stages:
        console.print(_stage_table(run))
    gains = [gains_table(summary.gains)] if summary.gains else []
    for text in (*gains, *(trace_tables(run.traces) if run.traces else ())):
        console.print(_text_table(text))
    console.print(Text(summary.headline, style="bold"))
    for note in summary.notes:
        console.print(Text(f"- {note}", style="dim"))


def _text_table(text: TextTable) -> Table:
    title, words, numbers, rows = text
    table = _table(title, *words)
    for column in numbers:
        table.add_column(column, justify="right")
    for row in rows:
        _add_row(table, *row)
    return table


def _accuracy_table(run: Run, task: str) -> Table:
    table = _table(f"Accuracy, {task}, {ONE_RUN}", "Checkpoint", "Regime")
    for column in ("Accuracy", "95% interval", "Questions"):
        table.add_column(column, justify="right")
    for e in run.evaluations:
        if e.task == task:
            n = "-" if e.n is None else str(e.n)
            interval = percent_interval(interval_of(e))
            _add_row(table, title_of(e.checkpoint), e.regime, percent(e.accuracy), interval, n)
    return table


def _comparison_table(summary: Summary) -> Table:
    table = _table(f"Paired differences, points, {ONE_RUN}", "Difference", "Regime")
    for column in ("Points", "95% interval", "Up/down", "p"):
        table.add_column(column, justify="right")
    table.add_column("Reading")
    several = len({c.task for c in summary.comparisons}) > 1
    for c in summary.comparisons:
        name = f"{title_of(c.after)} - {title_of(c.before)}"
        _add_row(
            table,
            f"{name}, {c.task}" if several else name,
            c.regime,
            points(c.found.value),
            points_interval(c.found.interval),
            f"{c.gained}/{c.lost}",
            c.p_shown,
            c.reading,
        )
    return table


def _stage_table(run: Run) -> Table:
    table = _table("Stages", "Stage", "Status")
    table.add_column("Time", justify="right")
    table.add_column("Detail")
    for stage in run.stages:
        detail = "; ".join(f"{key} {value}" for key, value in stage.detail.items())
        _add_row(table, stage.name, stage.status, duration(stage.seconds), detail)
    table.add_section()
    _add_row(table, "All stages", "", duration(sum(stage.seconds for stage in run.stages)), "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _add_row(table: Table, *cells: str) -> None:
    """As plain text: rich would read square brackets in names from files as markup."""
    table.add_row(*(Text(cell) for cell in cells))
