"""Runs real commands for the end-to-end tests, in one private folder, and leaves no process behind.

Ray starts processes outside the group of the command that called it. All of them inherit RAY_TMPDIR, which is this
folder, so that they can be told from any other Ray on the machine.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from realm_ext.paths import Folder, find_folder

# The smallest RL run that still has groups, two regimes and a last unguided quarter.
TINY_RL = (
    "data.train_batch_size=4",
    "data.max_response_length=32",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
)


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code (negative: the signal that killed it) and what it printed."""

    code: int
    out: str
    err: str


class Stack:
    """One folder with everything the commands read and write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("VERL_", "RAY_", "PYTHONPATH"))}
        self.environment = kept | {
            "RAY_TMPDIR": str(folder),
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": str(os.cpu_count() or 1),
        }

    def run(self, command: Sequence[str], timeout: float, **environment: str) -> Done:
        """Run a command to its end, and end what it left running.

        Raises:
            AssertionError: it took more than `timeout` seconds.
        """
        process = self.start(command, **environment)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running after {timeout:.0f} s: {command}\n{self.tail(process)}"
            ) from None
        finally:
            self.end(process)
        out, err = (path.read_text(errors="replace") for path in self._logs(process))
        return Done(process.returncode, out, err)

    def must(self, command: Sequence[str], timeout: float, **environment: str) -> Done:
        """As `run`, for a command that has to end well."""
        done = self.run(command, timeout, **environment)
        assert done.code == 0, f"exit code {done.code}: {command}\n{done.out[-6000:]}\n{done.err[-6000:]}"
        return done

    def start(self, command: Sequence[str], **environment: str) -> "subprocess.Popen[bytes]":
        """Start a command in a session of its own; call `end` when done with it."""
        waiting = self.folder / "log.new"
        waiting.mkdir()
        with (waiting / "out").open("wb") as out, (waiting / "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        waiting.rename(self.folder / f"log.{process.pid}")
        return process

    def wait_for(
        self,
        process: "subprocess.Popen[bytes]",
        condition: Callable[[], bool],
        timeout: float,
        every: float = 0.05,
    ) -> None:
        """Wait until something holds while a command runs, asking `every` so many seconds.

        Raises:
            AssertionError: the command ended first, or it took more than `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while not condition():
            assert process.poll() is None, f"exit code {process.returncode}\n{self.tail(process)}"
            assert time.monotonic() < end, f"not seen in {timeout:.0f} s\n{self.tail(process)}"
            time.sleep(every)

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """SIGKILL a command's process group, and every process of this folder."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.end_all()

    def end_all(self) -> None:
        """SIGKILL every process that was given this folder as RAY_TMPDIR."""
        found = self.running()
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(found, timeout=30)

    def running(self) -> list[psutil.Process]:
        """The processes that were given this folder as RAY_TMPDIR."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def printed(self, process: "subprocess.Popen[bytes]") -> str:
        """What a command has printed so far on its standard output."""
        return self._logs(process)[0].read_text(errors="replace")

    def tail(self, process: "subprocess.Popen[bytes]") -> str:
        """The end of what a command has printed so far."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in self._logs(process))

    def _logs(self, process: "subprocess.Popen[bytes]") -> tuple[Path, Path]:
        folder = self.folder / f"log.{process.pid}"
        return folder / "out", folder / "err"

    def _is_ours(self, process: psutil.Process) -> bool:
        # Not `process.environ()`: vLLM's and Ray's processes write their titles over the start of it, where psutil stops.
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            return False
        return f"RAY_TMPDIR={self.folder}\0".encode() in environment


def realm(*arguments: object) -> list[str]:
    """A command of `realm`."""
    return [sys.executable, "-m", "realm_ext.cli", *map(str, arguments)]


def install(package: Path, site: Path) -> list[str]:
    """The command that installs a folder's package into `site`, offline and without its dependencies."""
    offline = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    return [sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(package)]


def rl(out: Path, model: Path, train: Path, val: Path, *overrides: str) -> list[str]:
    """A run of verl's main_ppo with the quickstart recipe at the smallest sizes; checkpoints go to `out`."""
    return [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "--config-path", str(find_folder(Folder.CONFIGS))),
        *("--config-name", "realm_quickstart"),
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={train}",
        f"data.val_files={val}",
        f"trainer.default_local_dir={out}",
        *TINY_RL,
        *overrides,
    ]


def sft(out: Path, model: Path, train: Path, steps: int) -> list[str]:
    """A run of verl's SFT trainer with the quickstart recipe."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"),
        *("-m", "verl.trainer.sft_trainer", "--config-path", str(find_folder(Folder.CONFIGS))),
        *("--config-name", "realm_quickstart_sft"),
        f"model.path={model}",
        f"data.train_files={train}",
        f"trainer.total_training_steps={steps}",
        "trainer.experiment_name=sft",
        f"trainer.default_local_dir={out}",
    ]
