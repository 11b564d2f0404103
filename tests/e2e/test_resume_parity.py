"""A run killed at random points, also during a save, and resumed decides who sees what as one never killed.

The short version of this is in test_rl_resume.py: one kill during a save, one resume. Here kills come at four points and
more, steps and files drawn by seed; the number of agent workers changes between one and two at each start; once the
state of the newest checkpoint is torn as well.
"""

from itertools import cycle
from pathlib import Path

import pytest

from realm_ext import traces
from realm_ext.adaptive_store import FOLDER, fault
from realm_ext.checkpoints import find
from realm_ext.report.scalars import read_scalars
from tests.e2e.conftest import Trained, Whole
from tests.e2e.parity import (
    ADAPTIVE,
    PARTS,
    PURE,
    STEPS,
    Decisions,
    Kill,
    command,
    decisions,
    draw_kills,
    run_until,
)
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(3600)

LONG_STEPS = 12


def test_a_run_never_killed_is_worth_comparing_with(never_killed: Whole) -> None:
    steps = [step for step, *_ in never_killed.decisions]
    assert steps == sorted(steps) and set(steps) == set(range(1, STEPS + 1))
    exposures = {(step, exposure) for step, _, _, exposure, *_ in never_killed.decisions}
    assert len([one for one in exposures if one[0] == 5]) > 1, "levels do not differ"
    assert {regime for _, _, _, _, regime, *_ in never_killed.decisions} == {"guided", "unguided"}


def test_carry_over_is_measured_at_validation(never_killed: Whole) -> None:
    series, _ = read_scalars(never_killed.tensorboard)
    found = series["realm/carry_over/log_prob"]
    assert 2 in found.steps and max(found.values) < 0


def killed_and_resumed(
    stack: Stack, root: Path, kills: list[Kill], runs: list[list[str]], drawn: dict[str, str]
) -> Decisions:
    """Decisions of a run that was killed so often: `runs` holds its command with one and with two agent workers."""
    commands = cycle(runs)
    for kill in kills:
        run_until(stack, root, kill, next(commands), drawn)
    left = find(root, fault)
    done = stack.must(next(commands), 900, **drawn)
    assert bool(left.problems) == ("ReaLM: resuming from step" in done.out)
    assert traces.steps(root) == list(range(1, LONG_STEPS + 1))
    return decisions(root)


def commands(root: Path, trained: Trained, data: Path, *overrides: str) -> list[list[str]]:
    return [
        command(
            root,
            trained.model,
            data,
            *overrides,
            "trainer.save_freq=1",
            "trainer.test_freq=-1",
            workers=workers,
            steps=LONG_STEPS,
        )
        for workers in (1, 2)
    ]


def without_kills(stack: Stack, root: Path, run: list[str], drawn: dict[str, str]) -> Decisions:
    stack.must([*run, "trainer.save_freq=-1"], 900, **drawn)
    return decisions(root)


@pytest.mark.long  # four starts of main_ppo
def test_a_pure_schedule(stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]) -> None:
    kills = draw_kills(seed=7, steps=LONG_STEPS, during=1, between=1, parts=PARTS[1:])
    root, whole = stack.folder / "pure", stack.folder / "pure_whole"
    found = killed_and_resumed(stack, root, kills, commands(root, trained, data, *PURE), drawn)
    assert found == without_kills(stack, whole, commands(whole, trained, data, *PURE)[0], drawn)


@pytest.mark.long  # seven starts of main_ppo
def test_adaptive_exposure(stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]) -> None:
    kills = draw_kills(seed=4, steps=LONG_STEPS - 2, during=2, between=2)
    root, whole = stack.folder / "adaptive", stack.folder / "adaptive_whole"
    one, two = commands(root, trained, data, *ADAPTIVE)
    for kill, run in zip(kills, (one, two, one, two), strict=True):
        run_until(stack, root, kill, run, drawn)
    # and once more, this time with the newest whole checkpoint's state torn
    run_until(stack, root, Kill(LONG_STEPS - 1, None, 0.5), one, drawn)
    newest = find(root, fault).step
    assert newest is not None
    segment = max((root / f"global_step_{newest}" / FOLDER).glob("*.jsonl"))
    content = segment.read_bytes()
    segment.unlink()  # older checkpoints hold the same file
    segment.write_bytes(content[: len(content) // 2])
    done = stack.must(two, 900, **drawn)
    torn = f"{len(content) // 2} bytes of {len(content)} in {FOLDER}/{segment.name}"
    assert f"global_step_{newest} has {torn}" in done.out
    assert f"ReaLM: resuming from step {newest - 1}, the last whole checkpoint" in done.out
    assert decisions(root) == without_kills(stack, whole, commands(whole, trained, data, *ADAPTIVE)[0], drawn)
