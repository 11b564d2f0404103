"""`realm_colocate_async`, killed inside a save and resumed: questions in flight are shown what they would have been.

There questions are handed out a batch ahead of training; which step trains a rollout depends on timing, what it was
shown does not. The reward is that of tests/e2e/parity.py.
"""

from pathlib import Path
from typing import Any

import pytest

from realm_ext import traces
from tests.e2e.conftest import Trained
from tests.e2e.parity import PURE, Kill, command, run_until
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.timeout(1800), pytest.mark.long]

STEPS, QUESTIONS, ROLLOUTS = 8, 4, 4
SHOWN = ("exposure", "regime", "shown", "shown_steps", "components")


def shown(root: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What each trained rollout saw, by (step it was planned in, question, number)."""
    lines = list(traces.read(root))
    found = {
        (line["planned"], line["uid"], line["rollout"]): tuple(line[key] for key in SHOWN) for line in lines
    }
    assert len(found) == len(lines), "a rollout was trained twice"
    assert [line["step"] for line in lines] == [
        step for step in range(1, STEPS + 1) for _ in range(QUESTIONS * ROLLOUTS)
    ]
    assert all(0 <= line["step"] - line["planned"] <= 2 for line in lines)
    assert any(line["planned"] < line["step"] for line in lines), "nothing was handed out ahead"
    return found


def test_killed_and_resumed(stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]) -> None:
    whole, killed = stack.folder / "async_whole", stack.folder / "async_killed"
    runs = {
        root: command(
            root,
            trained.model,
            data,
            *PURE,
            "trainer.v1.trainer_mode=realm_colocate_async",
            "trainer.save_freq=2",
            "trainer.test_freq=4",
            workers=1,
            steps=STEPS,
        )
        for root in (whole, killed)
    }
    stack.must(runs[whole], 900, **drawn)
    run_until(stack, killed, Kill(4, "actor/optim_*.pt", 0.0), runs[killed], drawn)
    done = stack.must(runs[killed], 900, **drawn)
    assert "ReaLM: resuming from step 2, the last whole checkpoint" in done.out
    expected, found = shown(whole), shown(killed)
    both = expected.keys() & found.keys()
    assert {key: found[key] for key in both} == {key: expected[key] for key in both}
    # What is left over at the end was handed out and not trained; which that is depends on timing.
    assert len(both) >= (STEPS - 1) * QUESTIONS * ROLLOUTS
    assert {regime for _, regime, *_ in found.values()} == {"guided", "unguided"}
