"""Rounds of RL as one run: where each keeps its files, and its metrics counted on from the one before.

Serves design.md, section EAAI: ReaLM-R1 may run RL in rounds, with SFT on harvested chains between them. A part of a run
folder (`rl`, `grpo`) holds the files of the last round itself, and those of earlier ones in `round1`, `round2` and so on:
the model that came out is in the same place, however many rounds there were.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from realm_ext.report.scalars import Series

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
    """Metrics of all rounds as one, and the step at which each but the last ends.

    A step at which one round ends and the next begins may stand in a series twice: validation after the one, and after
    the SFT between them, before the next.
    """
    points: dict[str, tuple[list[int], list[float]]] = {}
    ends: list[int] = []
    for log in rounds:
        done = ends[-1] if ends else 0
        for name, series in log.items():
            steps, values = points.setdefault(name, ([], []))
            steps += [done + step for step in series.steps]
            values += series.values
        ends.append(done + max((series.steps[-1] for series in log.values()), default=0))
    joined = {name: Series(tuple(steps), tuple(values)) for name, (steps, values) in sorted(points.items())}
    return joined, tuple(ends[:-1])
