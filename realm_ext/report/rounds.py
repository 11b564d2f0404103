"""Rounds of RL as one run: where each keeps its files, and its metrics counted on from the one before.

Serves design.md, section EAAI: ReaLM-R1 may run RL in rounds, with SFT on harvested chains between them. A part of a run
folder (`rl`, `grpo`) holds the files of the last round itself, and those of earlier ones in `round1`, `round2` and so on:
the model that came out is in the same place, however many rounds there were.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from realm_ext.report.scalars import Series

FEW = 16
"""A mean over fewer rollouts of a step that has more is drawn faint."""
OF_GUIDED = ("realm/guided/", "realm/verdicts/", "realm/first_error_")
_ROUND = re.compile(r"round(\d+)")


def round_folders(part: Path) -> list[Path]:
    """The folders of the rounds of a part, in order: `round1`, `round2`, ..., and the part itself."""
    numbered = [
        (int(match[1]), path)
        for path in part.glob("round*")
        if (match := _ROUND.fullmatch(path.name)) and path.is_dir()
    ]
    return [*(path for _, path in sorted(numbered)), part]


def join_rounds(rounds: Sequence[Mapping[str, Series]]) -> tuple[dict[str, Series], tuple[int, ...]]:
    """Metrics of all rounds as one, and the step at which each but the last ends; a line begins anew with each round.

    A step at which one round ends and the next begins may stand in a series twice: validation after the one, and after
    the SFT between them, before the next.
    """
    points: dict[str, tuple[list[int], list[float], list[int]]] = {}
    ends: list[int] = []
    for log in rounds:
        done = ends[-1] if ends else 0
        for name, series in log.items():
            steps, values, starts = points.setdefault(name, ([], [], []))
            if steps:
                starts.append(len(steps))
            steps += [done + step for step in series.steps]
            values += series.values
        ends.append(done + max((series.steps[-1] for series in log.values()), default=0))
    joined = {
        name: Series(tuple(steps), tuple(values), tuple(starts))
        for name, (steps, values, starts) in sorted(points.items())
    }
    return joined, tuple(ends[:-1])


def mark_regimes(log: Mapping[str, Series], rollouts: Mapping[int, tuple[int, int]]) -> dict[str, Series]:
    """The metrics with breaks where a regime had no rollout, and faint points where it had few.

    Args:
        log: of a run, rounds joined.
        rollouts: by step, all and guided ones; where a step is not known, no point of it is faint.
    """
    trained = log["realm/exposure"].steps if "realm/exposure" in log else ()
    place = {step: i for i, step in enumerate(trained)}
    marked = {}
    for name, series in log.items():
        if name.startswith(OF_GUIDED):
            counts = {step: guided for step, (_, guided) in rollouts.items()}
        elif name.startswith("realm/unguided/"):
            counts = {step: n - guided for step, (n, guided) in rollouts.items()}
        else:
            marked[name] = series
            continue
        gaps = [
            i
            for i, (before, step) in enumerate(zip(series.steps, series.steps[1:], strict=False), start=1)
            if step in place and before in place and place[step] > place[before] + 1
        ]
        faint = tuple(
            i
            for i, step in enumerate(series.steps)
            if step in counts and counts[step] < FEW <= rollouts[step][0]
        )
        marked[name] = replace(series, starts=tuple(sorted({*series.starts, *gaps})), faint=faint)
    return marked
