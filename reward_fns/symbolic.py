"""The last tier: math-verify in a few worker processes that are killed when they overrun.

Serves the section "Domains" of the design (one answer comparer). Workers (`symbolic_worker`) are started with
`subprocess` at the first call that needs one, never by fork; a request and its answer are a line of JSON each.
Nothing here uses signals or an event loop, so any thread may call. A worker that overruns, breaks or has had
its share of calls is killed (SIGKILL) and its successor started at once, by a thread of the pool's own: no caller
waits for either. Workers end with the process that started them, whatever ends that.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from reward_fns.match import Match

BUDGET_SECONDS = 5.0
"""Wall time in workers for each answer that is judged, however many comparisons that takes."""

CPU_SECONDS = 2.0
"""Processor time for one comparison. On an idle machine this ends it first (the kernel counts whole seconds, so
within 3); on a busy one an answer gets its processor time, as far as the wall budget goes."""

MAX_WORKERS = min(4, max(2, (os.cpu_count() or 1) // 16))
"""In each process that judges; a training run has several of those."""

MAX_CALLS = 1_000
"""A worker is replaced after this many: sympy keeps what it has seen."""

START_SECONDS = 120.0
"""A worker that is not ready by then is given up. Starting takes a second or two, from a cold disk much more."""

RETRY_SECONDS = 1.0
ENDING_SECONDS = 0.2
"""Wait for a worker whose output has ended to say why."""

_WORKER = Path(__file__).with_name("symbolic_worker.py")
_STARTED_LINE = "ready"


class Unavailable(Exception):
    """No worker could answer; the message says why, in a word or two."""


class Busy(Exception):
    """All workers were busy with other answers, or just starting, for as long as this answer may take."""


class Budget:
    """Seconds in workers that one answer still has, waiting for them included."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @contextmanager
    def spending(self) -> Iterator[float]:
        """What happens inside counts; gives the time (`time.monotonic`) at which the budget is spent."""
        deadline = time.monotonic() + self.left
        try:
            yield deadline
        finally:
            self.left = deadline - time.monotonic()


class _Overrun(Exception):
    """The worker did not answer in time."""


class _Worker:
    """One process and the line protocol to it. Used by one thread at a time."""

    def __init__(self, cpu_seconds: float) -> None:
        command = [sys.executable, "-P", str(_WORKER), str(os.getpid()), str(cpu_seconds)]
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the parent: the worker ends when it does
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._poll = select.poll()  # not select.select: Ray's processes have more than 1,024 files open
        self._poll.register(self._from, select.POLLIN)
        self._ready = False
        self._started = time.monotonic()
        self._buffer = b""
        self.calls = 0

    def is_ready(self, deadline: float) -> bool:
        """Whether it has started; waits for it until then. Raises OSError where it never will."""
        if not self._ready:
            try:
                self._ready = self._line(deadline) == _STARTED_LINE
            except _Overrun:
                if time.monotonic() - self._started > START_SECONDS:
                    raise OSError("the worker does not start") from None
        return self._ready

    def has_spoken(self) -> bool:
        """Started, or ended: `is_ready` will not wait."""
        return self._ready or bool(self._poll.poll(0))

    def ask(self, prediction: str, gold: str, deadline: float) -> Match:
        self.calls += 1
        request = json.dumps([prediction, gold])  # ASCII: half surrogates travel as escapes
        self._to.write(request.encode("ascii") + b"\n")
        return Match(self._line(deadline))

    def _line(self, deadline: float) -> str:
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise _Overrun
            chunk = os.read(self._from.fileno(), 65_536)
            if not chunk:
                raise _Overrun if self._used_up() else OSError("the worker has ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("ascii", "replace")

    def _used_up(self) -> bool:
        """Whether it ended because its processor time did; so it is taken for, if much memory keeps it from ending."""
        try:
            return self._process.wait(timeout=ENDING_SECONDS) == -signal.SIGXCPU
        except subprocess.TimeoutExpired:
            return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._to.close()
        self._from.close()

    def abandon(self) -> None:
        """After a fork, in the child: the process is the parent's, only the pipe ends are ours."""
        self._process.returncode = 0
        self._to.close()
        self._from.close()


class Pool:
    """Up to `size` workers, started together at the first question."""

    def __init__(self, size: int = MAX_WORKERS, cpu_seconds: float = CPU_SECONDS) -> None:
        self._size = size
        self._cpu_seconds = cpu_seconds
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._unsound: list[_Worker] = []
        self._changed = threading.Condition()
        self._first_start = threading.Lock()
        self._is_new = True

    def ask(self, prediction: str, gold: str, budget: Budget) -> Match:
        """The worker's verdict within the budget; `TIMEOUT` when it was killed for want of one.

        Waiting for a free worker counts, except for the first start of all.

        Raises:
            Busy: no worker was free in time.
            Unavailable: no worker could be started, or it did not live through the question.
        """
        if self._is_new:
            self._start_first()
        with budget.spending() as deadline:
            worker, sound = self._borrow(deadline), False
            try:
                if not worker.is_ready(deadline):
                    sound = True
                    raise Busy
                verdict = worker.ask(prediction, gold, deadline)
                sound = worker.calls < MAX_CALLS
            except _Overrun:
                return Match.TIMEOUT
            except (OSError, ValueError) as error:
                raise Unavailable("worker ended") from error
            finally:
                self._give_back(worker, sound)
        return verdict

    def pids(self) -> list[int]:
        """Of the worker processes that are in use or ready for it."""
        with self._changed:
            return [worker._process.pid for worker in self._all]

    def close(self) -> None:
        """Kill all workers; the pool starts none any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._discard()

    def abandon(self) -> None:
        """After a fork, in the child: the workers, the thread and any held lock are the parent's. Begin anew."""
        for worker in (*self._all, *self._unsound):
            worker.abandon()
        self._begin()

    def _start_first(self) -> None:
        """Start the workers and wait until one can be asked: no budget runs meanwhile, of none of the callers."""
        with self._first_start:
            if not self._is_new:
                return
            self._refill()
            if self._closed:
                raise Unavailable("closed")
            try:
                ready = self._all[0].is_ready(time.monotonic() + START_SECONDS)
            except (OSError, ValueError):
                ready = False
            if not ready:
                self._discard()
                raise Unavailable("worker ended")
            threading.Thread(target=self._keep, daemon=True).start()
            self._is_new = False

    def _discard(self) -> None:
        with self._changed:
            workers = [*self._all, *self._unsound]
            self._all, self._idle, self._unsound = [], [], []
        for worker in workers:
            worker.kill()

    def _borrow(self, deadline: float) -> _Worker:
        with self._changed:
            while not self._idle:
                left = deadline - time.monotonic()
                if self._closed:
                    raise Unavailable("closed")
                if left <= 0 or not self._changed.wait(left):
                    raise Busy
            self._idle.sort(key=lambda worker: not worker.has_spoken())
            return self._idle.pop(0)

    def _give_back(self, worker: _Worker, sound: bool) -> None:
        with self._changed:
            if sound and not self._closed:
                self._idle.append(worker)
            elif worker in self._all:
                self._all.remove(worker)
                self._unsound.append(worker)
            self._changed.notify_all()

    def _keep(self) -> None:
        """Kill what is unsound and start its successors, until the pool is closed. Runs in a thread of its own."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsound or self._closed or len(self._all) < self._size)
                if self._closed:
                    return
                unsound = list(self._unsound)
            for worker in unsound:
                worker.kill()
            with self._changed:
                self._unsound = [worker for worker in self._unsound if worker not in unsound]
            try:
                self._refill()
            except Unavailable:
                time.sleep(RETRY_SECONDS)

    def _refill(self) -> None:
        """Start workers up to the number wanted; does not wait for them to be ready."""
        while len(self._all) < self._size and not self._closed:
            try:
                worker = _Worker(self._cpu_seconds)
            except OSError as error:
                raise Unavailable("not started") from error
            with self._changed:
                self._all.append(worker)
                self._idle.append(worker)
                self._changed.notify_all()
            if self._closed:
                self._discard()


_budget: ContextVar[Budget | None] = ContextVar("budget of this answer", default=None)


@contextmanager
def one_budget() -> Iterator[None]:
    """All questions asked inside share one budget; inside another such block, that one's."""
    if _budget.get() is not None:
        yield
        return
    token = _budget.set(Budget(BUDGET_SECONDS))
    try:
        yield
    finally:
        _budget.reset(token)


def same_by_math_verify(prediction: str, gold: str) -> Match:
    """Ask math-verify; repeated pairs are answered from a cache, timeouts too.

    Raises:
        Unavailable: math-verify is not installed, or no worker could answer.
    """
    if not _installed():
        raise Unavailable("not installed")
    try:
        return _asked(prediction, gold)
    except (_BudgetSpent, Busy):
        return Match.TIMEOUT  # not cached: it says nothing about this pair


class _BudgetSpent(Exception):
    """Earlier questions used the answer's time up."""


@lru_cache(maxsize=4_096)
def _asked(prediction: str, gold: str) -> Match:
    budget = _budget.get() or Budget(BUDGET_SECONDS)
    if budget.left <= 0:
        raise _BudgetSpent
    return _pool().ask(prediction, gold, budget)


@lru_cache(maxsize=1)
def _installed() -> bool:
    return importlib.util.find_spec("math_verify") is not None


@lru_cache(maxsize=1)
def _pool() -> Pool:
    pool = Pool()
    atexit.register(pool.close)
    os.register_at_fork(after_in_child=pool.abandon)
    return pool
