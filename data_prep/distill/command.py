"""The command `realm distill`.

Serves design.md, section Guided CoT distillation.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from data_prep.contamination_sources import overlap_filters
from data_prep.distill import estimate as estimating
from data_prep.distill import teacher_options
from data_prep.distill.card import About
from data_prep.distill.ending import EXIT_CODES, LEAST_USABLE, signals_end
from data_prep.distill.experts import Expert, find_expert
from data_prep.distill.flow import Plan
from data_prep.distill.limits import FREE, Prices
from data_prep.distill.openai_teacher import KEY_VARIABLE, OPENAI_URL, OpenAITeacher
from data_prep.distill.options import MAX_CHARS, NONE, PROGRAM, TEACHER, Options, json_object
from data_prep.distill.program_teacher import ProgramTeacher
from data_prep.distill.progress import Live
from data_prep.distill.questions import read_questions
from data_prep.distill.requests import Parameters
from data_prep.distill.run import Distillation, Written, known_to
from data_prep.distill.sender import Ending, Limits, Sender, Stop
from data_prep.distill.shards import ROWS_PER_FILE
from data_prep.distill.store import Store
from data_prep.distill.teachers import Teacher
from data_prep.distill.vllm_teacher import VllmTeacher
from data_prep.distill.writing import KEPT
from data_prep.filters.exact import ExactDuplicate
from data_prep.filters.similarity_option import Similarity, threshold_of
from data_prep.outputs import OTHER_LICENCE, REJECTS, hash_file
from data_prep.vllm_settings import read_engine_options
from reward_fns import domains
from reward_fns.domains.base import Domain

_console = Console(stderr=True)


class Kind(StrEnum):
    """Teachers."""

    OPENAI = "openai"
    VLLM = "vllm"
    PROGRAM = "program"


class ContrastFrom(StrEnum):
    """Who judges in contrast rows; `auto`: the domain's expert where there is one, else the teacher."""

    AUTO = "auto"
    PROGRAM = PROGRAM
    TEACHER = TEACHER
    NONE = NONE


def distill(
    questions: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="RL parquet, or JSONL with `question` and `gold`."),
    ],
    out: Annotated[Path, typer.Argument(file_okay=False, help="The folder to write.")],
    domain: Annotated[str, typer.Option(help="Name of the domain, or its module as package.module:NAME.")],
    teacher: Annotated[
        Kind,
        typer.Option(help="Any OpenAI-compatible endpoint, a local model in vLLM, or the domain's expert."),
    ],
    model: teacher_options.Model = "",
    base_url: teacher_options.BaseUrl = OPENAI_URL,
    api_key_env: teacher_options.ApiKeyEnv = KEY_VARIABLE,
    engine: teacher_options.EngineArguments = None,
    expert: Annotated[str | None, typer.Option(help="The domain's expert as package.module:NAME.")] = None,
    attempts: Annotated[
        int, typer.Option(min=1, help="Chains asked of a question at most, until one is taken.")
    ] = 4,
    samples: Annotated[
        int, typer.Option(min=1, help="Chains asked of each question in any case; more fill the bank.")
    ] = 1,
    keep_rationalised: Annotated[
        bool,
        typer.Option(
            "--keep-rationalised",
            help="Give the answer away where all attempts fail, and keep what passes the checks.",
        ),
    ] = False,
    need_citation: Annotated[bool, typer.Option(help="Take a chain only if it cites a rule.")] = True,
    keep_rules: Annotated[
        float, typer.Option(min=0, max=1, help="Share of SFT prompts with the rules.")
    ] = 0.0,
    contrast_share: Annotated[float, typer.Option(min=0, max=1, help="Share of contrast rows.")] = 0.3,
    contrast_from: Annotated[
        ContrastFrom, typer.Option(help="Who judges in contrast rows.")
    ] = ContrastFrom.AUTO,
    routes: Annotated[int, typer.Option(min=1, help="Routes in a contrast row at most.")] = 4,
    temperature: teacher_options.Temperature = 0.7,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Of the teacher.")] = None,
    max_tokens: teacher_options.MaxTokens = 1024,
    limit_name: Annotated[
        str, typer.Option(help="How the endpoint calls that: max_tokens or max_completion_tokens.")
    ] = "max_tokens",
    extra_body: Annotated[str, typer.Option(help="JSON object with further fields of each request.")] = "{}",
    send_seeds: teacher_options.SendSeeds = True,
    max_chars: Annotated[int, typer.Option(min=1, help="Of a chain; longer ones are dropped.")] = MAX_CHARS,
    not_in: Annotated[
        list[str] | None,
        typer.Option(help="Leave out questions of this evaluation set: JSONL, parquet or an lm-eval task."),
    ] = None,
    similarity: Similarity = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first so many rows.")] = None,
    store: teacher_options.StoreFolder = None,
    concurrency: teacher_options.Concurrency = None,
    requests_per_minute: teacher_options.RequestsPerMinute = None,
    tokens_per_minute: Annotated[
        float | None, typer.Option(min=1, help="Of prompts and replies together.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one try.")] = 120.0,
    tries: Annotated[int, typer.Option(min=1, help="Of one request, where a failure may pass.")] = 8,
    skip_failing: teacher_options.SkipFailing = False,
    min_usable: teacher_options.MinUsable = LEAST_USABLE,
    price_in: teacher_options.PriceIn = 0.0,
    price_out: teacher_options.PriceOut = 0.0,
    max_cost: teacher_options.MaxCost = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of the teacher's tokenizer, for --dry-run."),
    ] = None,
    rows_per_file: Annotated[
        int, typer.Option(min=1, help="Larger files are cut into shards.")
    ] = ROWS_PER_FILE,
    licence: Annotated[str, typer.Option(help="Licence for the card, as the Hub names it.")] = OTHER_LICENCE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; say what it would cost.")] = False,
) -> None:
    """Distil: a teacher reasons under the domain's rules; write SFT rows without them, and a bank of routes.

    Every reply is kept: run the same command again after a kill, and only what is missing is sent.

    Example, offline: realm distill data/train.parquet data/distilled --domain search_relevance --teacher program

    Example: realm distill data/train.parquet data/distilled --domain math --teacher openai --model MODEL
    --base-url http://localhost:8000/v1 --price-in 0.5 --price-out 2 --max-cost 20
    """
    try:
        parameters = Parameters(
            None if temperature < 0 else temperature,
            top_p,
            max_tokens,
            json_object("--extra-body", extra_body),
        )
        chosen = domains.load(domain) if "." in domain or ":" in domain else domains.get(domain)
        found = find_expert(chosen.name, expert)
        asked = _teacher(
            teacher, chosen, found, parameters, model, base_url, api_key_env, engine, timeout, limit_name
        )
        is_program = isinstance(asked, ProgramTeacher)
        if is_program and (keep_rationalised or contrast_from is ContrastFrom.TEACHER):
            raise ValueError(
                "the teacher program writes chains only: no --keep-rationalised, no --contrast-from teacher"
            )
        options = Options(
            domain=chosen,
            plan=Plan(1, 1, False, need_citation)
            if is_program
            else Plan(samples, max(attempts, samples), keep_rationalised, need_citation),
            contrast_from=_contrast_from(contrast_from, found),
            contrast_share=contrast_share,
            routes=routes,
            keep_rules=keep_rules,
            max_chars=max_chars,
            seed=seed,
            send_seeds=send_seeds,
            rows_per_file=rows_per_file,
            filters=(ExactDuplicate(),),
            similarity=threshold_of(similarity),
            question_filters=overlap_filters(not_in or ()),
        )
        prices, ceiling = teacher_options.read_money(price_in, price_out, max_cost)
        limits = Limits(
            requests_per_minute,
            tokens_per_minute,
            tries,
            prices=prices,
            max_cost=ceiling,
            skip_failing=skip_failing,
        )
        run = Distillation(read_questions(questions, chosen, limit), options, asked, parameters, found)
        job = Job(
            run=run,
            options=options,
            teacher=asked,
            parameters=parameters,
            limits=limits,
            about=About({questions.name: hash_file(questions)}, licence, prices),
            store=store or teacher_options.store_beside(out),
            concurrency=teacher_options.at_a_time(concurrency, local=teacher is Kind.VLLM),
            min_usable=min_usable,
        )
        if dry_run:
            local = tokenizer or (Path(model) if teacher is Kind.VLLM and Path(model).is_dir() else None)
            _tell_estimate(job, estimating.by_tokenizer(local) if local else estimating.by_bytes())
            return
        stop = asyncio.run(_run(job, out))
    except asyncio.CancelledError:
        _exit("ended at once; run the same command again to go on", EXIT_CODES[Ending.INTERRUPTED])
    except (ValueError, ImportError, OSError) as error:
        _exit(str(error), 1)
    if stop is not None:
        _exit(stop.message, EXIT_CODES[stop.ending])


@dataclass(frozen=True)
class Job:
    """Everything a run needs, checked."""

    run: Distillation
    options: Options
    teacher: Teacher
    parameters: Parameters
    limits: Limits
    about: About
    store: Path
    concurrency: int
    min_usable: float


async def _run(job: Job, out: Path) -> Stop | None:
    written: Written | None = None
    if isinstance(job.teacher, ProgramTeacher):
        with Live(_console, lambda: "") as live:
            written = await job.run.write(out, known_to(job.teacher), job.about, live)
        _tell(written, out)
        return _without_rows(written)
    with Store(job.store) as store:
        for notice in store.notices:
            _console.print(f"realm distill: {notice}", style="yellow", markup=False, highlight=False)
        sender = Sender(job.teacher, store, job.limits, job.run.prompts.version, job.parameters)
        try:
            with Live(_console, lambda: sender.describe()) as live:
                with signals_end(sender, _console):
                    await job.run.fill(sender, job.concurrency, live, job.min_usable)
                if sender.stop is None or sender.stop.ending is Ending.CEILING:
                    written = await job.run.write(out, sender.known, job.about, live)
        finally:
            await job.teacher.close()
        if written is not None:
            _tell(written, out)
        _tell_sender(sender, store, job.limits.prices)
        return sender.stop or (_without_rows(written) if written is not None else None)


def _without_rows(written: Written) -> Stop | None:
    """A folder without one SFT row is nobody's aim, however well it was written."""
    tally = written.tally
    if any(tally.kept[name] for name in KEPT if name.startswith("sft ")):
        return None
    reason, number = tally.dropped.most_common(1)[0] if tally.dropped else ("no question", 0)
    example = next((reject.text for reject in tally.examples if reject.reason == reason), "")
    return Stop(
        Ending.UNUSABLE,
        f"no SFT row was made. Most often: {reason} ({number}), such as {example!r}; more in {REJECTS}",
    )


def _teacher(
    kind: Kind,
    domain: Domain,
    expert: Expert | None,
    parameters: Parameters,
    model: str,
    base_url: str,
    api_key_env: str,
    engine: list[str] | None,
    timeout: float,
    limit_name: str,
) -> Teacher:
    if kind is Kind.PROGRAM:
        if expert is None:
            raise ValueError(
                f"the domain {domain.name} has no expert; give one with --expert package.module:NAME"
            )
        return ProgramTeacher(domain.name, expert)
    if not model:
        raise ValueError(f"the teacher {kind.value} needs --model")
    if kind is Kind.VLLM:
        return VllmTeacher(model, parameters, read_engine_options(engine))
    if limit_name not in ("max_tokens", "max_completion_tokens"):
        raise ValueError(f"--limit-name is max_tokens or max_completion_tokens; got {limit_name!r}")
    return OpenAITeacher(model, base_url, parameters, api_key_env, timeout, limit_name)


def _contrast_from(wanted: ContrastFrom, expert: Expert | None) -> str:
    if wanted is ContrastFrom.AUTO:
        return TEACHER if expert is None else PROGRAM
    return wanted.value


def _tell_estimate(job: Job, counter: estimating.Counter) -> None:
    """What would be sent, on standard output."""
    if isinstance(job.teacher, ProgramTeacher):
        typer.echo("the teacher program sends nothing and costs nothing")
        return
    with Store(job.store, read_only=True) as store:
        sender = Sender(job.teacher, store, job.limits, job.run.prompts.version, job.parameters)
        told = asyncio.run(
            estimating.estimate(
                job.run.questions,
                job.options,
                job.run.prompts,
                job.run.selection(sender.known),
                sender.known,
                counter,
                job.parameters.max_tokens,
                job.limits.prices,
            )
        )
        spent, kept = store.spent + store.unsettled, len(store)
    typer.echo(f"questions\t{len(job.run.questions)}\tfinished {told.finished}")
    typer.echo(f"in the store\t{kept}\tspent {spent:.4f}")
    typer.echo("would send\tat least\tat most")
    for name in ("requests", "prompt_tokens", "completion_tokens"):
        typer.echo(f"{name.replace('_', ' ')}\t{getattr(told.least, name)}\t{getattr(told.most, name)}")
    typer.echo(f"cost\t{told.least.cost:.4f}\t{told.most.cost:.4f}")
    ceiling = job.limits.max_cost
    if ceiling is not None and spent + told.most.cost > ceiling:
        surely = "would" if spent + told.least.cost > ceiling else "may"
        typer.echo(f"note\tthe ceiling of {ceiling} {surely} end the run before its time")
    for note in told.notes:
        typer.echo(f"note\t{note}")


def _tell(written: Written, out: Path) -> None:
    """What was kept and dropped, on standard output."""
    for file in written.files:
        typer.echo(f"kept\t{file.rows}\t{out / file.name}")
    for reason, number in sorted(written.tally.dropped.items()):
        typer.echo(f"dropped\t{number}\t{reason}")


def _tell_sender(sender: Sender, store: Store, prices: Prices) -> None:
    """What this run sent and what the store has cost, on standard output."""
    for name, number in sorted(sender.counts.items()):
        typer.echo(f"sent\t{number}\t{name}")
    typer.echo(f"store\t{len(store)}\treplies")
    if prices != FREE:
        typer.echo(f"spent\t{store.spent:.4f}\tby replies and tries with a known end")
        if store.unsettled:
            typer.echo(
                f"spent\t{store.unsettled:.4f}\tat most, by {store.in_flight} tries that a kill left open"
            )


def _exit(message: str, code: int) -> NoReturn:
    _console.print(f"realm distill: {message}", style="red", markup=False, highlight=False)
    raise typer.Exit(code)
