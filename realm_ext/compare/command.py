"""The command `realm compare`: reads lm-eval result folders, prints the tables, writes Markdown, JSON and PNGs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from realm_ext.compare.analysis import compare_runs
from realm_ext.compare.baselines import read_baselines
from realm_ext.compare.comparison import Comparison
from realm_ext.compare.differences import Difference, Options
from realm_ext.compare.plots import draw_all
from realm_ext.compare.reading import read_runs
from realm_ext.compare.tables import (
    METHOD,
    Baselines,
    TextTable,
    gap_reading,
    make_tables,
    markdown,
    sentences,
)
from realm_ext.results.statistics import ROUNDS
from realm_ext.stages import write_json

GAP = 2  # columns that the terminal table puts between two of its own
MIN_FIRST, MIN_LONG = 16, 30


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders that lm_eval wrote with --output_path and --log_samples, parents of several, or NAME=FOLDER; "
            "the first is what the others are compared with. FOLDER,FOLDER,... or one NAME given several times: training "
            "runs (seeds) of one arm.",
        ),
    ],
    metric: Annotated[
        list[str] | None, typer.Option(help="Compare by this metric; each task's main one when left out.")
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Compare each run with each, not only with the first.")
    ] = False,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Where documents differ, compare those in both.")
    ] = False,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the tables as a Markdown file.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures as JSON.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder to write the figures to, as PNG.")] = None,
    rounds: Annotated[int, typer.Option(min=100, help="Rounds of bootstrap and swap test.")] = ROUNDS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of both.")] = 0,
) -> None:
    """Compare lm-eval results question by question, and say which differences are more than noise.

    Exit code 1 when runs that were given cannot be compared. Examples: realm compare sft=eval/sft rl=eval/rl --plots figures;
    three seeds an arm: realm compare sft=s1/eval/sft,s2/eval/sft,s3/eval/sft rl=s1/eval/rl,s2/eval/rl,s3/eval/rl
    """
    options = Options(tuple(metric or ()), all_pairs, allow_partial, rounds, seed)
    try:
        read = read_runs(runs)
        found = compare_runs(read.runs, options)
        found.notes[:0] = read.notes
        baselines = read_baselines(found)
        tables, said = make_tables(found, baselines), sentences(found)
        if markdown_file:
            markdown_file.parent.mkdir(parents=True, exist_ok=True)
            lines = [*(f"Not compared: {line}" for line in found.refused), *found.notes]
            markdown_file.write_text(markdown(tables, said, lines), encoding="utf-8")
        if json_file:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            write_json(json_file, as_json(found, baselines, options))
        if plots:
            plots.mkdir(parents=True, exist_ok=True)
            for name, png in draw_all(found, baselines).items():
                (plots / name).write_bytes(png)
    except (ValueError, OSError) as error:
        typer.echo(f"realm compare: {error}", err=True)
        raise typer.Exit(1) from error
    print_comparison(found, tables, said, Console())
    if found.refused:
        raise typer.Exit(1)


def print_comparison(
    found: Comparison, tables: Sequence[TextTable], said: Sequence[str], console: Console
) -> None:
    """The tables, what they say in words, what was not compared, and notes."""
    width = console.width
    for text in tables:
        table, needed = _terminal_table(text, width)
        console.width = max(width, needed)  # a narrow terminal wraps lines: better than a figure cut short
        console.print(Text(text.title, style="bold"))
        console.print(table)
    console.width = width
    for line in said:
        console.print(Text(line, style="bold"))
    for line in found.refused:
        console.print(Text(f"NOT COMPARED: {line}", style="bold red"))
    for line in (*found.notes, METHOD):
        console.print(Text(f"- {line}", style="dim"))


def _terminal_table(text: TextTable, width: int) -> tuple[Table, int]:
    """The table for a terminal of `width` columns, and the width it needs: words fold, numbers are never cut."""
    cells = [text.columns, *(row.cells for row in text.rows)]
    wanted = [max(len(line[place]) for line in cells) for place in range(len(text.columns))]
    spare = width - sum(wanted) - GAP * (len(wanted) + 1)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, heading in enumerate(text.columns):
        is_word = place < text.words or heading == "Reading"
        least = wanted[place]
        if heading == text.long:
            least = max(min(MIN_LONG, least), least + min(0, spare))
        elif place == 0 and not text.long:
            least = max(min(MIN_FIRST, least), least + min(0, spare))
        wanted[place] = least
        table.add_column(
            Text(heading),
            justify="left" if is_word else "right",
            width=least,
            no_wrap=heading == text.long or not is_word,
            overflow="ellipsis" if heading == text.long else "fold",
        )
    for row in text.rows:
        table.add_row(*(Text(cell) for cell in row.cells), style="dim" if row.quiet else None)
    return table, sum(wanted) + GAP * (len(wanted) + 1)


def as_json(found: Comparison, baselines: Baselines, options: Options) -> dict[str, Any]:
    """All that was found as plain values; differences carry their reading."""

    def plain(d: Difference, reading: str) -> dict[str, Any]:
        return {**asdict(d), "difference": d.difference, "reading": reading}

    return {
        "options": asdict(options),
        "runs": list(found.runs),
        "training_runs": dict(found.counts),
        "tasks": {
            task: {
                "version": version,
                "main": list(found.main.get(task, ())),
                "baselines": dict(baselines.get(task, {})),
            }
            for task, version in found.versions.items()
        },
        "groups": {name: list(tasks) for name, tasks in found.groups.items()},
        "scores": [asdict(score) for score in found.scores],
        "differences": [plain(d, d.reading) for d in found.differences],
        "gaps": [plain(d, gap_reading(d)) for d in found.gaps],
        "changed_rules": [plain(d, d.reading) for d in found.changed_rules],
        "parts": [asdict(part) for part in found.parts],
        "part_differences": [plain(d, d.reading) for d in found.part_differences],
        "changes": [asdict(change) for change in found.changes],
        "refused": found.refused,
        "notes": found.notes,
    }
