"""The commands of the study: what every arm shares, and what one (arm, seed) adds. All real: verl, vLLM, lm-eval.

Serves docs/study_plan.md. Each chain has its own folder and its own record (`realm_ext.stages`), so a killed study goes
on at the stage where it stopped. The folder of everything shared carries the hash of its settings.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.study.plan import RULES, Arm, Study
from benchmarks.study.tasks import FOLDER, VARIABLE
from realm_ext.quickstart import environment, evaluation_stage, realm_command, rl_stages, sft_model, sft_stage
from realm_ext.stages import Stage

TASKS = "study_unguided,study_guided,study_arithmetic"


@dataclass(frozen=True)
class Chain:
    """Stages that run in order, and the folder that keeps their record and logs."""

    folder: Path
    stages: list[Stage]


@dataclass(frozen=True)
class Layout:
    """Where the study's files go: `root` for what its settings decide, a folder for each seed and arm below it."""

    study_file: Path
    study: Study
    runs: Path

    @property
    def root(self) -> Path:
        return self.runs / self.study.shared_hash()

    def test(self, kind: str = "") -> Path:
        """The folder of a test, of `plan.TESTS`."""
        return self.root / f"test_{kind}" if kind else self.root / "test"

    @property
    def base(self) -> Path:
        return self.root / "base"

    def seed(self, seed: int) -> Path:
        return self.root / f"seed{seed}"

    def data(self, seed: int) -> Path:
        return self.seed(seed) / "data"

    def bank(self, arm: Arm, seed: int) -> Path:
        """The training file whose rows hold the arm's routes."""
        name = "train" if arm.bank == "all" else f"train_{arm.bank}"
        return self.data(seed) / f"{name}.parquet"

    def arm(self, arm: Arm, seed: int) -> Path:
        return self.seed(seed) / f"{arm.name}-{self.study.config_hash(arm)}"

    def start_steps(self, start: str) -> int:
        return self.study.model.positives_steps if start == "positives" else self.study.model.sft_steps

    def start_model(self, start: str, seed: int) -> str:
        """The checkpoint that an arm begins with."""
        if start == "base":
            return str(self.base / "model")
        return sft_model(str(self.seed(seed) / start / "checkpoints"), self.start_steps(start))

    def model(self, arm: Arm, seed: int) -> str:
        """The checkpoint that is measured."""
        return str(self.arm(arm, seed) / "huggingface") if arm.train else self.start_model(arm.start, seed)


def chains(layout: Layout, arm: Arm, seed: int) -> list[Chain]:
    """All that an (arm, seed) needs, what other arms share first."""
    found = [_test(layout, arm.test)]
    if arm.vote:
        return found
    found += [_data(layout, 0), _base(layout), *([_data(layout, seed)] if seed else [])]
    if arm.start != "base":
        found.append(_start(layout, arm.start, seed))
    return [*found, _arm(layout, arm, seed)]


def _test(layout: Layout, kind: str) -> Chain:
    folder = layout.test(kind)
    command = (
        *(sys.executable, "-m", "benchmarks.study.data", "test"),
        *(str(layout.study_file), str(layout.study.test_questions), str(folder), *([kind] if kind else [])),
    )
    says = "the fixed test questions" + (", the rules before each" if kind else "")
    return Chain(folder, [Stage("test", says, command, (folder / "test.jsonl",))])


def _data(layout: Layout, seed: int) -> Chain:
    folder = layout.data(seed)
    command = (
        *(sys.executable, "-m", "benchmarks.study.data", "train"),
        *(str(layout.study_file), str(seed), str(folder)),
    )
    return Chain(folder, [Stage("data", f"data and banks of seed {seed}", command, (folder / "done",))])


def _base(layout: Layout) -> Chain:
    """One `base` for all seeds, from the data of seed 0: the model that everybody starts from."""
    model, out = layout.study.model, layout.base / "model"
    command = (
        *(*realm_command(), "demo-model", str(layout.data(0) / "base.parquet"), str(out)),
        *("--steps", str(model.base_steps), "--domain", "search_relevance"),
        *("--hidden", str(model.hidden), "--layers", str(model.layers)),
    )
    says = "the demo model: text, grammar, arithmetic; no rule"
    return Chain(layout.base, [Stage("base", says, command, (out / "config.json",), environment())])


def _start(layout: Layout, start: str, seed: int) -> Chain:
    folder, data = layout.seed(seed) / start, layout.data(seed)
    rows = data / ("sft_positives.parquet" if start == "positives" else "sft.parquet")
    stages: list[Stage] = []
    overrides: tuple[str, ...] = ()
    if start in RULES:
        rows = folder / "sft.parquet"
        command = (
            *(sys.executable, "-m", "benchmarks.study.data", "rules"),
            *(str(layout.study_file), str(seed), start, str(data), str(rows)),
        )
        stages.append(Stage("rows", f"SFT rows: {start}", command, (rows,)))
        overrides = ("data.max_length=1024",)  # the rules alone take half of the recipe's
    stages.append(
        sft_stage(
            str(layout.base / "model"),
            str(rows),
            str(folder / "checkpoints"),
            layout.start_steps(start),
            str(folder / "logs"),
            overrides,
        )
    )
    return Chain(folder, stages)


def _arm(layout: Layout, arm: Arm, seed: int) -> Chain:
    folder, steps = layout.arm(arm, seed), arm.steps or layout.study.rl.steps
    stages: list[Stage] = []
    if arm.harvest:
        stages = _harvest_rounds(layout, arm, seed, steps // 2)
    elif arm.train:
        stages = _round(layout, arm, seed, "rl", folder, layout.start_model(arm.start, seed), steps, seed)
    out = folder / "eval"
    test = evaluation_stage("eval", "lm_eval on the test", layout.model(arm, seed), TASKS, str(FOLDER), out)
    variables = {**test.environment, VARIABLE: str(layout.test(arm.test))}
    stages.append(Stage(test.name, test.says, test.command, test.outputs, variables))
    return Chain(folder, stages)


def _round(
    layout: Layout,
    arm: Arm,
    seed: int,
    name: str,
    folder: Path,
    model: str,
    steps: int,
    data_seed: int,
    *overrides: str,
) -> list[Stage]:
    """RL for `steps` steps from `model`, its own fade included, and the merge."""
    rl = layout.study.rl
    return rl_stages(
        name,
        f"{arm.name}, seed {seed}: {arm.says}",
        model=model,
        train_file=str(layout.bank(arm, seed)),
        val_file=str(layout.data(seed) / "val.parquet"),
        steps=steps,
        fade_steps=round(rl.fade_steps * steps / rl.steps),
        folder=folder,
        logs=str(layout.arm(arm, seed) / "logs"),
        overrides=(
            f"data.train_batch_size={rl.questions}",
            f"actor_rollout_ref.actor.ppo_mini_batch_size={rl.questions}",
            f"actor_rollout_ref.rollout.n={rl.rollouts}",
            f"data.seed={data_seed}",
            f"realm.seed={data_seed}",
            f"realm.max_routes={layout.study.data.routes}",
            *rl.overrides,
            *arm.overrides,
            *overrides,
        ),
    )


def _harvest_rounds(layout: Layout, arm: Arm, seed: int, steps: int) -> list[Stage]:
    """A round, SFT on its right chains, none of which speaks of routes, and a second round on other questions."""
    folder, rl = layout.arm(arm, seed), layout.study.rl
    first, rollouts, harvested = first_round(folder), folder / "rollouts", folder / "harvest"
    rows, between = folder / "harvest.parquet", folder / "sft"
    train, sft = layout.data(seed) / "train.parquet", layout.data(seed) / "sft.parquet"
    if arm.harvest == "guided":
        says = "right guided chains, routes stripped"
        command = (*realm_command(), "routes", "harvest", str(rollouts), str(harvested), "--data", str(train))
    else:
        says = "right unguided chains (rejection sampling)"
        data = (sys.executable, "-m", "benchmarks.study.data")
        command = (*data, "own", str(rollouts), str(train), str(harvested / "sft.parquet"))
    merge = (*(sys.executable, "-m", "benchmarks.study.data", "harvest"), str(harvested / "sft.parquet"))
    model = layout.start_model(arm.start, seed)
    return [
        *_round(
            layout, arm, seed, "round1", first, model, steps, seed, f"trainer.rollout_data_dir={rollouts}"
        ),
        Stage("harvest", says, command, (harvested,)),
        Stage("harvest_rows", "with rows of the first SFT", (*merge, str(sft), str(rows)), (rows,)),
        sft_stage(
            str(first / "huggingface"),
            str(rows),
            str(between),
            rl.harvest_steps,
            str(folder / "logs"),
            (f"optim.lr={rl.harvest_lr}",),
        ),
        *_round(
            layout,
            arm,
            seed,
            "round2",
            folder,
            sft_model(str(between), rl.harvest_steps),
            steps,
            seed + 1_000,
        ),
    ]


def first_round(folder: Path) -> Path:
    """Where an arm that harvests keeps its first round, below its own folder."""
    return folder / "round1"
