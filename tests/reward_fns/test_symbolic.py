"""The worker pool: real verdicts, real overruns, real kills, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reward_fns import answers, compute_score, symbolic
from reward_fns.match import Match
from reward_fns.mrpv import Reason
from reward_fns.symbolic import Budget, Pool, Unavailable, one_budget

pytest.importorskip("math_verify")

ROOT = Path(symbolic.__file__).parents[1]
ENDLESS = "\\sum_{k=1}^{10^{9}} \\frac{1}{k^{k}}"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(size=1)
    yield pool
    pool.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def successor(pool: Pool, before: int, seconds: float = 20.0) -> int:
    """The one worker after `before`, which the pool replaces beside its callers."""
    deadline = time.monotonic() + seconds
    while pool.pids() in ([], [before]) and time.monotonic() < deadline:
        time.sleep(0.05)
    (after,) = pool.pids()
    return after


def ended(pids: list[int], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_alive, pids))


@pytest.mark.parametrize(
    ("prediction", "gold", "verdict"),
    [
        ("\\log_2 8", "3", Match.SAME),
        ("\\log_2 8", "4", Match.DIFFERENT),
        ("0.333333", "\\frac{1}{3}", Match.DIFFERENT),
        ("e^{i\\pi}", "-1", Match.SAME),
        ("\\tan 45°", "1", Match.SAME),
        ("\\nonsense{", "1", Match.UNSURE),
        ("\ud800\x00", "\\sin", Match.UNSURE),
        ("__import__('os').getpid()", "1", Match.UNSURE),
    ],
)
def test_verdicts(pool: Pool, prediction: str, gold: str, verdict: Match) -> None:
    assert pool.ask(prediction, gold, Budget(30)) is verdict


def test_an_overrun_is_killed_and_replaced(pool: Pool) -> None:
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME
    (before,) = pool.pids()
    budget = Budget(1.0)
    assert pool.ask(ENDLESS, "1", budget) is Match.TIMEOUT
    assert budget.left <= 0
    assert successor(pool, before) != before and ended([before])
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME


def test_processor_time_is_bounded_by_the_kernel(pool: Pool) -> None:
    budget = Budget(100.0)
    assert pool.ask(ENDLESS, "1", budget) is Match.TIMEOUT
    assert budget.left > 0


def test_a_worker_killed_from_outside_is_replaced(pool: Pool) -> None:
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME
    os.kill(pool.pids()[0], signal.SIGKILL)
    assert ended(pool.pids())
    with pytest.raises(Unavailable, match="worker ended"):
        pool.ask("\\log_2 8", "3", Budget(30))
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME


def test_a_worker_retires_after_its_calls(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME
    (before,) = pool.pids()
    monkeypatch.setattr(symbolic, "MAX_CALLS", 1)
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME
    assert successor(pool, before) != before and ended([before])


def test_threads_share_the_pool(pool: Pool) -> None:
    found: list[Match] = []
    threads = [
        threading.Thread(target=lambda: found.append(pool.ask("\\log_2 8", "3", Budget(60))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Match.SAME] * 8 and len(pool.pids()) == 1


@pytest.mark.parametrize("threads", [1, 8])
def test_nobody_waits_longer_than_the_budget(pool: Pool, threads: int) -> None:
    """Waiting for a worker, its overrun and its successor's start included, also where all want one at once."""
    assert pool.ask("\\log_2 8", "3", Budget(30)) is Match.SAME
    took: list[float] = []

    def ask() -> None:
        started = time.monotonic()
        try:
            assert pool.ask(ENDLESS, "1", Budget(0.8)) is Match.TIMEOUT
        except symbolic.Busy:
            pass
        took.append(time.monotonic() - started)

    callers = [threading.Thread(target=ask) for _ in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(took) == threads and max(took) < 0.8 + 0.5


def test_a_closed_pool_says_so() -> None:
    pool = Pool(size=1)
    pool.close()
    with pytest.raises(Unavailable, match="closed"):
        pool.ask("1", "2", Budget(5.0))


def test_a_timeout_is_counted_and_is_not_wrong(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "_pool", lambda: pool)
    monkeypatch.setattr(symbolic, "BUDGET_SECONDS", 1.0)
    before = answers.tier_counts().get("symbolic:timeout", 0)
    result = compute_score("realm/math", f"<answer> {ENDLESS} + 1 </answer>", "\\sin 1")
    assert (result["outcome"], result["reason"], result["timeout"]) == (0.0, Reason.TIMEOUT, 1)
    assert answers.tier_counts()["symbolic:timeout"] == before + 1
    wrong = compute_score("realm/math", "<answer> 5 </answer>", "6")
    assert (wrong["outcome"], wrong["reason"], wrong["timeout"]) == (0.0, Reason.WRONG, 0)


def test_one_answer_has_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        calls = 0

        def ask(self, prediction: str, gold: str, budget: Budget) -> Match:
            self.calls += 1
            budget.left -= 3.0
            return Match.DIFFERENT

    slow = Slow()
    monkeypatch.setattr(symbolic, "_pool", lambda: slow)
    monkeypatch.setattr(symbolic, "BUDGET_SECONDS", 5.0)
    with one_budget():
        found = [symbolic.same_by_math_verify(f"\\sin {i} budget", "1") for i in range(5)]
    assert found == [Match.DIFFERENT] * 2 + [Match.TIMEOUT] * 3 and slow.calls == 2


def test_without_math_verify_the_tier_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "_installed", lambda: False)
    assert answers.judge("\\sin 45° + 0", "\\frac{1}{\\sqrt{2}}") is Match.UNSURE
    assert answers.tier_counts()["symbolic (not installed):unsure"] >= 1


PARENT = """
import json, sys, threading, time
from reward_fns.symbolic import Budget, Pool
pool = Pool(size=2)
print(pool.ask("\\\\log_2 8", "3", Budget(60)).value, flush=True)
busy = threading.Thread(target=pool.ask, args=(sys.argv[1], "1", Budget(100)), daemon=True)
busy.start()
print(json.dumps(pool.pids()), flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("killed", [True, False])
def test_workers_end_with_their_parent(killed: bool) -> None:
    """SIGKILL or a plain end: the idle worker and the busy one are gone soon after."""
    command = [sys.executable, "-c", PARENT, ENDLESS, "60" if killed else "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "same\n"
        pids = json.loads(parent.stdout.readline())
        assert len(pids) == 2
        if killed:
            assert all(map(is_alive, pids))
            parent.kill()
    assert ended(pids)


def test_a_forked_child_starts_its_own_workers() -> None:
    script = (
        "import os\n"
        "from reward_fns import symbolic\n"
        "first = symbolic.same_by_math_verify('\\\\log_2 8', '3')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    symbolic._asked.cache_clear()\n"
        "    os._exit(symbolic.same_by_math_verify('\\\\log_2 16', '4') is not first)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(symbolic.same_by_math_verify('\\\\log_2 32', '5').value)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "same\n", done.stderr
