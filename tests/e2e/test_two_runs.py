"""Two runs at once on one machine, each with a Ray of its own: they do not meet in the socket that hands over weights.

verl names that socket by Ray's job id, which is the same in both (realm_ext/patches.py, `BucketedWeightSender.__init__`).
One of them carries (`realm.carry`), with the reward of tests/e2e/parity.py; its model still answers out of grammar, so
what is looked at is that every right guided rollout of a question behind was taken up and refused.
"""

import re
import subprocess
import time
from pathlib import Path

import pytest

from realm_ext.report.scalars import read_scalars
from tests.e2e.conftest import Trained
from tests.e2e.parity import PURE, command, decisions
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(1200)

STEPS = 4
SOCKET = re.compile(r"rl-colocate-zmq-01000000-.*-raylet-(\d+)\.sock")


def until_both_end(stack: Stack, runs: "list[subprocess.Popen[bytes]]", timeout: float) -> set[int]:
    """Wait for both runs; the process ids of our own Ray daemons that stood in a socket's name meanwhile."""
    named: set[int] = set()
    ours: set[int] = set()
    end, scan = time.monotonic() + timeout, 0.0
    while any(run.poll() is None for run in runs):
        assert time.monotonic() < end, "\n".join(map(stack.tail, runs))
        found = (SOCKET.fullmatch(path.name) for path in Path("/tmp").glob("rl-colocate-zmq-*.sock"))
        named |= {int(match[1]) for match in found if match}
        if time.monotonic() > scan:
            ours |= {process.pid for process in stack.running()}
            scan = time.monotonic() + 5
        time.sleep(0.005)
    return named & ours


def test_both_end_and_neither_meets_the_other(
    stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]
) -> None:
    roots = [stack.folder / name for name in ("two_plain", "two_carry")]
    logs = [stack.folder / f"{root.name}_logs" for root in roots]
    runs = [
        stack.start(
            command(
                root,
                trained.model,
                data,
                *PURE,
                f"realm.carry={carry}",
                "trainer.save_freq=-1",
                workers=1,
                steps=STEPS,
            ),
            **drawn,
            TENSORBOARD_DIR=str(log),
        )
        for root, log, carry in zip(roots, logs, (0, 2), strict=True)
    ]
    try:
        sockets = until_both_end(stack, runs, 900)
        for run in runs:
            assert run.returncode == 0, stack.tail(run)
    finally:
        for run in runs:
            stack.end(run)
    assert len(sockets) == 2, "each run names its socket by its own Ray daemon"
    plain, carried = map(decisions, roots)
    assert plain == carried, (
        "the same seed and reward: who saw what does not hang on the other run, nor on carry"
    )
    series, _ = read_scalars(logs[1])
    assert sum(series["realm/carry/behind"].values) > 0
    assert sum(series["realm/carry/refused"].values) > 0
    assert not any(name.startswith("realm/carry/") for name in read_scalars(logs[0])[0])
