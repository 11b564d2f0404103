"""What the adaptive state costs a training step, with 10,000 and with 1,000,000 questions known.

A step looks up the level of each question it touches and moves it; a checkpoint writes what was touched since the one
before. Both should follow the questions touched, so the time should grow with them, and stay nearly the same from the
small data set to the large. Every question has been visited before the clock starts: the worst case for the state.

Two things keep the ratio of the sizes above 1. Merging: a save swallows older segments that are not larger; in the small
data set the same questions come back and are written once, in the large one nearly all touched are different ("lines
written" counts them). Look-ups ("plan" is nothing else) cost more in the large state, and a control says why: a few
questions drawn from all are looked up, and at once again. The second pass does the same work on what has just been read.
So where the ratio of the sizes is near 1 for the second pass and well above it for the first, the difference is the time
to reach a large memory for the first time, and not work that grows with the data. The last line gives both ratios.

    python benchmarks/bench_adaptive.py
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from realm_ext.adaptive import AdaptiveConfig, Levels, QuestionState, Visit
from realm_ext.adaptive_store import Segment, load, save
from realm_ext.checkpoints import step_folder

CONFIG = AdaptiveConfig(kind="per_question", start=0.5)
LINES = "save, lines written"
CONTROL = ("a look-up, median us", "the same at once again, median us")
CONTROL_ROUNDS, CONTROL_QUESTIONS = 1000, 64
PARTS = ("plan, ms", "update, ms", "save, ms", "step and save, ms")
Times = dict[tuple[int, str], float]


@dataclass(frozen=True)
class Measured:
    """One size: mean milliseconds by questions touched and part, microseconds of a look-up by pass, seconds of a load,
    MiB of the files."""

    times: Times
    look_ups: dict[str, float]
    load: float
    mebibytes: float


def main() -> None:
    """Measure both sizes with each number of questions touched, and print means and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=(10_000, 1_000_000), help="questions known")
    parser.add_argument("--touched", type=int, nargs=2, default=(512, 2048), help="questions of a step")
    parser.add_argument("--steps", type=int, default=40, help="steps, a checkpoint after each")
    options = parser.parse_args()
    found = [measure(size, options.touched, options.steps) for size in options.sizes]
    table = Table(
        "mean of a step", *(f"{size:,} questions" for size in options.sizes), "ratio", title="bench_adaptive"
    )
    for touched in options.touched:
        for name in (*PARTS, LINES):
            add(table, f"{touched} touched: {name}", [one.times[touched, name] for one in found])
    for name in CONTROL:
        add(table, name, [one.look_ups[name] for one in found])
    add(table, "load on resume, s", [one.load for one in found])
    add(table, "files, MiB", [one.mebibytes for one in found])
    Console().print(table)
    (few, many), (small, large) = options.touched, options.sizes
    by_touched = found[1].times[many, PARTS[3]] / found[1].times[few, PARTS[3]]
    by_size = found[1].times[many, PARTS[3]] / found[0].times[many, PARTS[3]]
    print(f"{many / few:g} times the questions touched: {by_touched:.2f} times the time of step and save")
    print(f"{large / small:g} times the questions known: {by_size:.2f} times")
    ratios = [found[1].look_ups[name] / found[0].look_ups[name] for name in CONTROL]
    print(f"a look-up: {ratios[0]:.2f} times; of what has just been read: {ratios[1]:.2f} times")


def add(table: Table, name: str, values: Sequence[float]) -> None:
    """A row with both values and their ratio."""
    small, large = values
    table.add_row(name, f"{small:.3f}", f"{large:.3f}", f"{large / small:.2f}")


def measure(size: int, touched: Sequence[int], steps: int) -> Measured:
    """Everything about one size.

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
        look_ups = control(levels, size)
        return Measured(found, look_ups, seconds, sum(segment.n_bytes for segment in segments) / 2**20)
    finally:
        shutil.rmtree(root)


def run(
    levels: Levels, root: Path, segments: list[Segment], size: int, touched: int, steps: range
) -> tuple[dict[str, list[float]], list[Segment]]:
    """Milliseconds of each part and lines written in each step, and the segments of the last checkpoint."""
    draw = random.Random(size)
    times: dict[str, list[float]] = {name: [] for name in (*PARTS, LINES)}
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
        times[LINES].append(segments[-1].n_lines)
    return times, segments


def control(levels: Levels, size: int) -> dict[str, float]:
    """Median microseconds of a look-up in each of two passes, of so few questions that what the first reads stays at hand.

    Each pass looks up texts of its own, made before the clock starts: a text keeps its hash once it has been computed.
    """
    draw = random.Random(size)
    found: dict[str, list[float]] = {name: [] for name in CONTROL}
    for _ in range(CONTROL_ROUNDS):
        scattered = draw.sample(range(size), CONTROL_QUESTIONS)
        passes = [[(uid_of(i), f"realm/bench/{i % 4}") for i in scattered] for _ in CONTROL]
        for name, asked in zip(CONTROL, passes, strict=True):
            begun = time.perf_counter()
            for uid, bucket in asked:
                levels.level(uid, bucket)
            found[name].append(1e6 * (time.perf_counter() - begun) / CONTROL_QUESTIONS)
    return {name: statistics.median(values) for name, values in found.items()}


def uid_of(number: int) -> str:
    """A text of the length of a content hash."""
    return f"{number:016x}"


if __name__ == "__main__":
    main()
