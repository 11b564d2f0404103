"""Prepare data: RL, validation and SFT files from generators and public data sets.

Serves design.md, section Data: the command `realm prep`. Each sub-command writes one folder with parquet
files, a dataset card and `provenance.json`, and ends by saying what it kept and dropped.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.gsm8k import SMOKE_WARNING, convert_questions, convert_solutions
from data_prep.outputs import WrittenFile
from data_prep.search_relevance.datasets import DistilOptions
from data_prep.search_relevance.folder import Sizes, write_folder

prep = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Prepare data: RL, validation and SFT files from generators and public data sets.",
)
_Result = TypeVar("_Result")
_console = Console(stderr=True)

Out = Annotated[Path, typer.Argument(help="The folder to write.", file_okay=False)]
Input = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The JSONL file to read.")]


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
) -> None:
    """Generate the data of the domain search_relevance.

    Example: realm prep search-relevance data/search --seed 1 --n-train 500
    """
    sizes = Sizes(base=n_base, sft=n_sft, sft_val=n_sft_val, train=n_train, val=n_val)
    options = DistilOptions(brief_share, contrast_share, keep_rules, routes)
    with _progress() as progress:

        def started(split: str, total: int) -> Callable[[], object]:
            task = progress.add_task(split, total=total)
            return lambda: progress.advance(task)

        written = _or_exit(lambda: write_folder(out, seed, sizes, routes, options, started))
    _summary(out, written.files, written.dropped)


@prep.command("gsm8k")
def gsm8k(
    source: Input,
    out: Out,
    split: Annotated[
        str, typer.Option(help="Split of the questions; all but `train` become unguided.")
    ] = "train",
) -> None:
    """Convert GSM8K questions to RL rows without routes.

    Example: realm prep gsm8k train.jsonl data/gsm8k
    """
    converted = _or_exit(lambda: convert_questions(source, out, split))
    _summary(out, converted.files, converted.dropped, converted.notes)


@prep.command("gsm8k-routes")
def gsm8k_routes(source: Input, out: Out) -> None:
    """Convert GSM8K's example model solutions to RL rows with real routes (smoke run only, never a result).

    Example: realm prep gsm8k-routes example_model_solutions.jsonl data/gsm8k_routes
    """
    _console.print(f"[bold yellow]{SMOKE_WARNING}[/]")
    converted = _or_exit(lambda: convert_solutions(source, out))
    _summary(out, converted.files, converted.dropped, converted.notes)
    _console.print(f"[bold yellow]{SMOKE_WARNING}[/]")


def _or_exit(action: Callable[[], _Result]) -> _Result:
    """Errors that the user can cure become one line and exit code 1."""
    try:
        return action()
    except (ValueError, OSError) as error:
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
