"""What the route traces of a run say: exposure by step, and the outcome by number of routes shown.

Reads the shards that `realm_ext.traces` writes, once through, whatever their number.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_ext import traces

ROWS = 10


@dataclass(frozen=True)
class ExposureRow:
    """Steps `first` to `last`: mean exposure, share of guided rollouts, mean routes and steps in a guided prompt."""

    first: int
    last: int
    rollouts: int
    exposure: float
    guided_share: float
    routes: float
    steps: float


@dataclass(frozen=True)
class OutcomeRow:
    """Rollouts that saw `routes` routes: how many, the share of right answers and the mean score."""

    routes: int
    rollouts: int
    outcome: float
    score: float


@dataclass(frozen=True)
class TraceSummary:
    """Both tables, and by step the rollouts and the guided ones among them; `exposure` has at most `ROWS` rows."""

    exposure: tuple[ExposureRow, ...]
    outcomes: tuple[OutcomeRow, ...]
    rollouts: Mapping[int, tuple[int, int]]


@dataclass
class _Sums:
    rollouts: int = 0
    guided: int = 0
    exposure: float = 0.0
    routes: int = 0
    steps: int = 0

    def add(self, other: "_Sums") -> None:
        self.rollouts += other.rollouts
        self.guided += other.guided
        self.exposure += other.exposure
        self.routes += other.routes
        self.steps += other.steps


def read_traces(roots: Sequence[Path], notes: list[str]) -> TraceSummary | None:
    """Summarize the traces under the checkpoint folders of a run's rounds, whose steps count on from one to the next.

    None without any, or, with a line in `notes`, when one is torn.
    """
    if not any(traces.steps(root) for root in roots):
        return None
    by_step: defaultdict[int, _Sums] = defaultdict(_Sums)
    by_routes: defaultdict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    try:
        for line, before in _rounds(roots):
            shown, components = line["shown"], line["components"]
            by_step[before + int(line["step"])].add(
                _Sums(1, bool(shown), float(line["exposure"] or 0.0), len(shown), sum(line["shown_steps"]))
            )
            counts = by_routes[len(shown)]
            outcome = components.get("outcome", components.get("acc", 0.0))
            for i, value in enumerate((1.0, float(outcome), float(line["score"] or 0.0))):
                counts[i] += value
    except (ValueError, KeyError, TypeError) as error:
        notes.append(f"traces: {error}: no tables from the route traces")
        return None
    outcomes = (
        OutcomeRow(routes, int(n), right / n, score / n)
        for routes, (n, right, score) in sorted(by_routes.items())
    )
    rollouts = {step: (sums.rollouts, sums.guided) for step, sums in by_step.items()}
    return TraceSummary(_binned(dict(by_step)), tuple(outcomes), rollouts)


def _rounds(roots: Sequence[Path]) -> Iterator[tuple[dict[str, Any], int]]:
    """The lines of all rounds, each with the steps of the rounds before its own."""
    before = 0
    for root in roots:
        steps = traces.steps(root)
        for line in traces.read(root):
            yield line, before
        before += steps[-1] if steps else 0


def _binned(by_step: dict[int, _Sums]) -> tuple[ExposureRow, ...]:
    steps = sorted(by_step)
    width = -(-len(steps) // ROWS)
    rows = []
    for begin in range(0, len(steps), width):
        part = steps[begin : begin + width]
        all_of = _Sums()
        for step in part:
            all_of.add(by_step[step])
        guided = max(1, all_of.guided)
        rows.append(
            ExposureRow(
                part[0],
                part[-1],
                all_of.rollouts,
                all_of.exposure / all_of.rollouts,
                all_of.guided / all_of.rollouts,
                all_of.routes / guided,
                all_of.steps / guided,
            )
        )
    return tuple(rows)
