"""Does a training set hold documents of an evaluation? The command `realm contamination`.

Serves design.md, section Guided CoT distillation, item 6 (overlap with an evaluation set, with the matching
evidence). How texts are compared is said in `data_prep.filters.overlap`; each text of a row is searched by itself.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from data_prep.contamination_sources import (
    EvaluationSets,
    add_file,
    named_file,
    read_tasks,
    strings_of,
    training_files,
    training_rows,
)
from data_prep.filters.overlap import FLOOR, N, Overlap, OverlapIndex
from data_prep.outputs import check_apart, replacing

EXAMPLES_KEPT = 20
EXAMPLES_SHOWN = 3
CONTAMINATED, UNCHECKED = 1, 3


@dataclass(frozen=True)
class Example:
    """One training text that holds an evaluation document; `row` counts from 0."""

    file: str
    row: int
    column: str
    document: int
    whole: bool
    words: int
    span: str


@dataclass
class Findings:
    """What was found of one evaluation set: its documents, those that stand whole, rows, and the strongest examples."""

    documents: set[int] = field(default_factory=set)
    whole: set[int] = field(default_factory=set)
    rows: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class TrainingFile:
    """One file that was searched; `torn` are lines of JSONL that could not be read."""

    path: str
    rows: int = 0
    flagged: int = 0
    torn: int = 0


@dataclass
class Report:
    """All that a check came to."""

    index: OverlapIndex
    files: list[TrainingFile] = field(default_factory=list)
    found: dict[str, Findings] = field(default_factory=lambda: defaultdict(Findings))
    not_checked: Mapping[str, str] = field(default_factory=dict)

    @property
    def contaminated(self) -> bool:
        """Whether any evaluation document was found."""
        return any(findings.documents for findings in self.found.values())

    def as_json(self) -> dict[str, Any]:
        """The report as `--out` writes it."""
        return {
            "n": N,
            "floor": FLOOR,
            "contaminated": self.contaminated,
            "files": [asdict(file) for file in self.files],
            "sets": [
                {
                    "name": name,
                    **asdict(summary),
                    "contaminated_documents": len(self.found[name].documents),
                    "contaminated_whole": len(self.found[name].whole),
                    "contaminating_rows": self.found[name].rows,
                    "examples": [asdict(example) for example in self.found[name].examples],
                }
                for name, summary in self.index.sets.items()
            ],
            "not_checked": dict(self.not_checked),
        }


def search_files(
    files: Sequence[Path], index: OverlapIndex, columns: Sequence[str] = (), progress: Progress | None = None
) -> Report:
    """Search every text of every row; memory does not grow with the rows.

    Args:
        files: JSONL and parquet files.
        index: the evaluation sets.
        columns: names of the columns to search; none: all.
        progress: gets one task a file.

    Raises:
        ValueError: a file that cannot be read, or that has none of the columns.
    """
    report = Report(index)
    for path in files:
        bar = progress.add_task(path.name, total=None) if progress else None
        file, torn = TrainingFile(str(path)), list[int]()
        report.files.append(file)
        for number, row in training_rows(path, torn):
            if row is None:
                continue
            if columns and not any(name in row for name in columns):
                raise ValueError(
                    f"{path}, row {number}: no column {', '.join(columns)}; it has {', '.join(row)}"
                )
            file.rows += 1
            chosen = {name: row[name] for name in columns if name in row} if columns else row
            file.flagged += _search_row(chosen, str(path), number, report)
            if progress is not None and bar is not None and file.rows % 256 == 0:
                progress.update(bar, completed=file.rows)
        file.torn = len(torn)
        if progress is not None and bar is not None:
            progress.update(bar, completed=file.rows, total=file.rows)
    return report


def _search_row(row: Mapping[str, Any], path: str, number: int, report: Report) -> bool:
    """Note what a row holds of the evaluation sets; whether it holds anything."""
    strongest: dict[str, tuple[str, Overlap]] = {}
    for column, text in strings_of(row):
        for overlap in report.index.find_all(text):
            findings = report.found[overlap.dataset]
            findings.documents.add(overlap.document)
            if overlap.whole:
                findings.whole.add(overlap.document)
            known = strongest.get(overlap.dataset)
            if known is None or (overlap.whole, overlap.words) > (known[1].whole, known[1].words):
                strongest[overlap.dataset] = (column, overlap)
    for name, (column, overlap) in strongest.items():
        findings = report.found[name]
        findings.rows += 1
        findings.examples.append(
            Example(path, number, column, overlap.document, overlap.whole, overlap.words, overlap.span)
        )
        findings.examples.sort(key=lambda e: (not e.whole, -e.words))
        del findings.examples[EXAMPLES_KEPT:]
    return bool(strongest)


# ------------------------------ the command ------------------------------


def contamination(
    train: Annotated[
        list[Path], typer.Argument(help="Training data: JSONL and parquet files, or folders of them.")
    ],
    tasks: Annotated[str, typer.Option(help="lm-eval tasks and groups, with commas between.")] = "",
    files: Annotated[
        list[str] | None, typer.Option(help="Evaluation data: a JSONL or parquet file, or NAME=FILE.")
    ] = None,
    include_path: Annotated[list[Path] | None, typer.Option(help="Folder of further lm-eval tasks.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the public sets, as lm_eval's --metadata data=FOLDER.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Search only this column of the training data; all when left out."),
    ] = None,
    question_column: Annotated[
        str | None, typer.Option(help="Column of the evaluation files that holds the question.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use no network: only data that is here.")
    ] = False,
    fail_unchecked: Annotated[
        bool, typer.Option("--fail-unchecked", help="Exit code 3 when a task could not be checked.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
) -> None:
    """Search training data for documents of evaluation tasks and files, and show where they stand.

    Exit code 1 when one is found, 2 when the check itself could not be made. Example: realm contamination data/train.parquet --tasks realm_vertical --offline
    """
    console = Console(soft_wrap=True)
    try:
        paths = training_files(train)
        sets = EvaluationSets()
        names = [name.strip() for name in tasks.split(",") if name.strip()]
        if not names and not files:
            raise ValueError("nothing to check against: give --tasks or --files")
        if out:
            check_report(out, *paths, *(named_file(given)[1] for given in files or ()))
        if names:
            read_tasks(names, include_path or (), data, offline, sets)
        for given in files or ():
            add_file(given, question_column, sets)
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}: {task.completed:.0f} rows"),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            report = search_files(paths, OverlapIndex(sets.texts), column or (), progress)
        report.not_checked = sets.not_checked
        if out:
            with replacing(out) as file:
                file.write(
                    json.dumps(report.as_json(), indent=1, ensure_ascii=False).encode("utf-8", "replace")
                )
    except (ValueError, ImportError, OSError) as error:
        typer.echo(f"realm contamination: {error}", err=True)
        raise typer.Exit(2) from error
    print_report(report, console)
    if report.contaminated:
        raise typer.Exit(CONTAMINATED)
    if fail_unchecked and report.not_checked:
        raise typer.Exit(UNCHECKED)


def check_report(out: Path, *inputs: Path) -> None:
    """Refuse to write the report over an input, or over a file that is no earlier report.

    Raises:
        ValueError: it would be.
    """
    check_apart(out, *inputs)
    if not out.exists():
        return
    with out.open(encoding="utf-8", errors="replace") as file:
        if not re.match(r'{\s*"n": \d+,\s*"floor": ', file.read(100)):
            raise ValueError(f"{out} is there and is no report of this command: give another --out")


def print_report(report: Report, console: Console) -> None:
    """A table by set, examples with their spans, what was not checked, and the outcome in a sentence."""
    table = Table(title="Documents found in the training data", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Evaluation set", overflow="fold", max_width=40)
    table.add_column("Compared by", no_wrap=True)
    for heading in ("Documents", "Found", "Whole", "Training rows"):
        table.add_column(heading, justify="right")
    for name, summary in report.index.sets.items():
        findings = report.found[name]
        compared = "whole text" if summary.templated else f"{N}-grams"
        counts = (summary.documents, len(findings.documents), len(findings.whole), findings.rows)
        table.add_row(Text(name), compared, *map(str, counts))
    if report.index.sets:
        console.print(table)
    for name, findings in report.found.items():
        for example in findings.examples[:EXAMPLES_SHOWN]:
            where = f"{example.file}, row {example.row}, {example.column}"
            what = "the whole" if example.whole else f"{example.words} words"
            console.print(
                Text(f"{name}: {what} of document {example.document} in {where}:\n  {example.span}")
            )
    for name, reason in report.not_checked.items():
        console.print(Text(f"NOT checked: {name} ({reason})", style="yellow"))
    for file in report.files:
        torn = f", {file.torn} torn lines not read" if file.torn else ""
        console.print(
            Text(f"{file.path}: {file.rows} rows, {file.flagged} with an evaluation document{torn}")
        )
    if any(summary.templated for summary in report.index.sets.values()):
        console.print(
            Text("Sets compared by whole text are written from templates: their n-grams are no evidence.")
        )
    found = sum(len(findings.documents) for findings in report.found.values())
    console.print(
        Text(f"Contaminated: {found} evaluation documents stand in the training data.", style="bold red")
        if found
        else Text("Nothing found." if report.index.sets else "Nothing was checked.", style="bold")
    )
