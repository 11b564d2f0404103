"""Fill, label, compose, judge and harvest the route bank: `realm routes`.

Serves design.md, sections MRPV, EAAI (harvest) and Guided CoT distillation (item 7). Options and printing only: each
sub-command's work is in a module of its own.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.distill.ending import LEAST_USABLE
from data_prep.distill.teacher_options import EngineArguments, MinUsable
from data_prep.filters.similarity_option import Similarity, threshold_of
from data_prep.further_domains import Domains, load_domains
from data_prep.model_files import model_folder
from data_prep.outputs import check_apart, start_folder
from data_prep.routes.bank import open_parquet, questions_of
from data_prep.routes.composition import Targets
from data_prep.routes.engine import Engine, Reply, Sampling, VllmEngine
from data_prep.routes.fingerprint import writer_of
from data_prep.routes.first_errors_command import first_errors
from data_prep.routes.folders import finish_bank, refresh_hashes, write_harvested, write_selected
from data_prep.routes.harvest import HarvestOptions
from data_prep.routes.labels import STUDENT, label_bank
from data_prep.routes.printing import describe_selected, describe_stats
from data_prep.routes.responses import is_evaluation, response_files
from data_prep.routes.sampling import Sampled, SamplePlan, sample_into
from data_prep.routes.select import SelectOptions
from data_prep.routes.stats import read_stats
from data_prep.vllm_settings import read_engine_options

routes = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Fill, label, compose, judge and harvest the route bank.",
)
_Result = TypeVar("_Result")
_console = Console(stderr=True)

Data = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An RL parquet with the questions.")]
Bank = Annotated[
    Path, typer.Argument(exists=True, help="A bank's folder or file, or an RL parquet with routes.")
]
Student = Annotated[
    str | None,
    typer.Option(help="The student as it is now; routes of other checkpoints of it are stale."),
]


@routes.command()
def sample(
    data: Data,
    bank: Annotated[Path, typer.Argument(file_okay=False, help="The bank's folder; what it has is kept.")],
    model: Annotated[str, typer.Option(help="A Hugging Face folder or an id of the Hub.")],
    n: Annotated[int, typer.Option(min=1, help="Samples of each question.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Sampling temperature.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling.")] = 1.0,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of a response; longer ones are dropped.")
    ] = 2048,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    source: Annotated[
        str, typer.Option(help="The writer's name; `student` for the model in training.")
    ] = STUDENT,
    engine: EngineArguments = None,
    min_usable: MinUsable = LEAST_USABLE,
    domain: Domains = None,
) -> None:
    """Sample routes from a model or checkpoint with vLLM, and label them. A call that was killed goes on when repeated.

    Example: realm routes sample data/train.parquet bank --model CHECKPOINT --n 8
    """

    def run() -> Sampled:
        load_domains(domain)
        sampling = Sampling(temperature, top_p, max_tokens)
        folder = model_folder(model)
        plan = SamplePlan(writer_of(folder), source, n, seed, sampling, min_usable=min_usable)
        check_apart(bank, data, folder)
        total = min(open_parquet(data).metadata.num_rows, limit or 2**62) * n
        with _progress() as progress:
            task = progress.add_task("loading", total=total)

            def load() -> Engine:
                made = VllmEngine(folder, sampling, read_engine_options(engine))
                start_folder(bank)
                started = time.monotonic()
                tokens = 0

                def on_reply(reply: Reply) -> None:
                    nonlocal tokens
                    tokens += reply.tokens
                    rate = tokens / max(1e-9, time.monotonic() - started)
                    progress.update(task, advance=1, description=f"{rate:,.0f} tokens/s")

                return _tell(made, on_reply)

            sampled = sample_into(bank, islice(questions_of(data), limit), plan, load)
        finish_bank(bank, data, model, plan, sampled)
        return sampled

    sampled = _or_exit(run)
    typer.echo(f"asked\t{sampled.asked}\treused\t{sampled.reused}\ttokens\t{sampled.tokens}")
    kept = sum(file.rows for file in sampled.files)
    typer.echo(f"kept\t{kept}\troutes in {bank}, {sampled.right} right")
    for reason, count in sampled.outcomes.most_common():
        if reason != "route":
            typer.echo(f"dropped\t{count}\t{reason}")


@routes.command()
def label(bank: Bank, student: Student = None, domain: Domains = None) -> None:
    """Label a bank anew by the domain's verifier, in place, and mark what the student has outgrown as stale.

    Example: realm routes label bank --student runs/quickstart/rl/huggingface
    """

    def run() -> str:
        load_domains(domain)
        writer = _writer(student)
        found = label_bank(bank, student=writer)
        if bank.is_dir():
            note = "Labels were given anew in place." + (f" Stale: not of {writer}." if writer else "")
            refresh_hashes(bank, note)
        return (
            f"routes\t{found.rows}\nright\t{found.right}\nturned right\t{found.turned_right}\n"
            f"turned wrong\t{found.turned_wrong}\nanswer not readable\t{found.unreadable}\nstale\t{found.stale}\n"
            f"first error known\t{found.first_errors}\nsoundness known\t{found.known_sound}"
        )

    typer.echo(_or_exit(run))


routes.command("first-errors")(first_errors)


@routes.command()
def select(
    bank: Bank,
    data: Data,
    out: Annotated[Path, typer.Argument(file_okay=False, help="The folder to write.")],
    k: Annotated[int, typer.Option(min=1, help="Routes of each question.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    all_wrong: Annotated[float, typer.Option(min=0, max=1, help="Share of all-wrong sets.")] = 0.22,
    all_right: Annotated[float, typer.Option(min=0, max=1, help="Share of all-right sets.")] = 0.12,
    student: Student = None,
    with_stale: Annotated[bool, typer.Option("--with-stale", help="Use stale routes too.")] = False,
    mismatched: Annotated[
        bool, typer.Option("--mismatched", help="Routes of other questions, for control runs.")
    ] = False,
    max_chars: Annotated[int, typer.Option(min=1, help="Longer routes are left out.")] = 20_000,
    similarity: Similarity = 0.9,
    drop_bare: Annotated[
        bool, typer.Option("--drop-bare", help="Leave out questions that end without routes.")
    ] = False,
    domain: Domains = None,
) -> None:
    """Compose k routes a question into RL rows; routes that DATA has itself give way.

    Example: realm routes select bank data/train.parquet data/composed --k 4
    """

    def run() -> str:
        load_domains(domain)
        options = SelectOptions(
            k=k,
            seed=seed,
            targets=Targets(all_wrong, all_right),
            max_chars=max_chars,
            similarity=threshold_of(similarity),
            student=_writer(student),
            with_stale=with_stale,
            mismatched=mismatched,
            drop_bare=drop_bare,
        )
        selected = write_selected(out, bank, data, options, student)
        return "\n".join(describe_selected(selected, options))

    typer.echo(_or_exit(run))


@routes.command()
def stats(
    path: Annotated[Path, typer.Argument(exists=True, help="A bank, or an RL parquet.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 when surface tells the kinds apart.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the probe's folds.")] = 0,
    domain: Domains = None,
) -> None:
    """Count what a bank or an RL parquet holds, and fit a probe that sees the surface of routes alone.

    Example: realm routes stats data/train.parquet
    """
    _or_exit(lambda: load_domains(domain))
    found = _or_exit(lambda: read_stats(path, seed))
    Console().print(describe_stats(found))
    if strict and found.gives_away:
        raise typer.Exit(1)


@routes.command()
def harvest(
    responses: Annotated[
        Path,
        typer.Argument(exists=True, help="Folder of trainer.rollout_data_dir, or of lm_eval --log_samples."),
    ],
    out: Annotated[Path, typer.Argument(file_okay=False, help="The folder to write.")],
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The run's training parquet; rollouts do not hold it."
        ),
    ] = None,
    per_question: Annotated[int, typer.Option(min=1, help="Most chains of a question.")] = 4,
    replay: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The first SFT parquet: as many of its contrast rows come too."
        ),
    ] = None,
    max_chars: Annotated[int, typer.Option(min=1, help="Longer chains are left out.")] = 20_000,
    from_evaluation: Annotated[
        bool,
        typer.Option("--from-evaluation", help="Allow lm-eval's samples: never of a test set you report."),
    ] = False,
    unguided: Annotated[
        bool,
        typer.Option("--unguided", help="Chains of prompts without routes instead (rejection sampling)."),
    ] = False,
    as_many_as: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Another harvest's parquet: no more rows than it has."
        ),
    ] = None,
    domain: Domains = None,
) -> None:
    """Make SFT rows of the model's own right guided chains, with every mention of routes taken out.

    Example: realm routes harvest runs/rollouts data/harvest --data data/train.parquet
    """

    def run() -> tuple[str, int]:
        load_domains(domain)
        files = response_files(responses)
        evaluation = [file for file in files if is_evaluation(file)]
        if evaluation and not from_evaluation:
            raise ValueError(
                f"{evaluation[0].name} holds questions of an evaluation: trained on, they are no test any more. "
                "Say --from-evaluation if they are none that you report"
            )
        if data is None and len(evaluation) < len(files):
            raise ValueError("rollouts hold no gold answers: give the run's training parquet with --data")
        regime = "unguided" if unguided else "guided"
        most = None
        if as_many_as:
            check_apart(out, as_many_as)
            most = open_parquet(as_many_as).metadata.num_rows
        options = HarvestOptions(per_question, max_chars, regime=regime, most=most)
        harvested, rows = write_harvested(out, files, data, options, replay)
        lines = [
            f"lines\t{harvested.lines}\t{regime}\t{harvested.read.seen}",
            f"kept\t{rows}\t{out / 'sft.parquet'}",
            *([f"replayed\t{harvested.replayed}\t{out / 'replay.parquet'}"] if replay else []),
        ]
        counts: Mapping[str, int] = harvested.unusable + harvested.read.dropped + harvested.filtered.dropped
        lines += [f"dropped\t{n}\t{why}" for why, n in sorted(counts.items(), key=lambda item: -item[1])]
        return "\n".join(lines), rows

    counted, kept = _or_exit(run)
    typer.echo(counted)
    if not kept:
        _console.print("realm routes: no chain was left to train on; the counts say why", style="red")
        raise typer.Exit(1)


def _tell(engine: Engine, on_reply: Callable[[Reply], object]) -> Engine:
    """The engine, with each reply told."""

    def told(requests: Iterable[Any]) -> Any:
        for reply in engine(requests):
            on_reply(reply)
            yield reply

    return told


def _writer(model: str | None) -> str | None:
    return None if model is None else writer_of(model_folder(model))


def _or_exit(action: Callable[[], _Result]) -> _Result:
    """Errors that the user can cure become one line and exit code 1."""
    try:
        return action()
    except (ValueError, OSError, ImportError) as error:
        _console.print(f"realm routes: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_console,
    )
