"""What the tests of interruption share: one configuration, a reward that repeats, and SIGKILL at chosen points.

Sampling does not repeat after a restart, and adaptive levels follow the outcomes: so the reward here is a pure function
of (uid, rollout, step). What a run decided is read from its route traces, rollout by rollout.

Saving the demo model takes a few hundredths of a second. To be killed inside a save, a run gets a slow disk: each file
of verl's checkpoint is written half, then comes a pause, then the rest.
"""

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from realm_ext import traces
from realm_ext.adaptive_store import FOLDER, MANIFEST
from realm_ext.checkpoints import MARKER
from tests.e2e.stack import Stack, rl

STEPS = 8
DECISIONS = ("step", "uid", "rollout", "exposure", "regime", "shown", "shown_steps", "dropped", "components")
Decisions = list[tuple[Any, ...]]

ADAPTIVE = (
    "realm.schedule.kind=linear",
    "realm.fade=[routes,steps]",
    "realm.adaptive.kind=per_question",
    "realm.adaptive.start=0.9",
    "realm.adaptive.lower_by=0.1",
)
PURE = ("realm.schedule.kind=cosine", "realm.fade=[presence,routes,steps]")

# The parts of a checkpoint in the order in which they are written; the marker comes last, after verl's tracker.
PARTS = (f"{FOLDER}/{MANIFEST}", "actor/model_*.pt", "actor/optim_*.pt", "actor/extra_state_*.pt", "data.pt")
SLOW_DISK = {"SLOW_DISK_S": "0.4"}

SITECUSTOMIZE = '''"""In every process: rewards drawn by hash, whatever was sampled; a slow disk where asked for."""

import hashlib
import io
import os
import time

from wrapt import when_imported


def drawn(data_source, solution_str, ground_truth, extra_info=None, **_):
    key = f"{extra_info['uid']}|{extra_info['session_id']}|{extra_info['train_step']}"
    right = float(hashlib.sha256(key.encode()).digest()[0] < 96)
    return {"score": right, "acc": right, "outcome": right, "pred": ""}


@when_imported("reward_fns")
def replace(module):
    module.compute_score = drawn


@when_imported("torch")
def slow_down(torch):
    pause, save = float(os.environ.get("SLOW_DISK_S", 0)), torch.save

    def slowly(obj, f, *arguments, **options):
        if not pause or not isinstance(f, (str, os.PathLike)):
            return save(obj, f, *arguments, **options)
        content = io.BytesIO()
        save(obj, content, *arguments, **options)
        written = content.getvalue()
        with open(f, "wb") as file:
            file.write(written[: len(written) // 2])
            file.flush()
            time.sleep(pause)
            file.write(written[len(written) // 2 :])

    torch.save = slowly
'''


def command(
    out: Path, model: Path, data: Path, *overrides: str, workers: int, steps: int = STEPS
) -> list[str]:
    """A run over twelve questions, four a step."""
    return rl(
        out,
        model,
        data / "train.parquet",
        data / "val.parquet",
        f"realm.schedule.fade_steps={steps * 3 // 4}",
        "realm.right_share=0.5",
        "data.train_max_samples=12",  # three steps an epoch: questions come back, and levels matter
        "data.seed=1",  # without it each start would draw another twelve
        f"actor_rollout_ref.rollout.agent.num_workers={workers}",
        f"trainer.total_training_steps={steps}",
        "trainer.test_freq=2",
        "trainer.val_before_train=false",
        *overrides,
    )


def decisions(root: Path) -> Decisions:
    """Who saw what in a run, in the order of (step, uid, rollout)."""
    return [tuple(line[key] for key in DECISIONS) for line in traces.read(root)]


@dataclass(frozen=True)
class Kill:
    """When SIGKILL comes.

    Attributes:
        step: the step whose checkpoint is waited for.
        part: of `PARTS`: the kill comes when this file is there, before the checkpoint is whole. None: it comes after
            the checkpoint is whole, in the middle of the next step.
        delay: seconds after that.
    """

    step: int
    part: str | None
    delay: float


def draw_kills(seed: int, steps: int, during: int, between: int, parts: Sequence[str] = PARTS) -> list[Kill]:
    """So many kills of a run of `steps`, `during` of them inside a save: steps, files and delays are drawn by seed.

    Steps rise by at least 2, so that what one attempt did before it was killed is not what the next waits for.
    """
    draw = random.Random(seed)
    n = during + between
    chosen = [step + i for i, step in enumerate(sorted(draw.sample(range(1, steps - n + 1), n)))]
    inside = set(draw.sample(range(n), during))
    return [
        Kill(step, draw.choice(parts), 0.0) if i in inside else Kill(step, None, draw.uniform(0.0, 1.0))
        for i, step in enumerate(chosen)
    ]


def run_until(
    stack: Stack, root: Path, kill: Kill, command: Sequence[str], environment: dict[str, str]
) -> None:
    """Start a run and SIGKILL it, every process of it at once.

    Raises:
        AssertionError: it ended before, or the kill came too late: the checkpoint was whole.
    """
    folder, sign, begun = root / f"global_step_{kill.step}", kill.part or MARKER, time.time()
    process = stack.start(command, **environment, **(SLOW_DISK if kill.part else {}))
    try:
        trace = f"step_{kill.step:08d}.jsonl"
        stack.wait_for(process, lambda: _is_there(root / "traces", trace, begun), 600, every=0.01)
        victims = stack.running()  # Ray's own processes are in other groups, and one of them does the saving
        stack.wait_for(process, lambda: _is_there(folder, sign, begun), 120, every=0.001)
        time.sleep(kill.delay)
        for victim in victims:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        assert process.wait(60) == -signal.SIGKILL
    finally:
        stack.end(process)
    assert (folder / MARKER).is_file() == (kill.part is None), f"not killed at {kill}"


def _is_there(folder: Path, pattern: str, since: float) -> bool:
    """Whether a file was written since then; one of an earlier attempt may be there, and go at any time."""
    try:
        return any(path.stat().st_mtime >= since for path in folder.glob(pattern))
    except FileNotFoundError:
        return False
