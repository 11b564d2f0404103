"""The last line of a failed run: what ended it, the last whole checkpoint, the command that goes on."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from realm_ext import checkpoints
from realm_ext.last_line import last_line

COMMAND = [
    "python",
    "-m",
    "verl.trainer.main_ppo",
    "--config-name",
    "realm_zero",
    "data.train_files=a b.parquet",
]
SHELL = "python -m verl.trainer.main_ppo --config-name realm_zero 'data.train_files=a b.parquet'"
NODE_DIED = """ray::TaskRunnerV1.run() (pid=1, ip=10.0.0.1)
  File "trainer_base.py", line 5, in fit
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
\tclass_name: WorkerDict
The actor is dead because its node has died. Node Id: 06cbd5c5
"""
RESET = """ray::WorkerDict.actor_update() (pid=7, ip=10.0.0.2)
RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:547] Read error [10.0.0.1]:1234: Connection reset by peer
"""


def config(root: Path, **trainer: Any) -> Any:
    given = {"default_local_dir": str(root), "resume_mode": "auto", "nnodes": 1, "n_gpus_per_node": 1}
    return OmegaConf.create({"trainer": given | trainer})


def save(root: Path, step: int) -> Path:
    folder = checkpoints.step_folder(root, step)
    checkpoints.open_for_writing(root, step)
    (folder / "actor").mkdir()
    (folder / "actor" / "model.pt").write_bytes(b"x")
    (folder / "data.pt").write_bytes(b"x")
    checkpoints.mark_whole(root, step, {})
    return folder


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError(NODE_DIED),
            "a node died (The actor is dead because its node has died. Node Id: 06cbd5c5)",
        ),
        (
            RuntimeError(RESET),
            "a worker lost its connection to another one, which died or was cut off (RuntimeError:",
        ),
        (
            RuntimeError("x\nray.exceptions.ActorDiedError: worker crashed"),
            "a worker process or its node died (ray.exceptions",
        ),
        (
            RuntimeError("x\ntorch.OutOfMemoryError: CUDA out of memory."),
            "a process ran out of memory (torch.",
        ),
        (ValueError("bad row"), "the run ended: ValueError: bad row. "),
        (KeyError(), "the run ended: KeyError. "),
    ],
)
def test_what_ended_it(error: Exception, said: str, tmp_path: Path) -> None:
    line = last_line(error, config(tmp_path), COMMAND)
    assert said in line
    assert "\n" not in line


def test_it_names_the_last_whole_checkpoint_and_the_command(tmp_path: Path) -> None:
    save(tmp_path, 2)
    save(tmp_path, 4)
    (checkpoints.step_folder(tmp_path, 6) / "actor").mkdir(parents=True)
    line = last_line(RuntimeError(RESET), config(tmp_path), COMMAND)
    assert f"The last whole checkpoint is {tmp_path}/global_step_4: " in line
    assert line.endswith(f"the same command goes on from there: {SHELL}")
    more = last_line(RuntimeError(RESET), config(tmp_path, resume_mode="disable", nnodes=2), COMMAND)
    assert (
        "the same command and trainer.resume_mode=auto goes on from there with 2 training workers again"
        in more
    )


def test_without_a_checkpoint_it_starts_over(tmp_path: Path) -> None:
    line = last_line(RuntimeError(RESET), config(tmp_path / "none"), COMMAND)
    assert line.endswith(
        f"There is no whole checkpoint in {tmp_path}/none yet: the same command starts over: {SHELL}"
    )


def test_half_a_checkpoint_is_told(tmp_path: Path) -> None:
    actor = checkpoints.step_folder(tmp_path, 4) / "actor"
    actor.mkdir(parents=True)
    (actor / "model_world_size_2_rank_1.pt").write_bytes(b"x")
    line = last_line(RuntimeError(RESET), config(tmp_path, nnodes=2), COMMAND)
    assert f"Checkpoints in {tmp_path} lie partly on another machine" in line


PROGRAM = """
import sys, hydra

@hydra.main(config_path=None, config_name=None, version_base=None)
def main(config):
    if config.fail:
        raise RuntimeError("Connection reset by peer")

main()
"""


@pytest.mark.parametrize("fails", [True, False])
def test_hydra_prints_it_last_and_keeps_the_traceback(fails: bool, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = [
        f"hydra.run.dir={tmp_path}",
        "+hydra.callbacks.realm._target_=realm_ext.last_line.LastLine",
        f"+trainer.default_local_dir={tmp_path / 'none'}",
        "+trainer.resume_mode=auto",
        f"+fail={str(fails).lower()}",
    ]
    done = subprocess.run(
        [sys.executable, str(program), *options], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == int(fails)
    lines = done.stderr.strip().splitlines()
    assert any("Traceback" in line or "Error executing job" in line for line in lines) == fails
    assert (
        bool(lines and lines[-1].startswith("[realm] the run ended: a worker lost its connection")) == fails
    )
