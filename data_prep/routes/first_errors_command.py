"""The command `realm routes first-errors`.

Serves design.md, section Guided CoT distillation (item 7). Options and printing only.
"""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from data_prep.distill import teacher_options
from data_prep.distill.ending import EXIT_CODES, LEAST_USABLE
from data_prep.distill.limits import FREE, Prices
from data_prep.distill.openai_teacher import KEY_VARIABLE, OPENAI_URL, OpenAITeacher
from data_prep.distill.requests import Parameters
from data_prep.distill.sender import Ending, Limits
from data_prep.distill.teachers import Teacher
from data_prep.distill.vllm_teacher import VllmTeacher
from data_prep.further_domains import Domains, load_domains
from data_prep.routes.asking import AskingEnded, StoredTeacher
from data_prep.routes.first_errors import Annotator
from data_prep.routes.folders import refresh_hashes
from data_prep.routes.labels import Labelled, count_unknown, label_bank
from data_prep.vllm_settings import read_engine_options

_console = Console(stderr=True)


class Kind(StrEnum):
    """Teachers that can be asked."""

    OPENAI = "openai"
    VLLM = "vllm"


def first_errors(
    bank: Annotated[Path, typer.Argument(exists=True, help="A bank's folder or file; changed in place.")],
    teacher: Annotated[Kind, typer.Option(help="Any OpenAI-compatible endpoint, or a local model in vLLM.")],
    model: teacher_options.Model,
    base_url: teacher_options.BaseUrl = OPENAI_URL,
    api_key_env: teacher_options.ApiKeyEnv = KEY_VARIABLE,
    engine: teacher_options.EngineArguments = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Times each route is asked about; more than half have to agree.")
    ] = 3,
    temperature: teacher_options.Temperature = 0.7,
    max_tokens: teacher_options.MaxTokens = 2048,
    send_seeds: teacher_options.SendSeeds = True,
    store: teacher_options.StoreFolder = None,
    concurrency: teacher_options.Concurrency = None,
    requests_per_minute: teacher_options.RequestsPerMinute = None,
    price_in: teacher_options.PriceIn = 0.0,
    price_out: teacher_options.PriceOut = 0.0,
    max_cost: teacher_options.MaxCost = None,
    skip_failing: teacher_options.SkipFailing = False,
    min_usable: teacher_options.MinUsable = LEAST_USABLE,
    domain: Domains = None,
) -> None:
    """Ask a teacher that sees the answer for the first wrong step of each route where it is not known.

    Every reply is kept: run the same command again after a kill, and only what is missing is sent.

    Example: realm routes first-errors bank --teacher openai --model MODEL --base-url http://localhost:8000/v1
    --price-in 0.5 --price-out 2 --max-cost 20
    """
    try:
        load_domains(domain)
        prices, ceiling = teacher_options.read_money(price_in, price_out, max_cost)
        limits = Limits(requests_per_minute, prices=prices, max_cost=ceiling, skip_failing=skip_failing)
        parameters = Parameters(None if temperature < 0 else temperature, None, max_tokens)
        unknown = count_unknown(bank)
        asked: Teacher
        if teacher is Kind.VLLM:
            asked = VllmTeacher(model, parameters, read_engine_options(engine))
        else:
            asked = OpenAITeacher(model, base_url, parameters, api_key_env)
        with StoredTeacher(
            asked,
            store or teacher_options.store_beside(bank),
            limits,
            parameters,
            concurrency=teacher_options.at_a_time(concurrency, local=teacher is Kind.VLLM),
            send_seeds=send_seeds,
            total=unknown * samples,
            min_usable=min_usable,
            console=_console,
        ) as stored:
            annotator = Annotator(stored, samples)
            try:
                found = label_bank(bank, annotate=annotator)
            finally:  # where the run ends early, some files of the bank have changed all the same
                if bank.is_dir():
                    refresh_hashes(bank, f"First errors: asked of {asked.name}, {samples} samples a route.")
    except AskingEnded as error:
        _exit(str(error), EXIT_CODES[error.stop.ending])
    except asyncio.CancelledError:
        _exit("ended at once; run the same command again to go on", EXIT_CODES[Ending.INTERRUPTED])
    except (ValueError, OSError, ImportError) as error:
        _exit(str(error), 1)
    _tell(stored, annotator, found, unknown, prices)
    if stop := stored.sender.stop:
        _exit(stop.message, EXIT_CODES[stop.ending])


def _tell(stored: StoredTeacher, annotator: Annotator, found: Labelled, unknown: int, prices: Prices) -> None:
    """What came of it, on standard output."""
    typer.echo(f"routes\t{found.rows}\nwere not known\t{unknown}")
    for reason, number in sorted(annotator.counts.items()):
        typer.echo(f"asked about\t{number}\t{reason}")
    typer.echo(f"first error known\t{found.first_errors}\nsoundness known\t{found.known_sound}")
    for name, number in sorted(stored.sender.counts.items()):
        typer.echo(f"sent\t{number}\t{name}")
    typer.echo(f"without a usable reply\t{stored.unanswered}\tsamples")
    if prices != FREE:
        typer.echo(f"spent\t{stored.store.spent + stored.store.unsettled:.4f}\tat most, on this store")


def _exit(message: str, code: int) -> NoReturn:
    _console.print(f"realm routes: {message}", style="red", markup=False, highlight=False)
    raise typer.Exit(code)
