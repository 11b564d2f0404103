"""The reward's share of a `realm_quickstart` step: seconds in `compute_score` over seconds of the step.

Runs the real main_ppo with the recipe (16 questions of 8 rollouts, routes shown by half of each group) and a learning rate of 0,
and times each call in verl's own reward workers (`timed_reward.py`). Calls overlap with generation and with each
other, so the share by the clock is an upper bound of what a step without a reward would save.

    python benchmarks/bench_reward_share.py --steps 8
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.bench_step import GUIDED, QUESTIONS, WARM_UP, after_warm_up, measurements, preparation
from benchmarks.timed_reward import FILE_VARIABLE
from realm_ext.report.scalars import read_scalars
from realm_ext.stages import Stage, StageFailedError, run_stages

TARGET = 0.02
ROLLOUTS = 8  # a question, as in the recipe
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Share:
    """Of the steps after the warm-up: medians of seconds in the reward and of the step, calls and the slowest of them."""

    seconds: float
    cpu_seconds: float
    step_seconds: float
    calls: int
    slowest: float


def main() -> None:
    """Prepare, run, print; exit code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--run-dir", type=Path, default=Path("runs/bench_step"), help="shared with bench_step"
    )
    parser.add_argument("--steps", type=int, default=8, help=f"the first {WARM_UP} are not counted")
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps must be more than {WARM_UP}, got {options.steps}")
    run_dir, console = options.run_dir.absolute(), Console()
    attempt = run_dir / time.strftime("reward_%Y%m%d_%H%M%S")
    run, times = timed_run(run_dir, attempt, options.steps)
    try:
        run_stages(preparation(run_dir, options.steps), run_dir, console)
        run_stages([run], attempt, console)
    except StageFailedError as error:
        sys.exit(f"bench_reward_share: {error}")
    share = measure(times, run.outputs[0])
    print(
        f"{share.calls} calls a step, slowest {1000 * share.slowest:.1f} ms; in all {share.seconds:.4f} s "
        f"({share.cpu_seconds:.4f} s of processor time) of a step of {share.step_seconds:.2f} s"
    )
    part = share.seconds / share.step_seconds
    verdict = "met" if part < TARGET else "missed"
    print(f"reward / step: {part:.2%} by the clock (target under {TARGET:.0%}: {verdict})")
    raise SystemExit(part >= TARGET)


def timed_run(run_dir: Path, attempt: Path, steps: int) -> tuple[Stage, Path]:
    """bench_step's run with routes, half of each group guided, and the file of its reward times."""
    times = attempt / "reward_times"
    (run,) = (stage for stage in measurements(run_dir, attempt, steps) if stage.says == GUIDED)
    command = [part.replace("realm.schedule.start=1.0", "realm.schedule.start=0.5") for part in run.command]
    environment = {
        **run.environment,
        FILE_VARIABLE: str(times),
        "VERL_USE_EXTERNAL_MODULES": "benchmarks.timed_reward",
        "PYTHONPATH": str(ROOT),
    }
    return replace(run, command=tuple(command), environment=environment), times


def measure(times: Path, tensorboard: Path) -> Share:
    """Read the times of the calls, in the order in which they ended, and those of the steps."""
    series, _ = read_scalars(tensorboard)
    lines = [tuple(map(float, line.split())) for line in times.read_text().splitlines()]
    calls = QUESTIONS * ROLLOUTS
    steps = [lines[start : start + calls] for start in range(WARM_UP * calls, len(lines), calls)]
    return Share(
        seconds=statistics.median(sum(wall for wall, _ in step) for step in steps),
        cpu_seconds=statistics.median(sum(cpu for _, cpu in step) for step in steps),
        step_seconds=statistics.median(after_warm_up(series, "timing_s/step")),
        calls=calls,
        slowest=max(wall for step in steps for wall, _ in step),
    )


if __name__ == "__main__":
    main()
