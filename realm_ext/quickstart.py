"""`realm quickstart`: the whole of ReaLM on one machine without a GPU, from nothing to a report.

Every stage is a command that a user could type, run as it is: data preparation, the demo model, verl's SFT trainer,
verl's RL trainer with a ReaLM config, verl's model merger, lm-eval, the report. `realm quickstart --dry-run` prints
them. RL runs in two rounds, and between them SFT on the model's own right guided chains (docs/study_plan.md); the control
is plain GRPO with the same rounds, and the same SFT on as many of its own right chains.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from realm_ext.paths import Folder, find_folder
from realm_ext.report.rounds import round_folders
from realm_ext.stages import Stage, StageFailedError, run_stages

TASKS = "realm_search_relevance,realm_search_relevance_guided"


# Nine bare questions of ten are answered in haste: fading routes alone would not change that habit (docs/study_plan.md).
DATA_SIZES = (
    *("--n-base", "16000", "--n-sft", "8000", "--n-train", "3000", "--n-val", "150", "--routes", "3"),
    *("--contrast-share", "0.75", "--brief-share", "0.9"),
)
# Steps of 16 rows each.
BASE_STEPS = 900
SFT_STEPS = 220
HARVEST_STEPS = 60
HARVEST_LR = 1.0e-3
PLAIN = ("realm.schedule.kind=constant", "realm.schedule.start=0.0")  # GRPO: nobody sees a route
LEAST_STEPS = 4  # of a round: fewer leave no quarter without routes


@dataclass(frozen=True)
class Plan:
    """Where and how much.

    Attributes:
        run: the run folder.
        steps: RL steps, of all rounds.
        control: also run plain GRPO, in as many steps and rounds, with SFT on its own right chains.
        rounds: of RL; between two of them SFT on the own right guided chains of the one before.
    """

    run: Path
    steps: int
    control: bool
    rounds: int = 2

    def checkpoint(self, name: str) -> str:
        """The Hugging Face folder of a trained model: base, sft, rl (after the last round) or grpo."""
        if name == "base":
            return self.at("base")
        if name == "sft":
            return sft_model(self.at("sft"), SFT_STEPS)
        return self.at(name, "huggingface")

    def round(self, number: int, part: str = "rl") -> Path:
        """The folder of a round of RL (`part` rl or grpo), as `realm_ext.report.rounds` finds it."""
        return self.run / part if number == self.rounds else self.run / part / f"round{number}"

    def steps_of(self, number: int) -> int:
        """RL steps of a round; what is left over goes to the first ones."""
        return self.steps // self.rounds + (number <= self.steps % self.rounds)

    def at(self, *parts: str) -> str:
        """A path inside the run folder."""
        return str(self.run.joinpath(*parts))


def plan_stages(plan: Plan) -> list[Stage]:
    """The stages of quickstart, in order."""
    stages = [
        Stage(
            "data",
            "questions, routes and the program teacher's distilled chains",
            (*realm_command(), "prep", "search-relevance", plan.at("data"), *DATA_SIZES),
            (plan.run / "data" / "train.parquet", plan.run / "data" / "provenance.json"),
        ),
        Stage(
            "base",
            "a small Qwen2 from nothing: the domain's text and the response grammar, no rules",
            (
                *(*realm_command(), "demo-model", plan.at("data", "base.parquet"), plan.checkpoint("base")),
                *("--steps", str(BASE_STEPS), "--domain", "search_relevance"),
            ),
            (plan.run / "base" / "config.json",),
            environment(),
        ),
        sft_stage(
            plan.checkpoint("base"),
            plan.at("data", "sft.parquet"),
            plan.at("sft"),
            SFT_STEPS,
            plan.at("logs"),
        ),
        _evaluate(plan, "sft"),
        *_rounds(plan, "rl"),
        _evaluate(plan, "rl"),
    ]
    if plan.control:
        stages += [*_rounds(plan, "grpo"), _evaluate(plan, "grpo")]
    stages.append(
        Stage(
            "report",
            "curves and tables",
            (*realm_command(), "report", str(plan.run)),
            (plan.run / "report" / "index.html",),
        )
    )
    return stages


def quickstart(
    run_dir: Annotated[Path, typer.Option(help="Where everything goes; run again to resume.")] = Path(
        "runs/quickstart"
    ),
    steps: Annotated[int, typer.Option(help="RL steps, of all rounds.", min=LEAST_STEPS)] = 40,
    rounds: Annotated[int, typer.Option(help="Rounds of RL, SFT on the own chains between.", min=1)] = 2,
    control: Annotated[
        bool, typer.Option(help="Also run plain GRPO, with the same steps, rounds and SFT.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Print the commands and stop.")] = False,
) -> None:
    """Run ReaLM from nothing to a report on a machine without a GPU: realm quickstart"""
    console = Console()
    if steps < LEAST_STEPS * rounds:
        raise typer.BadParameter(f"--steps {steps} are too few for {rounds} rounds of {LEAST_STEPS} or more")
    plan = Plan(run_dir.absolute(), steps, control, rounds)
    if other := _other_rounds(plan):
        raise typer.BadParameter(f"{plan.run} holds a run in {other}: give another --run-dir, or remove it")
    stages = plan_stages(plan)
    if dry_run:
        for stage in stages:
            console.print(f"# {stage.name}: {stage.says}", style="dim", highlight=False, soft_wrap=True)
            print(shlex.join(stage.command))
        return
    begun = time.time()
    try:
        records = run_stages(stages, plan.run, console)
    except StageFailedError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        console.print("Mend the cause and run the same command again; what is done stays done.")
        raise typer.Exit(1) from None
    table = Table("stage", "seconds", "status", title="realm quickstart")
    for record in records:
        table.add_row(record["name"], f"{record['seconds']:.0f}", record["status"])
    table.add_row("all, this time", f"{time.time() - begun:.0f}", "")
    console.print(table)
    print(
        (plan.run / "logs" / "report.log").read_text(encoding="utf-8").rpartition("$ ")[2].partition("\n")[2]
    )
    console.print(f"Report: {plan.run / 'report' / 'index.html'}", highlight=False)


def realm_command() -> tuple[str, ...]:
    """The command `realm` of this environment."""
    return (sys.executable, "-m", "realm_ext.cli")


def sft_stage(
    base: str,
    train_file: str,
    out: str,
    steps: int,
    logs: str,
    overrides: Sequence[str] = (),
    *,
    name: str = "sft",
    says: str = "guided distillation, contrast rows included (verl SFT)",
) -> Stage:
    """verl's SFT trainer from `base`, for `steps` steps; its model is `sft_model(out, steps)`."""
    command = (
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"),
        *("-m", "verl.trainer.sft_trainer", "--config-path", str(find_folder(Folder.CONFIGS))),
        *("--config-name", "realm_quickstart_sft"),
        f"model.path={base}",
        f"data.train_files={train_file}",
        f"trainer.total_training_steps={steps}",
        f"trainer.default_local_dir={out}",
        f"hydra.run.dir={logs}",
        *overrides,
    )
    return Stage(name, says, command, (Path(sft_model(out, steps)) / "config.json",), environment())


def sft_model(out: str, steps: int) -> str:
    """The Hugging Face folder that `sft_stage` writes."""
    return str(Path(out, f"global_step_{steps}", "huggingface"))


def rl_stages(
    name: str,
    says: str,
    *,
    model: str,
    train_file: str,
    val_file: str,
    steps: int,
    fade_steps: int,
    folder: Path,
    logs: str,
    overrides: Sequence[str] = (),
) -> list[Stage]:
    """RL from `model` by the recipe realm_quickstart, then the merge of its last checkpoint.

    The model is `folder/huggingface`, the metrics are in `folder/tensorboard`.
    """
    train = (
        *(sys.executable, "-m", "verl.trainer.main_ppo", "--config-path", str(find_folder(Folder.CONFIGS))),
        *("--config-name", "realm_quickstart"),
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={train_file}",
        f"data.val_files={val_file}",
        f"trainer.total_training_steps={steps}",
        f"realm.schedule.fade_steps={fade_steps}",
        f"trainer.experiment_name={name}",
        f"trainer.default_local_dir={folder / 'checkpoints'}",
        f"hydra.run.dir={logs}",
        *overrides,
    )
    last = folder / "checkpoints" / f"global_step_{steps}" / "actor"
    merge = (
        *(sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"),
        *("--local_dir", str(last), "--target_dir", str(folder / "huggingface")),
    )
    return [
        Stage(name, says, train, (last,), environment() | {"TENSORBOARD_DIR": str(folder / "tensorboard")}),
        Stage(
            f"merge_{name}",
            "sharded checkpoint to a Hugging Face folder (verl model_merger)",
            merge,
            (folder / "huggingface" / "config.json",),
            environment(),
        ),
    ]


def evaluation_stage(name: str, says: str, model: str, tasks: str, include: str, out: Path) -> Stage:
    """lm_eval with greedy decoding; every response is logged."""
    command = (
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf"),
        *("--model_args", f"pretrained={model},dtype=float32"),
        *("--tasks", tasks, "--include_path", include),
        *("--apply_chat_template", "--batch_size", "100", "--device", "cpu"),
        *("--output_path", str(out), "--log_samples"),
    )
    return Stage(name, says, command, (out,), environment())


def environment() -> dict[str, str]:
    """Offline, and one thread a process: OpenMP threads that wait for each other stall where cores are shared."""
    return {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "RAY_DEDUP_LOGS": "1",
    }


def _rounds(plan: Plan, part: str) -> list[Stage]:
    """RL in rounds; the next begins with SFT on what the last did right. `part`: rl (routes fade), or grpo (no routes)."""
    stages: list[Stage] = []
    model = plan.checkpoint("sft")
    what = "ReaLM{}: routes fade from the prompt" if part == "rl" else "control{}: plain GRPO, no routes"
    for number in range(1, plan.rounds + 1):
        folder, is_last = plan.round(number, part), number == plan.rounds
        overrides = [f"data.seed={number}", f"realm.seed={number}"] if plan.rounds > 1 else []
        overrides += PLAIN if part == "grpo" else ()
        if not is_last:
            overrides.append(f"trainer.rollout_data_dir={folder / 'rollouts'}")
        which = f", round {number} of {plan.rounds}" if plan.rounds > 1 else ""
        stages += _rl(
            plan,
            part if is_last else f"{part}_round{number}",
            f"{what.format(which)} (verl GRPO, realm_sync)",
            folder,
            model,
            plan.steps_of(number),
            overrides,
        )
        if not is_last:
            stages += _harvest(plan, part, number)
            model = sft_model(str(folder / "sft"), HARVEST_STEPS)
    return stages


def _harvest(plan: Plan, part: str, number: int) -> list[Stage]:
    """The right chains of a round, and SFT on them: guided ones with routes stripped, or as many of the control's own."""
    folder = plan.round(number, part)
    harvested = folder / "harvest"
    command = (
        *(*realm_command(), "routes", "harvest", str(folder / "rollouts"), str(harvested)),
        *("--data", plan.at("data", "train.parquet"), "--replay", plan.at("data", "sft.parquet")),
    )
    says = f"round {number}: the right guided chains, every word on routes taken out"
    suffix = f"round{number}"
    if part == "grpo":
        command += (
            "--unguided",
            "--as-many-as",
            str(plan.round(number) / "harvest" / "sft.parquet"),
        )
        says = f"control, round {number}: its own right chains, no more of them (rejection sampling)"
        suffix = f"grpo_{suffix}"
    name = f"sft_{suffix}"
    sft = sft_stage(
        str(folder / "huggingface"),
        f"[{harvested / 'sft.parquet'},{harvested / 'replay.parquet'}]",
        str(folder / "sft"),
        HARVEST_STEPS,
        plan.at("logs"),
        (f"optim.lr={HARVEST_LR}", f"trainer.experiment_name={name}"),
        name=name,
        says="SFT on these chains, and on as many contrast rows (verl SFT)",
    )
    return [Stage(f"harvest_{suffix}", says, command, (harvested / "sft.parquet",)), sft]


def _other_rounds(plan: Plan) -> str:
    """What another number of rounds left in the run folder, whose curves would be taken for this run's; "" for nothing."""
    for part in ("rl", "grpo") if plan.control else ("rl",):
        *earlier, last = round_folders(plan.run / part)
        begun = (last / "tensorboard").exists()
        if len(earlier) >= plan.rounds or (begun and len(earlier) < plan.rounds - 1):
            return f"{len(earlier) + 1} round{'s' if earlier else ''} of {part}"
    return ""


def _rl(
    plan: Plan, name: str, says: str, folder: Path, model: str, steps: int, overrides: Sequence[str] = ()
) -> list[Stage]:
    return rl_stages(
        name,
        says,
        model=model,
        train_file=plan.at("data", "train.parquet"),
        val_file=plan.at("data", "val.parquet"),
        steps=steps,
        fade_steps=steps * 3 // 4,
        folder=folder,
        logs=plan.at("logs"),
        overrides=overrides,
    )


def _evaluate(plan: Plan, name: str) -> Stage:
    says = f"{name}: lm_eval, with and without routes in the prompt"
    include = str(find_folder(Folder.EVAL_TASKS))
    return evaluation_stage(
        f"eval_{name}", says, plan.checkpoint(name), TASKS, include, plan.run / "eval" / name
    )
