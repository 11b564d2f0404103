"""A run killed at random points and resumed decides who sees what exactly as one that was never killed.

Adaptive levels follow the outcomes, and sampling does not repeat after a restart: so the reward here is a pure
function of (uid, rollout, step). What was decided is read from the route traces, rollout by rollout. The number of
agent workers changes between one and two at each resume, which must not matter either.
"""

import os
import random
import signal
from pathlib import Path

import pytest

from realm_ext import traces
from realm_ext.adaptive_store import FOLDER, MANIFEST, fault
from realm_ext.checkpoints import MARKER, find
from realm_ext.report.scalars import read_scalars
from tests.e2e.conftest import Trained
from tests.e2e.stack import Stack, rl

pytestmark = pytest.mark.timeout(3600)

STEPS, SEED = 8, 4
DECISIONS = ("step", "uid", "rollout", "exposure", "regime", "shown", "shown_steps", "dropped", "components")
SITECUSTOMIZE = '''"""Replaces the reward in every process: right or wrong by hash, whatever was sampled."""

import hashlib

from wrapt import when_imported


def drawn(data_source, solution_str, ground_truth, extra_info=None, **_):
    key = f"{extra_info['uid']}|{extra_info['session_id']}|{extra_info['train_step']}"
    right = float(hashlib.sha256(key.encode()).digest()[0] < 96)
    return {"score": right, "acc": right, "outcome": right, "pred": ""}


@when_imported("reward_fns")
def replace(module):
    module.compute_score = drawn
'''


def command(out: Path, trained: Trained, data: Path, workers: int) -> list[str]:
    return rl(
        out,
        trained.model,
        data / "train.parquet",
        data / "val.parquet",
        "realm.fade=[presence,routes,steps]",
        "realm.schedule.kind=linear",
        "realm.schedule.fade_steps=6",
        "realm.adaptive.kind=per_question",
        "realm.adaptive.start=0.9",
        "realm.right_share=0.5",
        "data.train_max_samples=12",  # three steps an epoch: questions come back, and levels matter
        "data.seed=1",  # without it each start would draw another twelve
        f"actor_rollout_ref.rollout.agent.num_workers={workers}",
        f"trainer.total_training_steps={STEPS}",
        "trainer.save_freq=1",
        "trainer.test_freq=1",
        "trainer.val_before_train=false",
    )


def decisions(root: Path) -> list[tuple[object, ...]]:
    return [tuple(line[key] for key in DECISIONS) for line in traces.read(root)]


@pytest.fixture(scope="module")
def drawn(stack: Stack) -> dict[str, str]:
    """Environment in which the reward is drawn."""
    folder = stack.folder / "drawn"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def never_killed(
    stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]
) -> list[tuple[object, ...]]:
    root = stack.folder / "never_killed"
    logs = {"TENSORBOARD_DIR": str(stack.folder / "tensorboard")}
    stack.must(command(root, trained, data, 1), 1200, **drawn, **logs)
    found = decisions(root)
    assert traces.steps(root) == list(range(1, STEPS + 1))
    assert len({exposure for step, _, _, exposure, *_ in found if step == 5}) > 1, "levels do not differ"
    return found


def test_carry_over_is_measured_at_validation(stack: Stack, never_killed: list[tuple[object, ...]]) -> None:
    series, _ = read_scalars(stack.folder / "tensorboard")
    found = series["realm/carry_over/log_prob"]
    assert 1 in found.steps and max(found.values) < 0


def kill_points(root: Path) -> list[Path]:
    """Files whose appearance says: now. A step begins after the first; verl still writes after the second."""
    draw = random.Random(SEED)
    first, second = draw.randrange(2, 4), draw.randrange(4, STEPS)
    return [root / f"global_step_{first}" / MARKER, root / f"global_step_{second}" / FOLDER / MANIFEST]


@pytest.mark.long  # four starts of main_ppo
def test_killed_twice_and_resumed(
    stack: Stack,
    data: Path,
    trained: Trained,
    drawn: dict[str, str],
    never_killed: list[tuple[object, ...]],
) -> None:
    root = stack.folder / "killed"
    for sign, workers in zip(kill_points(root), (1, 2), strict=True):
        process = stack.start(command(root, trained, data, workers), **drawn)
        try:
            stack.wait_for(process, sign.exists, 900)
            os.killpg(process.pid, signal.SIGKILL)
        finally:
            stack.end(process)
    left = find(root, fault)
    done = stack.must(command(root, trained, data, 1), 1200, **drawn)
    assert bool(left.problems) == ("ReaLM: resuming from step" in done.out)
    assert decisions(root) == never_killed
