"""Times every `reward_fns.compute_score` of a verl run, for `bench_reward_share.py`.

verl imports it into each of its processes (`VERL_USE_EXTERNAL_MODULES`); where `REALM_REWARD_TIMES` names a file,
each call adds a line to it: seconds by the clock and of this thread's processor time.
"""

import functools
import os
import time
from typing import Any

import reward_fns

FILE_VARIABLE = "REALM_REWARD_TIMES"


def timed(path: str) -> Any:
    """`compute_score`, writing down what it takes."""
    score = reward_fns.compute_score
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @functools.wraps(score)
    def compute_score(*args: Any, **kwargs: Any) -> Any:
        started, cpu_started = time.perf_counter(), time.thread_time()
        try:
            return score(*args, **kwargs)
        finally:
            seconds, cpu_seconds = time.perf_counter() - started, time.thread_time() - cpu_started
            os.write(file, f"{seconds:.9f} {cpu_seconds:.9f}\n".encode())  # one write, so lines stay whole

    return compute_score


if os.environ.get(FILE_VARIABLE):
    reward_fns.compute_score = timed(os.environ[FILE_VARIABLE])
