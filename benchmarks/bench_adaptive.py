"""What the adaptive state costs a training step, with 10,000 and with 1,000,000 questions known.

A step looks up the level of each question it touches and moves it; a checkpoint writes what was touched since the one
before. Both should follow the questions touched, so the ratio of the two sizes should stay near 1. Every question has
been visited before the clock starts: the worst case for the state.

    python benchmarks/bench_adaptive.py
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from realm_ext.adaptive import AdaptiveConfig, Levels, QuestionState, Visit
from realm_ext.adaptive_store import load, save
from realm_ext.checkpoints import step_folder

CONFIG = AdaptiveConfig(kind="per_question", start=0.5)
WHAT = ("plan, ms", "update, ms", "save, ms", "step and save, ms", "load on resume, s", "files, MiB")


def main() -> None:
    """Measure both sizes, taking turns, and print medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=(10_000, 1_000_000), help="questions known")
    parser.add_argument("--touched", type=int, default=1024, help="questions of a step")
    parser.add_argument("--steps", type=int, default=40, help="steps, a checkpoint after each")
    options = parser.parse_args()
    found = {size: measure(size, options.touched, options.steps) for size in options.sizes}
    table = Table(
        "median", *(f"{size:,} questions" for size in options.sizes), "ratio", title="bench_adaptive"
    )
    for name in WHAT:
        small, large = (found[size][name] for size in options.sizes)
        table.add_row(name, f"{small:.3f}", f"{large:.3f}", f"{large / small:.2f}")
    Console().print(table)
    small, large = (found[size][WHAT[3]] for size in options.sizes)
    print(
        f"{options.touched} questions touched a step, a checkpoint after each of {options.steps} steps: with "
        f"{options.sizes[1] / options.sizes[0]:g} times the questions, {large / small:.2f} times the time"
    )


def measure(size: int, touched: int, steps: int) -> dict[str, float]:
    """Medians over the steps; the first checkpoint, which holds every question, is written before."""
    levels = Levels(CONFIG)
    for i in range(size):
        levels.questions[uid_of(i)] = QuestionState(0.5, 0, 3, f"realm/bench/{i % 4}")
    levels.buckets = {
        f"realm/bench/{b}": (len(range(b, size, 4)), 0.5 * len(range(b, size, 4))) for b in range(4)
    }
    levels.touched = set(levels.questions)
    draw = random.Random(size)
    root = Path(tempfile.mkdtemp(prefix="bench_adaptive"))
    try:
        segments = save(step_folder(root, 0), levels, [], 0, "bench")
        times: dict[str, list[float]] = {name: [] for name in WHAT[:4]}
        for step in range(1, steps + 1):
            numbers = draw.sample(range(size), touched)
            visits = [Visit(uid_of(i), f"realm/bench/{i % 4}", draw.random() < 0.5) for i in numbers]
            marks = [time.perf_counter()]
            for visit in visits:
                levels.level(visit.uid, visit.bucket)
            marks.append(time.perf_counter())
            levels.update(visits)
            marks.append(time.perf_counter())
            segments = save(step_folder(root, step), levels, segments, step, "bench")
            marks.append(time.perf_counter())
            shutil.rmtree(step_folder(root, step - 1))
            for name, begin, end in zip(WHAT, (0, 1, 2, 0), (1, 2, 3, 3), strict=False):
                times[name].append(1000 * (marks[end] - marks[begin]))
        begun = time.perf_counter()
        loaded, _ = load(step_folder(root, steps), CONFIG)
        seconds = time.perf_counter() - begun
        assert loaded.questions == levels.questions
        return {name: statistics.median(values) for name, values in times.items()} | {
            WHAT[4]: seconds,
            WHAT[5]: sum(segment.n_bytes for segment in segments) / 2**20,
        }
    finally:
        shutil.rmtree(root)


def uid_of(number: int) -> str:
    """A text of the length of a content hash."""
    return f"{number:016x}"


if __name__ == "__main__":
    main()
