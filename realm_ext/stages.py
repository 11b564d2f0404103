"""Run a chain of commands as named stages: logged, timed, and skipped when already done.

Serves `realm quickstart` (issue: long work shows progress, can be killed at any moment and resumed, and says at the
end what it did). A stage is done when its command ended well and its outputs exist; the record is `stages.json`,
written by rename. A stage whose command changed, or that follows one that ran again, is run again.
"""

import ctypes
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PROGRESS = re.compile(r"(\d+)/(\d+) \[")
_SHOWN_EVERY_S = 0.3


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        name: short, unique; also the name of its log file.
        says: what it does, for the console.
        command: the arguments, run without a shell.
        outputs: files or folders that exist once it is done.
        environment: variables added to this process's own.
    """

    name: str
    says: str
    command: tuple[str, ...]
    outputs: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class StageFailedError(RuntimeError):
    """A stage's command failed; the message names the log and shows its end."""


def write_json(path: Path, value: Any) -> None:
    """Write JSON to `path` by rename, so that a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def run_stages(stages: Sequence[Stage], run_dir: Path, console: Console) -> list[dict[str, Any]]:
    """Run what is not done yet, in order.

    Args:
        stages: in order; each may rely on the outputs of those before it.
        run_dir: where `stages.json` and `logs/` are kept.
        console: where progress goes.

    Returns:
        One record a stage: `name`, `command_hash`, `started` (unix seconds), `seconds`, `status` (done, reused).

    Raises:
        StageFailedError: a command ended badly or did not make its outputs. Earlier stages stay done.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    record_path = run_dir / "stages.json"
    before = {record["name"]: record for record in _read_records(record_path)}
    records: list[dict[str, Any]] = []
    rerun = False
    for number, stage in enumerate(stages, start=1):
        digest = hashlib.sha256(json.dumps(stage.command).encode()).hexdigest()[:16]
        old = before.get(stage.name)
        title = f"[{number}/{len(stages)}] {stage.name}"
        done = old and old["command_hash"] == digest and all(path.exists() for path in stage.outputs)
        if old and done and not rerun:
            records.append({**old, "status": "reused"})
            console.print(
                f"{title}: already done ({old['seconds']:.0f} s)",
                style="dim",
                highlight=False,
                soft_wrap=True,
            )
        else:
            if not rerun:
                rerun, before = (
                    True,
                    {},
                )  # from here on nothing that was done before counts, even if this is killed
                write_json(record_path, records)
            console.print(f"{title}: {stage.says}", style="bold", highlight=False, soft_wrap=True)
            started = time.time()
            _run(stage, run_dir / "logs" / f"{stage.name}.log", console)
            seconds = time.time() - started
            entry = {"name": stage.name, "command_hash": digest, "started": started, "seconds": seconds}
            records.append({**entry, "status": "done"})
            console.print(f"    done in {seconds:.0f} s", style="green", highlight=False)
        write_json(
            record_path,
            records + [r for r in before.values() if r["name"] not in {x["name"] for x in records}],
        )
    return records


def _read_records(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        return [dict(record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise StageFailedError(
            f"{path} is not readable ({error}); remove it to run every stage again"
        ) from error


def _run(stage: Stage, log: Path, console: Console) -> None:
    """Run one command with its output in `log`; end it, children included, if this process is interrupted."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(stage.command)}\n".encode())
        sink.flush()
        start = log.stat().st_size
        process = subprocess.Popen(
            stage.command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **stage.environment},
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509  (no thread runs here: the spinner starts later)
        )
        try:
            code = _wait(process, log, start, console)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    missing = [str(path) for path in stage.outputs if not path.exists()]
    if code or missing:
        what = f"ended with exit code {code}" if code else f"did not write {', '.join(missing)}"
        raise StageFailedError(f"stage {stage.name} {what}.\nLog: {log}\n{_tail(log, start)}")


def _end_with_parent() -> None:
    """In the child, before the command: ask Linux for SIGTERM when the parent dies, by SIGKILL too.

    Otherwise a killed quickstart would leave its stage running, and the next one would start it a second time.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes], log: Path, start: int, console: Console) -> int:
    """Show the time and, where the command prints a tqdm bar, its position until the command ends."""
    begun = time.time()
    with console.status("starting", spinner="dots") as status:
        while True:
            try:
                return process.wait(_SHOWN_EVERY_S)
            except subprocess.TimeoutExpired:
                bars = _PROGRESS.findall(_tail(log, start, 4000))
                where = f", {bars[-1][0]} of {bars[-1][1]}" if bars else ""
                status.update(f"{time.time() - begun:.0f} s{where}")


def _tail(log: Path, start: int, characters: int = 2500) -> str:
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - characters))
        return file.read().decode("utf-8", errors="replace")
