"""The last line of a run that failed: what ended it, the last whole checkpoint, and the command that goes on from there.

A Hydra callback, named in the recipes: Ray and Hydra print a traceback of the process that saw the failure first, often
another one than failed, and no word on how to go on.
"""

import atexit
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from realm_ext import checkpoints

# What a lost machine or process looks like from the others; the first that is found is said.
_DEATHS = {
    "a node died": r"its node has died|NodeDiedError|node .{0,80}(?:was|is) (?:dead|terminated)",
    "a process ran out of memory": r"OutOfMemoryError|out of memory|OOM",
    "a worker process or its node died": r"ActorDiedError|ActorUnavailableError|WorkerCrashedError|actor died",
    "a worker lost its connection to another one, which died or was cut off": (
        r"Connection (?:reset|closed|refused)|Socket closed|connectFullMesh failed|(?:Timed out waiting|Timeout).*gloo|"
        r"collective operation timeout"
    ),
}
_LONGEST_REASON = 400


class LastLine(Callback):
    """Hydra callback: prints `last_line` when this process ends, if the job failed."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Hydra prints the traceback after this, so the line waits for the end of the process."""
        if job_return.status != JobStatus.FAILED:
            return
        try:
            _ = job_return.return_value
        except Exception as error:  # noqa: BLE001 (Hydra hands it over by raising it)
            atexit.register(_say_last, last_line(error, job_return.cfg, sys.orig_argv))


def _say_last(line: str) -> None:
    if ray := sys.modules.get("ray"):
        ray.shutdown()  # prints what it still holds back of the workers' output
    print(f"\n[realm] {line}", file=sys.stderr, flush=True)


def last_line(error: BaseException, config: Any, command: list[str]) -> str:
    """What to say of a failed run.

    Args:
        error: what the run ended with.
        config: of the run; `trainer.default_local_dir`, `resume_mode` and the number of workers are read.
        command: as it was started, argument by argument.
    """
    trainer = config.trainer
    return f"the run ended: {_what_ended_it(error)}. {_how_to_go_on(trainer, shlex.join(command))}"


def _what_ended_it(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for name, pattern in _DEATHS.items():
        matched = [line for line in lines if re.search(pattern, line)]
        if matched:
            return f"{name} ({_short(matched[-1])})"
    return _short(lines[-1])


def _how_to_go_on(trainer: Any, command: str) -> str:
    root = Path(trainer.default_local_dir).absolute()
    found = checkpoints.find(root)
    if found.split:
        return f"Checkpoints in {root} lie partly on another machine: no run goes on from there until they are in one folder"
    if found.step is None:
        return f"There is no whole checkpoint in {root} yet: the same command starts over: {command}"
    n_workers = trainer.get("nnodes", 1) * trainer.get("n_gpus_per_node", 1)
    others = f" with {n_workers} training workers again" if n_workers > 1 else ""
    mode = "" if trainer.resume_mode == "auto" else " and trainer.resume_mode=auto"
    return (
        f"The last whole checkpoint is {checkpoints.step_folder(root, found.step)}: when the cause is gone, the same "
        f"command{mode} goes on from there{others}: {command}"
    )


def _short(line: str) -> str:
    line = line.rstrip(".")
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "..."
