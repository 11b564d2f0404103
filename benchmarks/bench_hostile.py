"""Hostile model outputs by the ten thousand through `compute_score`: slowest answer, memory, processes left behind.

python benchmarks/bench_hostile.py --outputs 20000
python benchmarks/bench_hostile.py --outputs 2000 --threads 8
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.hostile_outputs import GOLDS, hostile_outputs
from reward_fns import compute_score
from reward_fns.answers import same_answer, tier_counts
from reward_fns.symbolic import BUDGET_SECONDS, MAX_WORKERS

MEMORY_POINTS = 5


def in_turn(
    pool: ThreadPoolExecutor, outputs: Iterator[tuple[int, tuple[str, str]]], threads: int
) -> Iterator[tuple[str, float]]:
    """Kind and seconds of each output; as many at once as there are threads."""
    while batch := list(islice(outputs, threads)):
        yield from pool.map(judged, batch)


def judged(output: tuple[int, tuple[str, str]]) -> tuple[str, float]:
    number, (kind, text) = output
    started = time.monotonic()
    compute_score("realm/math", text, GOLDS[number % len(GOLDS)])
    return kind, time.monotonic() - started


def main() -> None:
    """Run, print, and fail where an answer was late or a process is left over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--huge", type=int, default=1_000_000, help="characters of the longest")
    parser.add_argument("--threads", type=int, default=1, help="answers judged at once")
    options = parser.parse_args()
    console, me = Console(width=110), psutil.Process(os.getpid())
    same_answer("\\sin 1 + 1", "2")  # the workers' first start is no part of a budget
    seconds: defaultdict[str, float] = defaultdict(float)
    slowest: dict[str, float] = {}
    memory, late = [], 0
    outputs = enumerate(hostile_outputs(options.outputs, options.seed, options.huge))
    with ThreadPoolExecutor(options.threads) as pool:
        for done, (kind, took) in enumerate(in_turn(pool, outputs, options.threads), start=1):
            seconds[kind] += took
            slowest[kind] = max(took, slowest.get(kind, 0.0))
            late += took > BUDGET_SECONDS + 0.5
            if done % max(1, options.outputs // MEMORY_POINTS) == 0:
                memory.append(me.memory_info().rss // 2**20)
    table = Table("kind", "seconds in all", "slowest, s", title=f"{options.outputs} hostile outputs")
    for kind, total in sorted(seconds.items(), key=lambda item: -item[1]):
        table.add_row(kind, f"{total:.1f}", f"{slowest[kind]:.2f}")
    console.print(table)
    left = me.children(recursive=True)
    console.print(f"over the budget of {BUDGET_SECONDS} s by more than 0.5 s: {late}")
    console.print(
        f"memory on the way, MiB: {memory}; worker processes at the end: {len(left)} of {MAX_WORKERS}"
    )
    console.print(f"tiers: {dict(sorted(tier_counts().items()))}")
    if late or len(left) > MAX_WORKERS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
