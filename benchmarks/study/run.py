"""Run the study where it stopped: every arm and seed without a row, one after the other, one row each.

    python -m benchmarks.study.run                 # tier 1, then 2, then 3
    python -m benchmarks.study.run --tiers 1 --arms grpo,realm --seeds 0,1
    python -m benchmarks.study.run --small         # two arms, one seed, from nothing
    python -m benchmarks.study.run --list          # what is done, what is to do

Serves docs/study_plan.md. A row that is there for exactly this configuration is never made again. Runs are below
runs/study, rows below benchmarks/study/rows (for `--small` in the run folder: they are no results).
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.study import measure
from benchmarks.study.plan import STUDY_FILE, Arm, Study, read_study
from benchmarks.study.report import collect, section
from benchmarks.study.rows import ROWS, Row, is_done, pack, read_rows, write_row
from benchmarks.study.stages import Layout, chains
from benchmarks.study.tasks import read_documents
from realm_ext.report.rounds import round_folders
from realm_ext.stages import StageFailedError, run_stages

REPOSITORY = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module's text."""
    options = _options(arguments)
    console = Console()
    study = read_study(options.study)
    if options.small:
        study = small(study)
    rows = options.runs / "small_rows" if options.small else options.rows
    work = chosen(study, options.tiers, options.arms, options.seeds, options.small)
    if options.list:
        console.print(overview(study, work, rows))
        return
    layout = Layout(options.study.absolute(), study, options.runs.absolute())
    failed = [
        f"{arm.name}, seed {seed}"
        for arm, seed in work
        if not arm.needs
        and not is_done(rows, arm.name, seed, study.config_hash(arm))
        and not attempt(layout, arm, seed, rows, console)
    ]
    console.print(overview(study, work, rows))
    if options.small:
        print(section(collect(study, read_rows(rows)), str(rows), "make study-small"))
    if failed:
        sys.exit(f"not finished: {'; '.join(failed)}. Mend the cause and run the same command again.")


def attempt(layout: Layout, arm: Arm, seed: int, rows: Path, console: Console) -> bool:
    """Run an arm with a seed and write its row; False, with the reason on the console, when a stage failed."""
    console.rule(f"{arm.name}, seed {seed}")
    seconds: dict[str, float] = {}
    try:
        for chain in chains(layout, arm, seed):
            for record in run_stages(chain.stages, chain.folder, console):
                seconds[record["name"]] = round(record["seconds"], 1)
    except StageFailedError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return False
    path = write_row(rows, make_row(layout, arm, seed, seconds))
    console.print(f"row: {path}", highlight=False)
    return True


def make_row(layout: Layout, arm: Arm, seed: int, seconds: dict[str, float]) -> Row:
    """The row of a finished arm, read from its folders."""
    fields: dict[str, Any] = {
        "arm": arm.name,
        "seed": seed,
        "config_hash": layout.study.config_hash(arm),
        "commit": measure.commit(REPOSITORY),
        "machine": measure.machine(),
        "versions": measure.versions(),
        "seconds": seconds,
        "steps": 0,
        "rollouts": 0,
        "tokens": {"prompt": 0, "response": 0},
        "curve": (),
    }
    if arm.vote:
        votes = measure.vote(read_documents(layout.test(), "test.jsonl", guided=True))
        accuracy = math.fsum(votes) / len(votes)
        return Row(
            **fields,
            metrics={"guided": {"acc": accuracy}},
            arithmetic=None,
            correct={"guided": pack(votes)},
            questions=len(votes),
        )
    folder = layout.arm(arm, seed)
    fields["base"] = measure.weights(layout.base / "model")
    if arm.train:
        a_step = layout.study.rl.questions * layout.study.rl.rollouts
        rounds = [part / "tensorboard" for part in round_folders(folder)]
        curve, tokens, steps = measure.training(rounds, a_step)
        if arm.harvest:
            tokens["sft"] = measure.sft_tokens(folder / "logs" / "sft.log")
        fields |= {"curve": curve, "tokens": tokens, "steps": steps, "rollouts": steps * a_step}
    metrics, correct, n, arithmetic = measure.evaluation(folder / "eval")
    return Row(**fields, metrics=metrics, arithmetic=arithmetic, correct=correct, questions=n)


def chosen(
    study: Study, tiers: Sequence[int], arms: Sequence[str], seeds: Sequence[int], is_small: bool = False
) -> list[tuple[Arm, int]]:
    """The (arm, seed) pairs that the options name; empty options name all, seeds of the file or others."""
    if is_small:
        return [(study.arms[name], seed) for seed in study.small_seeds for name in study.small_arms]
    if unknown := sorted(set(arms) - set(study.arms)):
        raise SystemExit(f"no arms {', '.join(unknown)}; there are {', '.join(study.arms)}")
    work = study.work(tuple(tiers) or tuple(study.seeds))
    named = [(arm, seed) for arm, seed in work if not arms or arm.name in arms]
    if not seeds:
        return named
    return [(arm, seed) for seed in seeds for arm in {arm.name: arm for arm, _ in named}.values()]


def small(study: Study) -> Study:
    """The study in small: its two arms alone, fewer questions, the rest as it is."""
    arms = {name: study.arms[name] for name in study.small_arms}
    analysis = replace(study.analysis, comparators=tuple(n for n in arms if n != study.analysis.arm))
    return replace(study, arms=arms, analysis=analysis, test_questions=study.small_test_questions)


def overview(study: Study, work: Sequence[tuple[Arm, int]], rows: Path) -> Table:
    """A line an arm: tier, seeds done and to do."""
    table = Table("tier", "arm", "done", "to do", title="the study")
    for arm in {arm.name: arm for arm, _ in work}.values():
        seeds = [seed for other, seed in work if other.name == arm.name]
        done = [seed for seed in seeds if is_done(rows, arm.name, seed, study.config_hash(arm))]
        left = ", ".join(str(seed) for seed in seeds if seed not in done)
        table.add_row(
            str(arm.tier), arm.name, ", ".join(map(str, done)), f"needs {arm.needs}" if arm.needs else left
        )
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the study where it stopped.")
    parser.add_argument("--study", type=Path, default=STUDY_FILE, help="the declarative file")
    parser.add_argument("--runs", type=Path, default=Path("runs/study"), help="where everything is made")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where rows are kept")
    parser.add_argument("--tiers", type=_numbers, default=(), help="e.g. 1,2; all when left out")
    parser.add_argument("--arms", type=_names, default=(), help="e.g. grpo,realm; all when left out")
    parser.add_argument("--seeds", type=_numbers, default=(), help="e.g. 0,1; all when left out")
    parser.add_argument("--small", action="store_true", help="two arms, one seed, no results")
    parser.add_argument("--list", action="store_true", help="only say what is done")
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
