"""The plan of `realm quickstart`: real commands, in an order in which each finds what it needs."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realm_ext import quickstart as module
from realm_ext.cli import app
from realm_ext.paths import Folder, find_folder
from realm_ext.quickstart import Plan, plan_stages
from realm_ext.stages import Stage, StageFailedError


def stages(run: Path, steps: int = 40, control: bool = False, rounds: int = 2) -> list[Stage]:
    return plan_stages(Plan(run, steps, control, rounds))


def overrides(stage: Stage) -> dict[str, str]:
    """The Hydra overrides of a stage's command."""
    return dict(part.split("=", 1) for part in stage.command if "=" in part and not part.startswith("-"))


@pytest.mark.parametrize("control", [False, True])
def test_names_are_unique_and_say_what_happens(tmp_path: Path, control: bool) -> None:
    planned = stages(tmp_path, control=control)
    assert len({stage.name for stage in planned}) == len(planned)
    assert all(stage.says and stage.outputs for stage in planned)
    assert planned[-1].name == "report"


def test_control_adds_a_run_without_routes_before_the_report(tmp_path: Path) -> None:
    plain, with_control = stages(tmp_path), stages(tmp_path, control=True)
    added = [stage.name for stage in with_control if stage.name not in {s.name for s in plain}]
    first = ["grpo_round1", "merge_grpo_round1", "harvest_grpo_round1", "sft_grpo_round1"]
    assert added == [*first, "grpo", "merge_grpo", "eval_grpo"]
    assert [stage for stage in with_control if stage.name not in added] == plain
    one_round = stages(tmp_path, control=True, rounds=1)
    assert [s.name for s in one_round if s.name in added] == ["grpo", "merge_grpo", "eval_grpo"]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_the_control_differs_in_routes_alone(tmp_path: Path, rounds: int) -> None:
    """Stage by stage: as many rounds, steps and SFT steps; other folders, no route, its own right chains."""
    planned = stages(tmp_path, control=True, rounds=rounds)
    trained = [
        s
        for s in planned
        if re.fullmatch(
            r"(merge_|harvest_|sft_)?(rl_|grpo_)?round\d|(merge_)?(rl|grpo)(_round\d)?|"
            r"(harvest|sft)_grpo_round\d",
            s.name,
        )
    ]
    ours, control = trained[: len(trained) // 2], trained[len(trained) // 2 :]
    assert len(ours) == len(control) == 2 * rounds + 2 * (rounds - 1)
    for our, its in zip(ours, control, strict=True):
        assert "grpo" in its.name and "grpo" not in our.name
        mine = [word.replace("/rl/", "/grpo/").replace("=rl", "=grpo") for word in our.command]
        more = [word for word in its.command if word not in mine]
        less = [word for word in mine if word not in its.command]
        if our.name.startswith("harvest"):
            assert more == ["--unguided", "--as-many-as", str(our.outputs[0])] and not less
        elif our.name.startswith("sft"):
            assert (more, less) == (
                [f"trainer.experiment_name={its.name}"],
                [f"trainer.experiment_name={our.name}"],
            )
        elif our.name.startswith("merge"):
            assert not more and not less
        else:
            assert more == ["realm.schedule.kind=constant", "realm.schedule.start=0.0"] and not less


def test_every_program_exists(tmp_path: Path) -> None:
    pytest.importorskip("verl")
    commands = {entry.name for entry in entry_points(group="realm.commands")}
    for stage in stages(tmp_path, control=True):
        assert shutil.which(stage.command[0]), stage.command[0]
        modules = [
            after for word, after in zip(stage.command, stage.command[1:], strict=False) if word == "-m"
        ]
        assert modules
        for name in modules:
            assert importlib.util.find_spec(name), name
        if "realm_ext.cli" in modules:
            assert stage.command[stage.command.index("realm_ext.cli") + 1] in commands


def test_realms_own_commands_run_as_the_plan_runs_them(tmp_path: Path) -> None:
    for stage in stages(tmp_path):
        if "realm_ext.cli" in stage.command:
            command = stage.command[: stage.command.index("realm_ext.cli") + 2]
            done = subprocess.run(
                [*command, "--help"], capture_output=True, text=True, check=True, timeout=120
            )
            assert "Usage" in done.stdout, command


def test_each_stage_finds_what_it_reads(tmp_path: Path) -> None:
    """Every path in the run folder that a command reads was made by a stage before it."""
    made: list[Path] = []
    own = {"default_local_dir", "run.dir"}
    for stage in stages(tmp_path, control=True):
        for word in stage.command:
            key, _, value = word.rpartition("=")
            path = Path(value.strip("[]").partition(",")[0])
            if key.endswith("rollout_data_dir"):
                made.append(path)
            if not path.is_relative_to(tmp_path) or path == tmp_path or any(key.endswith(o) for o in own):
                continue
            is_output = any(
                out == path or out.is_relative_to(path) or path == out.parent for out in stage.outputs
            )
            known = any(path.is_relative_to(folder) for folder in made)
            assert is_output or known, f"{stage.name} reads {path}, which no stage before it makes"
        made += [out if out.suffix == "" else out.parent for out in stage.outputs]


def test_the_last_quarter_is_unguided_at_any_length(tmp_path: Path) -> None:
    for rounds in (1, 2, 3):
        for steps in range(4 * rounds, 60):
            rl = [s for s in stages(tmp_path, steps, rounds=rounds) if "verl.trainer.main_ppo" in s.command]
            given = [overrides(stage) for stage in rl]
            assert len(rl) == rounds
            own = [int(each["trainer.total_training_steps"]) for each in given]
            assert sum(own) == steps and max(own) - min(own) <= 1
            for stage, each, n in zip(rl, given, own, strict=True):
                assert 0 < int(each["realm.schedule.fade_steps"]) <= 0.75 * n
                assert stage.outputs[0].parent.name == f"global_step_{n}"


def test_a_round_starts_from_sft_on_what_the_one_before_did_right(tmp_path: Path) -> None:
    planned = {stage.name: stage for stage in stages(tmp_path, rounds=2)}
    order = ["rl_round1", "merge_rl_round1", "harvest_round1", "sft_round1", "rl", "merge_rl"]
    assert [name for name in planned if name in order] == order
    first, between, second = (overrides(planned[name]) for name in ("rl_round1", "sft_round1", "rl"))
    assert str(tmp_path / "rl/round1/rollouts") == first["trainer.rollout_data_dir"]
    assert first["trainer.rollout_data_dir"] in planned["harvest_round1"].command
    assert between["model.path"] == str(tmp_path / "rl/round1/huggingface")
    harvested = tmp_path / "rl/round1/harvest"
    assert between["data.train_files"] == f"[{harvested / 'sft.parquet'},{harvested / 'replay.parquet'}]"
    assert Path(second["actor_rollout_ref.model.path"]).is_relative_to(between["trainer.default_local_dir"])
    assert first["data.seed"] != second["data.seed"], "other questions in each round"
    evaluated = next(word for word in planned["eval_rl"].command if word.startswith("pretrained="))
    assert f"{tmp_path / 'rl/huggingface'}," in evaluated
    assert "trainer.rollout_data_dir" not in second


@pytest.mark.parametrize(
    ("left", "options", "says"),
    [
        ("rl/tensorboard", ("--rounds", "2"), "holds a run in 1 round of rl:"),
        ("rl/round1", ("--rounds", "1"), "holds a run in 2 rounds of rl:"),
        ("rl/round1/tensorboard", ("--rounds", "1"), "holds a run in 2 rounds of rl:"),
        ("grpo/tensorboard", ("--control",), "holds a run in 1 round of grpo:"),
    ],
)
def test_a_folder_with_other_rounds_is_refused(
    tmp_path: Path, left: str, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / left).mkdir(parents=True)
    done = CliRunner().invoke(app, ["quickstart", "--dry-run", "--run-dir", str(tmp_path), *options])
    assert done.exit_code == 2 and says in " ".join(done.stderr.replace("│", " ").split())
    fits = CliRunner().invoke(
        app, ["quickstart", "--dry-run", "--run-dir", str(tmp_path / "new"), "--rounds", "3"]
    )
    assert fits.exit_code == 0 and "rl_round2" in fits.stdout and "rl_round3" not in fits.stdout


def test_too_few_steps_for_the_rounds_are_refused() -> None:
    done = CliRunner().invoke(app, ["quickstart", "--dry-run", "--steps", "7"])
    assert done.exit_code == 2 and "too few for 2 rounds" in " ".join(done.stderr.split())


def test_hydra_takes_every_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("verl")
    hydra = pytest.importorskip("hydra")
    monkeypatch.chdir(tmp_path)
    with hydra.initialize_config_dir(config_dir=str(find_folder(Folder.CONFIGS)), version_base=None):
        for stage in stages(tmp_path, control=True):
            if "--config-name" not in stage.command:
                continue
            name = stage.command[stage.command.index("--config-name") + 1]
            given = [word for word in overrides(stage).items() if not word[0].startswith("hydra.")]
            config = hydra.compose(name, overrides=[f"{key}={value}" for key, value in given])
            assert config.trainer.experiment_name == stage.name


def test_the_recipes_alone_name_what_quickstart_makes() -> None:
    """A user who starts a recipe by hand after the quickstart finds its checkpoints."""
    pytest.importorskip("verl")
    hydra = pytest.importorskip("hydra")
    with hydra.initialize_config_dir(config_dir=str(find_folder(Folder.CONFIGS)), version_base=None):
        rl, sft = (hydra.compose(name) for name in ("realm_quickstart", "realm_quickstart_sft"))
    plan = Plan(Path("runs/quickstart"), 40, control=False)
    assert rl.actor_rollout_ref.model.path == plan.checkpoint("sft")
    assert sft.model.path == plan.checkpoint("base")
    assert sft.trainer.total_training_steps == module.SFT_STEPS


def test_dry_run_prints_the_commands_and_does_nothing(tmp_path: Path) -> None:
    run = tmp_path / "a folder" / "run"
    done = CliRunner().invoke(app, ["quickstart", "--dry-run", "--run-dir", str(run), "--control"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    printed = [tuple(shlex.split(line)) for line in lines if line and not line.startswith("#")]
    planned = stages(run, control=True)
    assert printed == [stage.command for stage in planned]
    assert [line.split(":")[0] for line in lines if line.startswith("#")] == [f"# {s.name}" for s in planned]
    assert not run.parent.exists()


def test_a_relative_run_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["quickstart", "--dry-run", "--run-dir", "here"])
    assert f"{tmp_path / 'here' / 'data'}" in done.stdout


def test_too_few_steps_are_refused() -> None:
    done = CliRunner().invoke(app, ["quickstart", "--dry-run", "--steps", "3"])
    assert done.exit_code != 0 and "--steps" in done.stderr


def test_a_failed_stage_ends_the_command_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StageFailedError("stage data ended with exit code 3.\nLog: [red]data.log")

    monkeypatch.setattr(module, "run_stages", fail)
    done = CliRunner().invoke(app, ["quickstart", "--run-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "exit code 3" in done.output and "Log: [red]data.log" in done.output
    assert "run the same command again" in done.output


def test_the_table_names_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(planned: list[Stage], run: Path, console: object) -> list[dict[str, object]]:
        (run / "logs").mkdir()
        (run / "logs" / "report.log").write_text("$ realm report old\nold\n$ realm report new\nthe tables\n")
        return [{"name": stage.name, "seconds": 61.4, "status": "done"} for stage in planned]

    monkeypatch.setattr(module, "run_stages", finish)
    done = CliRunner().invoke(app, ["quickstart", "--run-dir", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for stage in stages(tmp_path):
        assert stage.name in done.stdout
    assert "the tables" in done.stdout and "old" not in done.stdout.replace(str(tmp_path), "")
