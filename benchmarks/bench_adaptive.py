"""What the adaptive state costs a training step, with 10,000 and with 1,000,000 questions known.

A step looks up the level of each question it touches and moves it; a checkpoint writes what was touched since the one
before. Both should follow the questions touched, so the time should grow with them, and stay nearly the same from the
small data set to the large. Every question has been visited before the clock starts: the worst case for the state.

Two things keep the ratio of the sizes above 1, and neither is work that grows with the data. Memory: the touched questions
lie scattered over hundreds of megabytes, so a look-up waits for main memory where the small state fits the cache
("plan" is nothing but look-ups, and shows it). Merging: a save swallows older segments that are not larger; in the small
data set the same questions come back and are written once, in the large one all touched are different.

    python benchmarks/bench_adaptive.py
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from realm_ext.adaptive import AdaptiveConfig, Levels, QuestionState, Visit
from realm_ext.adaptive_store import Segment, load, save
from realm_ext.checkpoints import step_folder

CONFIG = AdaptiveConfig(kind="per_question", start=0.5)
PARTS = ("plan, ms", "update, ms", "save, ms", "step and save, ms")
Times = dict[tuple[int, str], float]


def main() -> None:
    """Measure both sizes with each number of questions touched, and print means and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=(10_000, 1_000_000), help="questions known")
    parser.add_argument("--touched", type=int, nargs=2, default=(512, 2048), help="questions of a step")
    parser.add_argument("--steps", type=int, default=40, help="steps, a checkpoint after each")
    options = parser.parse_args()
    found: dict[int, Times] = {}
    seconds, mebibytes = {}, {}
    for size in options.sizes:
        found[size], seconds[size], mebibytes[size] = measure(size, options.touched, options.steps)
    table = Table(
        "mean of a step", *(f"{size:,} questions" for size in options.sizes), "ratio", title="bench_adaptive"
    )
    for touched in options.touched:
        for name in PARTS:
            add(table, f"{touched} touched: {name}", [found[size][touched, name] for size in options.sizes])
    add(table, "load on resume, s", [seconds[size] for size in options.sizes])
    add(table, "files, MiB", [mebibytes[size] for size in options.sizes])
    Console().print(table)
    (few, many), (small, large) = options.touched, options.sizes
    by_touched = found[large][many, PARTS[3]] / found[large][few, PARTS[3]]
    by_size = found[large][many, PARTS[3]] / found[small][many, PARTS[3]]
    print(f"{many / few:g} times the questions touched: {by_touched:.2f} times the time of step and save")
    print(f"{large / small:g} times the questions known: {by_size:.2f} times")


def add(table: Table, name: str, values: Sequence[float]) -> None:
    """A row with both values and their ratio."""
    small, large = values
    table.add_row(name, f"{small:.3f}", f"{large:.3f}", f"{large / small:.2f}")


def measure(size: int, touched: Sequence[int], steps: int) -> tuple[Times, float, float]:
    """Mean milliseconds by questions touched and part, seconds of a load, MiB of the files.

    Means, as a save that merges costs more than one that does not. The first checkpoint, which holds every question, is
    written before.
    """
    levels = Levels(CONFIG)
    for i in range(size):
        levels.questions[uid_of(i)] = QuestionState(0.5, 0, 3, f"realm/bench/{i % 4}")
    levels.buckets = {
        f"realm/bench/{b}": (len(range(b, size, 4)), 0.5 * len(range(b, size, 4))) for b in range(4)
    }
    levels.touched = set(levels.questions)
    root = Path(tempfile.mkdtemp(prefix="bench_adaptive"))
    try:
        segments = save(step_folder(root, 0), levels, [], 0, "bench")
        found: Times = {}
        step = 0
        for n in touched:
            times, segments = run(levels, root, segments, size, n, range(step + 1, step + 1 + steps))
            found |= {(n, name): statistics.fmean(values) for name, values in times.items()}
            step += steps
        begun = time.perf_counter()
        loaded, _ = load(step_folder(root, step), CONFIG)
        seconds = time.perf_counter() - begun
        assert loaded.questions == levels.questions
        return found, seconds, sum(segment.n_bytes for segment in segments) / 2**20
    finally:
        shutil.rmtree(root)


def run(
    levels: Levels, root: Path, segments: list[Segment], size: int, touched: int, steps: range
) -> tuple[dict[str, list[float]], list[Segment]]:
    """Milliseconds of each part in each step, and the segments of the last checkpoint."""
    draw = random.Random(size)
    times: dict[str, list[float]] = {name: [] for name in PARTS}
    for step in steps:
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
        for name, begin, end in zip(PARTS, (0, 1, 2, 0), (1, 2, 3, 3), strict=True):
            times[name].append(1000 * (marks[end] - marks[begin]))
    return times, segments


def uid_of(number: int) -> str:
    """A text of the length of a content hash."""
    return f"{number:016x}"


if __name__ == "__main__":
    main()
