"""What distilled rules bring: SFT on chains under rules that were then removed, against SFT on answers alone.

Two arms from one base model (of a `realm quickstart` run), on the same questions with the same prompts, without rules
and without routes; only the response differs:

    distilled   the program teacher's full chain, which names the rules, and the answer
    plain       the answer alone

Equal tokens: `distilled` is one pass over `--steps` batches of 16 rows, `plain` as many passes over the same questions
as it takes to come to the same number of tokens, prompts and responses by the model's own chat template, to within half
a batch. The batch is 16 rows for both, so `plain` is given more optimiser steps, with the same learning rate and
schedule over them. Each seed has questions of its own. Training is verl's SFT trainer, the test is lm_eval without
routes on the bundled questions, of which none is in training.

    python benchmarks/rules.py --run runs/quickstart           # 3 seeds: 6 trainings and tests
    python benchmarks/rules.py --run runs/quickstart --steps 2 --seeds 1     # a smoke test

Killed, it goes on at the stage where it stopped. No part of `make bench`: `make bench-rules`.
"""

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.study.analysis import mean_of, paired
from benchmarks.study.measure import read_samples
from benchmarks.study.stages import Chain
from data_prep.outputs import hash_file, write_parquet
from data_prep.schema import SFT_SCHEMA, sft_row
from realm_ext.paths import Folder, find_folder
from realm_ext.quickstart import SFT_STEPS, environment, evaluation_stage, realm_command, sft_model, sft_stage
from realm_ext.results.statistics import Estimate, p_text
from realm_ext.stages import Stage, StageFailedError, run_stages
from reward_fns.response import parse_response, render_response

BATCH = 16  # rows of a step, as in the recipe realm_quickstart_sft
TASK = "realm_search_relevance"
DISTILLED, PLAIN = "distilled", "plain"
ARMS = (DISTILLED, PLAIN)
SLICES = ("accuracy", "long tail")
Row = Mapping[str, Any]
Scores = dict[int, list[float]]


@dataclass(frozen=True)
class Training:
    """What an arm is trained on.

    Attributes:
        rows: of the file, each seen once; a multiple of `BATCH`.
        questions: different ones among them.
        tokens: of prompts and responses.
    """

    rows: int
    questions: int
    tokens: int

    @property
    def steps(self) -> int:
        return self.rows // BATCH


@dataclass(frozen=True)
class Layout:
    """Where things go: below a folder named after the base model and the steps, so that no run takes up another's."""

    base: Path
    root: Path
    steps: int

    def seed(self, seed: int) -> Path:
        return self.root / f"seed{seed}"

    def data(self, seed: int) -> Path:
        return self.seed(seed) / "data"

    def rows(self, arm: str, seed: int) -> Path:
        return self.seed(seed) / f"{arm}.parquet"

    def arm(self, arm: str, seed: int) -> Path:
        return self.seed(seed) / arm


# ------------------------------ rows ------------------------------


def plain_row(row: Row) -> dict[str, Any]:
    """The row with the answer alone as its response.

    Args:
        row: of `SFT_SCHEMA`, its prompt without routes.

    Raises:
        ValueError: its response holds no answer.
    """
    *prompt, response = row["messages"]
    answer = parse_response(response["content"], 0).answer
    if answer is None:
        raise ValueError(
            f"the SFT row {row['uid']} has no answer in its response: {response['content'][:200]!r}"
        )
    return sft_row(prompt, render_response(None, (), answer), source="answer", kind="answer", uid=row["uid"])


def matched(lengths: Sequence[int], budget: int, batch: int, rng: random.Random) -> list[int]:
    """Rows for a training of `budget` tokens: pass after pass over all rows, each pass in a new order.

    Args:
        lengths: [rows] tokens of each.
        budget: tokens wanted in all.
        batch: rows of a step.

    Returns:
        Indices, a whole number of batches (at least one) and so as near to the budget as batches come.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if not lengths or min(lengths) < 1 or batch < 1:
        raise ValueError(f"rows with tokens and a batch of 1 or more are needed; got {len(lengths)} rows")
    chosen: list[int] = []
    waiting: list[int] = []
    total = 0
    while True:
        while len(waiting) < batch:
            order = list(range(len(lengths)))
            rng.shuffle(order)
            waiting += order
        step, waiting = waiting[:batch], waiting[batch:]
        more = sum(lengths[i] for i in step)
        if chosen and abs(total + more - budget) >= abs(total - budget):
            return chosen
        chosen += step
        total += more


def token_counts(rows: Sequence[Row], model: Path) -> list[int]:
    """[rows] Tokens of each conversation by the model's tokenizer and chat template, as verl's SFT trainer has them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model))
    texts = [tokenizer.apply_chat_template(list(row["messages"]), tokenize=False) for row in rows]
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def write_arms(layout: Layout, seed: int) -> dict[str, Training]:
    """Write the file of each arm from the distilled rows of a seed; the same each time."""
    distilled = pq.read_table(layout.data(seed) / "sft.parquet").to_pylist()
    plain = [plain_row(row) for row in distilled]
    lengths = {
        DISTILLED: token_counts(distilled, layout.base),
        PLAIN: token_counts(plain, layout.base),
    }
    rng = random.Random(f"rules/{seed}")
    chosen = matched(lengths[PLAIN], sum(lengths[DISTILLED]), BATCH, rng)
    indices = {DISTILLED: list(range(len(distilled))), PLAIN: chosen}
    made = {}
    for arm, rows in ((DISTILLED, distilled), (PLAIN, plain)):
        picked = indices[arm]
        write_parquet(
            layout.rows(arm, seed), [rows[i] for i in picked], SFT_SCHEMA, config=arm, split="train"
        )
        made[arm] = Training(len(picked), len(set(picked)), sum(lengths[arm][i] for i in picked))
    return made


# ------------------------------ stages ------------------------------


def data_chain(layout: Layout, seed: int) -> Chain:
    """The distilled rows of a seed: full chains on bare questions, the rules removed."""
    out = layout.data(seed)
    empty = [part for name in ("base", "sft-val", "train", "val") for part in (f"--n-{name}", "0")]
    command = (
        *(*realm_command(), "prep", "search-relevance", str(out), "--seed", str(seed), *empty),
        *("--n-sft", str(layout.steps * BATCH), "--brief-share", "0", "--contrast-share", "0"),
    )
    says = f"seed {seed}: chains of the program teacher, rules removed"
    return Chain(layout.seed(seed), [Stage("data", says, command, (out / "sft.parquet",), environment())])


def arm_chain(layout: Layout, arm: str, seed: int, training: Training) -> Chain:
    """SFT from the base model and lm_eval without routes."""
    folder = layout.arm(arm, seed)
    checkpoints, logs = str(folder / "checkpoints"), str(folder / "logs")
    sft = sft_stage(str(layout.base), str(layout.rows(arm, seed)), checkpoints, training.steps, logs)
    model, tasks = sft_model(checkpoints, training.steps), str(find_folder(Folder.EVAL_TASKS))
    test = evaluation_stage("eval", "lm_eval, no routes, no rules", model, TASK, tasks, folder / "eval")
    says = f"{arm}, seed {seed}: verl SFT, {training.tokens:,} tokens in {training.steps} steps"
    return Chain(folder, [Stage(sft.name, says, sft.command, sft.outputs, sft.environment), test])


# ------------------------------ results ------------------------------


def slices(samples: Sequence[Row]) -> dict[str, list[float]]:
    """Scores by question, of all questions and of those that rare rules decide."""
    return {
        "accuracy": [float(sample["acc"]) for sample in samples],
        "long tail": [float(sample["acc"]) for sample in samples if sample["doc"]["long_tail"]],
    }


def tables(
    trainings: Mapping[str, Mapping[int, Training]], scores: Mapping[str, Mapping[str, Scores]]
) -> list[Table]:
    """The arms, and their paired difference.

    Args:
        trainings: by arm and seed.
        scores: by arm, slice and seed; the same questions for each.
    """
    seeds = sorted(trainings[DISTILLED])
    questions = {name: len(scores[DISTILLED][name][seeds[0]]) for name in SLICES}
    columns = [f"{name} ({questions[name]} questions)" for name in SLICES]
    arms = Table(
        "arm",
        "seeds",
        "tokens",
        "steps",
        "passes",
        *columns,
        title=f"SFT, tested without routes{_one_run(seeds)}",
    )
    for arm in ARMS:
        runs = [trainings[arm][seed] for seed in seeds]
        means = [
            sum(values) / len(runs)
            for values in (
                [run.tokens for run in runs],
                [run.steps for run in runs],
                [run.rows / run.questions for run in runs],
            )
        ]
        cells = [_cell(mean_of(scores[arm][name])) for name in SLICES]
        arms.add_row(arm, str(len(seeds)), f"{means[0]:,.0f}", f"{means[1]:.0f}", f"{means[2]:.1f}", *cells)
    differences = Table(
        "distilled - plain",
        "points",
        "p",
        "by seed",
        title=f"paired over questions and seeds{_one_run(seeds)}",
    )
    for name in SLICES:
        if found := paired(scores[DISTILLED][name], scores[PLAIN][name]):
            by_seed = ", ".join(f"{100 * value:+.1f}" for value in found.by_run)
            p_value = p_text(found.p_value, found.is_bound)
            differences.add_row(name, _cell(found, "+"), p_value, by_seed)
    return [arms, differences]


def _one_run(seeds: Sequence[int]) -> str:
    return ", one training run an arm: intervals cover the questions alone" if len(seeds) == 1 else ""


def _cell(found: Estimate, sign: str = "") -> str:
    """In percent, with the 95% interval, over seeds where there are several."""
    if found.interval is None:
        return f"{100 * found.value:{sign}.1f}"
    mean, low, high = (100 * value for value in (found.value, found.interval.low, found.interval.high))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run", type=Path, default=Path("runs/quickstart"), help="of realm quickstart, with base/"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/rules"), help="everything goes below it")
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, ... up to this many")
    parser.add_argument("--steps", type=int, default=SFT_STEPS, help=f"batches of {BATCH} distilled rows")
    options = parser.parse_args()
    if options.seeds < 1 or options.steps < 1:
        parser.error(f"--seeds and --steps are 1 or more; got {options.seeds} and {options.steps}")
    if not (options.run / "base" / "model.safetensors").is_file():
        parser.error(f"{options.run} has no base/model.safetensors; run `realm quickstart` or give its --run")
    return options


def main() -> None:
    """See the module's text."""
    options = _options()
    console = Console()
    base = (options.run / "base").absolute()
    digest = hash_file(base / "model.safetensors")[:12]
    layout = Layout(base, options.out.absolute() / f"{digest}-{options.steps}steps", options.steps)
    trainings: dict[str, dict[int, Training]] = {arm: {} for arm in ARMS}
    scores: dict[str, dict[str, Scores]] = {arm: {name: {} for name in SLICES} for arm in ARMS}
    try:
        for seed in range(options.seeds):
            chain = data_chain(layout, seed)
            run_stages(chain.stages, chain.folder, console)
            for arm, training in write_arms(layout, seed).items():
                chain = arm_chain(layout, arm, seed, training)
                run_stages(chain.stages, chain.folder, console)
                trainings[arm][seed] = training
                for name, values in slices(read_samples(layout.arm(arm, seed) / "eval", TASK)).items():
                    scores[arm][name][seed] = values
    except StageFailedError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        sys.exit("Mend the cause and run the same command again; what is done stays done.")
    for table in tables(trainings, scores):
        console.print(table)


if __name__ == "__main__":
    main()
