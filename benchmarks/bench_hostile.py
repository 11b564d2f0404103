"""Hostile model outputs by the ten thousand through `compute_score`: slowest answer, memory, processes left behind.

python benchmarks/bench_hostile.py --outputs 20000
"""

import argparse
import os
import time
from collections import defaultdict

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.hostile_outputs import GOLDS, hostile_outputs
from reward_fns import compute_score
from reward_fns.answers import same_answer, tier_counts
from reward_fns.symbolic import BUDGET_SECONDS, MAX_WORKERS

MEMORY_POINTS = 5


def main() -> None:
    """Run, print, and fail where an answer was late or a process is left over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--huge", type=int, default=1_000_000, help="characters of the longest")
    options = parser.parse_args()
    console, me = Console(width=110), psutil.Process(os.getpid())
    same_answer("\\log_2 8", "3")  # the workers' first start is no part of a budget
    seconds: defaultdict[str, float] = defaultdict(float)
    slowest: dict[str, float] = {}
    memory, late = [], 0
    outputs = hostile_outputs(options.outputs, options.seed, options.huge)
    for i, (kind, text) in enumerate(outputs):
        started = time.monotonic()
        compute_score("realm/math", text, GOLDS[i % len(GOLDS)])
        took = time.monotonic() - started
        seconds[kind] += took
        slowest[kind] = max(took, slowest.get(kind, 0.0))
        late += took > BUDGET_SECONDS + 0.5
        if (i + 1) % max(1, options.outputs // MEMORY_POINTS) == 0:
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
