"""Seconds of an RL step: ReaLM's `realm_sync` against verl's own `sync` mode with its single-turn agent.

Both run the real main_ppo with the recipe realm_quickstart, one after the other, on the same questions, model and
sizes, with a learning rate of 0, so that the work stays the same from step to step. ReaLM is measured twice: without
routes, where both see the same prompts token for token (this is the ratio of the speed goal), and with all routes
shown all the time, which is more work than verl's run has.

    python benchmarks/bench_step.py --steps 12
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from realm_ext.paths import Folder, find_folder
from realm_ext.prompt import render_messages
from realm_ext.report.scalars import Series, read_scalars
from realm_ext.stages import Stage, StageFailedError, run_stages

TARGET = 0.60
WARM_UP = 2  # the first steps load and compile things
QUESTIONS = 16  # a step, as in the recipe
BASE_STEPS = 100  # enough to answer in the grammar and stop, as in quickstart's RL
PHASES = ("gen", "old_log_prob", "adv", "update_actor", "update_weights")
STOCK, OURS, GUIDED = "verl sync", "realm_sync, no routes", "realm_sync, all routes"
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Measured:
    """Medians over the steps after the warm-up: `seconds` of the whole step and of its phases, tokens of a rollout."""

    seconds: Mapping[str, float]
    prompt_tokens: float
    response_tokens: float


def main() -> None:
    """Prepare what both need (kept for the next time), measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-dir", type=Path, default=Path("runs/bench_step"), help="where everything goes")
    parser.add_argument(
        "--steps", type=int, default=12, help=f"steps of each run, the first {WARM_UP} not counted"
    )
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps must be more than {WARM_UP}, got {options.steps}")
    run_dir, console = options.run_dir.absolute(), Console()
    try:
        run_stages(preparation(run_dir, options.steps), run_dir, console)
        write_stock_rows(run_dir / "data" / "train.parquet", run_dir / "stock.parquet")
        attempt = run_dir / time.strftime("measured_%Y%m%d_%H%M%S")
        run_stages(measurements(run_dir, attempt, options.steps), attempt, console)
    except StageFailedError as error:
        sys.exit(f"bench_step: {error}")
    report({name: measure(attempt / folder(name)) for name in (STOCK, OURS, GUIDED)}, console)


def preparation(run_dir: Path, steps: int) -> list[Stage]:
    """Data, and the demo model trained until its answers have a usual length."""
    data = run_dir / "data"
    realm = (sys.executable, "-m", "realm_ext.cli")
    sizes = ("--n-base", "1600", "--n-sft", "16", "--n-train", str(QUESTIONS * steps), "--n-val", "8")
    options = ("--steps", str(BASE_STEPS), "--domain", "search_relevance")
    return [
        Stage(
            "data",
            "questions and routes",
            (*realm, "prep", "search-relevance", str(data), *sizes, "--routes", "3"),
            (data / "provenance.json",),
        ),
        Stage(
            "base",
            "the demo model, trained for a minute, so that answers end",
            (*realm, "demo-model", str(data / "base.parquet"), str(run_dir / "base"), *options),
            (run_dir / "base" / "config.json",),
            environment(),
        ),
    ]


def measurements(run_dir: Path, attempt: Path, steps: int) -> list[Stage]:
    """The three runs. All rows and sizes are the same; the last column of a row names the agent."""
    ours = run_dir / "data" / "train.parquet"
    stock = (
        "~realm",
        "trainer.v1.trainer_mode=sync",
        "algorithm.adv_estimator=grpo",
        "actor_rollout_ref.rollout.agent.default_agent_loop=single_turn_agent",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
    )
    constant = "realm.schedule.kind=constant"
    runs = [
        (STOCK, run_dir / "stock.parquet", stock),
        (OURS, ours, (constant, "realm.schedule.start=0.0")),
        (GUIDED, ours, (constant, "realm.schedule.start=1.0")),
    ]
    return [
        Stage(
            folder(name),
            name,
            (
                *(sys.executable, "-m", "verl.trainer.main_ppo", *recipe("realm_quickstart")),
                f"actor_rollout_ref.model.path={run_dir / 'base'}",
                f"data.train_files={rows}",
                f"data.val_files={rows}",
                "data.shuffle=false",
                f"data.train_batch_size={QUESTIONS}",
                "actor_rollout_ref.actor.optim.lr=0.0",
                f"trainer.total_training_steps={steps}",
                "trainer.val_before_train=false",
                "trainer.test_freq=-1",
                "trainer.save_freq=-1",
                f"trainer.default_local_dir={attempt / folder(name) / 'checkpoints'}",
                f"hydra.run.dir={attempt / 'logs'}",
                *overrides,
            ),
            (attempt / folder(name),),
            environment() | {"TENSORBOARD_DIR": str(attempt / folder(name))},
        )
        for name, rows, overrides in runs
    ]


def write_stock_rows(source: Path, target: Path) -> None:
    """The same rows for verl's agent: it shows the prompt as it is, so ours for the unguided regime is in it."""
    table = pq.read_table(source)
    rows = [
        {**row, "prompt": render_messages(row["prompt"], ()), "agent_name": "single_turn_agent"}
        for row in table.to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), target)


def measure(tensorboard: Path) -> Measured:
    """Read a run's TensorBoard folder.

    Raises:
        SystemExit: the run logged no step after the warm-up.
    """
    series, notes = read_scalars(tensorboard)
    if len(series.get("timing_s/step", Series((), ())).values) <= WARM_UP:
        sys.exit(f"bench_step: {tensorboard} has no step after the first {WARM_UP}: {'; '.join(notes)}")
    timings = {name: after_warm_up(series, f"timing_s/{name}") for name in ("step", *PHASES)}
    by_step = zip(timings["step"], *(timings[name] for name in PHASES), strict=True)
    timings["other"] = [step - sum(phases) for step, *phases in by_step]
    return Measured(
        seconds={name: statistics.median(values) for name, values in timings.items()},
        prompt_tokens=statistics.median(after_warm_up(series, "prompt_length/mean")),
        response_tokens=statistics.median(after_warm_up(series, "response_length/mean")),
    )


def after_warm_up(series: Mapping[str, Series], name: str) -> list[float]:
    """A metric's values, one a step."""
    return list(series[name].values[WARM_UP:])


def report(found: Mapping[str, Measured], console: Console) -> None:
    """Print seconds by phase, tokens, and the ratios to verl's own step."""
    table = Table("median of a step", *found, title="bench_step")
    for name in (*PHASES, "other", "step"):
        add_row(table, f"{name}, s", [m.seconds[name] for m in found.values()])
    add_row(table, "prompt tokens", [m.prompt_tokens for m in found.values()])
    add_row(table, "response tokens", [m.response_tokens for m in found.values()])
    console.print(table)
    stock = found[STOCK].seconds["step"]
    ratio = found[OURS].seconds["step"] / stock
    verdict = "met" if ratio <= TARGET else "missed"
    print(f"{OURS} / {STOCK}: {ratio:.2f} (target at most {TARGET:.2f}: {verdict})")
    print(f"{GUIDED} / {STOCK}: {found[GUIDED].seconds['step'] / stock:.2f} (longer prompts, no target)")


def add_row(table: Table, name: str, values: Sequence[float]) -> None:
    """Add numbers as text."""
    table.add_row(name, *(f"{value:.2f}" for value in values))


def recipe(name: str) -> tuple[str, ...]:
    """The options of a verl command that choose one of ReaLM's recipes."""
    return ("--config-path", str(find_folder(Folder.CONFIGS)), "--config-name", name)


def folder(name: str) -> str:
    """A run's name as a file name."""
    return name.replace(", ", "_").replace(" ", "_")


def environment() -> dict[str, str]:
    """Offline, and no more threads than cores."""
    return ENVIRONMENT | {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}


if __name__ == "__main__":
    main()
