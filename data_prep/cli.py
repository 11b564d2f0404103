"""Prepare data: RL, validation and SFT files from generators and public data sets.

Serves design.md, section Data: the command `realm prep`. Each sub-command writes one folder with parquet
files, a dataset card and `provenance.json`, and ends by saying what it kept and dropped.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.contamination_sources import named_file, overlap_filters
from data_prep.outputs import OTHER_LICENCE, WrittenFile, check_apart
from data_prep.search_relevance.datasets import DistilOptions
from data_prep.search_relevance.folder import Sizes, write_folder
from data_prep.sources import SOURCES
from data_prep.sources.base import TRAINING_SPLITS, Source
from data_prep.sources.convert import Options, convert
from data_prep.sources.table import read_map, table_source
from reward_fns import domains

prep = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Prepare data: RL, validation and SFT files from generators and public data sets.",
)
_Result = TypeVar("_Result")
_console = Console(stderr=True)

Out = Annotated[Path, typer.Argument(help="The folder to write.", file_okay=False)]
Given = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="A file (JSONL, JSON, CSV, parquet), a folder of these, or a Hub id owner/name:config.",
    ),
]
Split = Annotated[
    str, typer.Option(help="Split to read, and name of the file; all but train become validation rows.")
]
ValShare = Annotated[float, typer.Option(min=0, max=1, help="Share of the questions that go to val.parquet.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many questions, drawn by their content.")]
Seed = Annotated[int, typer.Option(help="Seed of the draws of --limit and --val-share.")]

NotIn = Annotated[
    list[str] | None,
    typer.Option(help="Leave out questions of this evaluation set: JSONL, parquet or an lm-eval task."),
]


@prep.command("search-relevance")
def search_relevance(
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    n_base: Annotated[int, typer.Option(min=0, help="Rows of base.parquet.")] = 20_000,
    n_sft: Annotated[int, typer.Option(min=0, help="Rows of sft.parquet.")] = 4_000,
    n_sft_val: Annotated[int, typer.Option(min=0, help="Rows of sft_val.parquet.")] = 200,
    n_train: Annotated[int, typer.Option(min=0, help="Rows of train.parquet.")] = 4_000,
    n_val: Annotated[int, typer.Option(min=0, help="Questions of val.parquet (each stands twice).")] = 200,
    routes: Annotated[
        int, typer.Option(min=1, help="Routes of each RL row, and at most in a contrast row.")
    ] = 4,
    brief_share: Annotated[float, typer.Option(min=0, max=1, help="Share of short chains.")] = 0.6,
    contrast_share: Annotated[float, typer.Option(min=0, max=1, help="Share of contrast rows.")] = 0.3,
    keep_rules: Annotated[
        float, typer.Option(min=0, max=1, help="Share of SFT prompts with the rules.")
    ] = 0.0,
    detail: Annotated[
        str, typer.Option(help="How much routes write down: any, or short (the deciding check and one more).")
    ] = "any",
) -> None:
    """Generate the data of the domain search_relevance.

    Example: realm prep search-relevance data/search --seed 1 --n-train 500
    """
    sizes = Sizes(base=n_base, sft=n_sft, sft_val=n_sft_val, train=n_train, val=n_val)
    options = _or_exit(lambda: DistilOptions(brief_share, contrast_share, keep_rules, routes, detail))
    with _progress() as progress:

        def started(split: str, total: int) -> Callable[[], object]:
            task = progress.add_task(split, total=total)
            return lambda: progress.advance(task)

        written = _or_exit(lambda: write_folder(out, seed, sizes, routes, options, started))
    _summary(out, written.files, written.dropped)


@prep.command("table")
def table(
    given: Given,
    out: Out,
    columns: Annotated[
        str,
        typer.Option("--map", help="Columns: question=text,gold=label and maybe routes=chains; + joins."),
    ],
    domain: Annotated[
        str, typer.Option(help="Name of the domain that judges the answers, or the module of one of yours.")
    ],
    split: Split = "train",
    val_share: ValShare = 0.0,
    limit: Limit = None,
    seed: Seed = 0,
    not_in: NotIn = None,
    licence: Annotated[str, typer.Option(help="Licence for the card, as the Hub names it.")] = OTHER_LICENCE,
) -> None:
    """Convert a table of your own: JSONL, CSV or parquet with any column names.

    Example: realm prep table mine.csv data/mine --map question=text,gold=label --domain choice --val-share 0.1
    """

    def make() -> Source:
        try:
            found = domains.load(domain) if {".", ":"} & set(domain) else domains.get(domain)
        except ImportError as error:
            raise ValueError(f"the domain module {domain} cannot be imported: {error}") from error
        return table_source(read_map(columns), found.name, licence)

    options = Options(split, val_share, limit, seed)
    parameters = {"map": columns, "domain": domain, "licence": licence}
    _convert(_or_exit(make), given, out, options, parameters, not_in)


def _add_command(source: Source) -> None:
    """The sub-command of a source: all take the same arguments."""

    def command(
        given: Given,
        out: Out,
        split: Split = source.split,
        val_share: ValShare = 0.0,
        limit: Limit = None,
        seed: Seed = 0,
        not_in: NotIn = None,
    ) -> None:
        _convert(source, given, out, Options(split, val_share, limit, seed), {}, not_in)

    extra = f" --split {source.split}" if source.split not in TRAINING_SPLITS else ""
    example = f"realm prep {source.name} {source.example} data/{source.name.replace('-', '_')}{extra}"
    hub = f"From the Hub: {source.hub}.\n\n" if source.hub else ""
    warning = f"{source.warning}\n\n" if source.warning else ""
    text = f"Convert {source.title} (domain {source.domain}).\n\n{warning}{hub}Example: {example}"
    prep.command(source.name, help=text)(command)


for _source in SOURCES.values():
    _add_command(_source)


def _convert(
    source: Source,
    given: str,
    out: Path,
    options: Options,
    parameters: Mapping[str, Any],
    not_in: Sequence[str] | None,
) -> None:
    if source.warning:
        _console.print(f"[bold yellow]{source.warning}[/]")
    _or_exit(lambda: check_apart(out, *(named_file(name)[1] for name in not_in or ())))
    against = _or_exit(lambda: overlap_filters(not_in or ()))
    if not_in:
        parameters = {**parameters, "not_in": " ".join(not_in)}
    with _progress() as progress:
        task = progress.add_task("rows read", total=None)
        converted = _or_exit(
            lambda: convert(
                source,
                given,
                out,
                options,
                parameters=parameters,
                filters=lambda: against,  # they remember nothing, so every pass can have the same
                on_rows=lambda count: progress.advance(task, count),
            )
        )
    _summary(out, converted.files, converted.dropped, converted.notes)
    if source.warning:
        _console.print(f"[bold yellow]{source.warning}[/]")


def _or_exit(action: Callable[[], _Result]) -> _Result:
    """Errors that the user can cure become one line and exit code 1."""
    try:
        return action()
    except (ValueError, OSError, ImportError) as error:
        _console.print(f"realm prep: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_console,
    )


def _summary(
    out: Path, files: Sequence[WrittenFile], dropped: Mapping[str, int], notes: Sequence[str] = ()
) -> None:
    """What was written and dropped, on standard output."""
    for file in files:
        typer.echo(f"kept\t{file.rows}\t{out / file.name}")
    for reason, count in dropped.items():
        typer.echo(f"dropped\t{count}\t{reason}")
    for note in notes:
        typer.echo(f"note\t{note}")
