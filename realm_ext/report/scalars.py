"""Reads verl's TensorBoard logs as series by step, over resumes and torn files.

verl logs with `torch.utils.tensorboard` (verl/utils/tracking.py, `_TensorboardAdapter`); each start of a run
adds an event file. Reading needs `tensorboard` alone, not TensorFlow.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.util.tensor_util import make_ndarray

RECORD_FRAME = 16  # bytes around each record: its length, and a checksum of each


@dataclass(frozen=True)
class Series:
    """One metric: steps in rising order, each once (but see `rounds.join_rounds`), and a finite value for each.

    Attributes:
        starts: places at which a line begins anew: another round, or steps before them that have no value.
        faint: places whose value is a mean of few rollouts.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]
    starts: tuple[int, ...] = ()
    faint: tuple[int, ...] = ()

    def pick(self, places: Sequence[int]) -> "Series":
        """The points at these places, in rising order; a line begins anew behind each that is left out."""
        starts = [
            new
            for new, (before, place) in enumerate(itertools.pairwise(places), start=1)
            if place > before + 1 or place in self.starts
        ]
        return Series(
            tuple(self.steps[i] for i in places),
            tuple(self.values[i] for i in places),
            tuple(starts),
            tuple(new for new, place in enumerate(places) if place in self.faint),
        )

    def segments(self) -> list["Series"]:
        """The parts between the places at which a line begins anew."""
        edges = [0, *self.starts, len(self.steps)]
        return [self.pick(range(a, b)) for a, b in itertools.pairwise(edges)]


@dataclass(frozen=True)
class EventFile:
    """What one event file holds.

    Attributes:
        started: unix time of its first record, seconds.
        points: (step, value) by metric name, as written; values may be NaN.
        records: number of whole records.
        whole: False when the file ends inside a record, or a checksum is wrong.
    """

    started: float
    points: Mapping[str, Sequence[tuple[int, float]]]
    records: int
    whole: bool


def read_event_file(path: Path) -> EventFile:
    """Read every whole record of one event file.

    Raises:
        OSError: the file cannot be opened.
    """
    size, read, records = path.stat().st_size, 0, 0
    started = math.inf
    points: dict[str, list[tuple[int, float]]] = {}
    try:
        for record in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(record)
            read, records = read + len(record) + RECORD_FRAME, records + 1
            started = min(started, event.wall_time)
            for value in event.summary.value:
                number = _number(value)
                if number is not None:
                    points.setdefault(value.tag, []).append((event.step, number))
    except DecodeError:
        pass  # what was read so far counts; `whole` says that the rest was lost
    return EventFile(started, points, records, read >= size)


def merge_series(
    parts: Iterable[Mapping[str, Sequence[tuple[int, float]]]],
) -> tuple[dict[str, Series], dict[str, int]]:
    """Join the files of one run, oldest first: a resume overrides whatever it does again.

    From the first step at which a later file holds a metric, earlier points of that metric are dropped: they
    belong to steps that were thrown away with the crash.

    Returns:
        the series by name, and by name how many values were left out because they are not finite.
    """
    merged: dict[str, dict[int, float]] = {}
    for part in parts:
        for name, points in part.items():
            first = min(step for step, _ in points)
            kept = {step: value for step, value in merged.get(name, {}).items() if step < first}
            merged[name] = kept | dict(points)
    series: dict[str, Series] = {}
    not_finite: dict[str, int] = {}
    for name, values in sorted(merged.items()):
        finite = sorted((step, value) for step, value in values.items() if math.isfinite(value))
        if len(finite) < len(values):
            not_finite[name] = len(values) - len(finite)
        if finite:
            series[name] = Series(tuple(step for step, _ in finite), tuple(value for _, value in finite))
    return series, not_finite


def read_scalars(folder: Path) -> tuple[dict[str, Series], list[str]]:
    """All metrics under a TensorBoard folder, and one line about each thing that is wrong with it.

    Raises:
        OSError: a file cannot be opened.
    """
    notes: list[str] = []
    files: list[EventFile] = []
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        file = read_event_file(path)
        if not file.whole:
            notes.append(
                f"{path.name} ends inside a record (the run was killed or is still writing): "
                f"its {file.records} whole records are used"
            )
        if file.points:
            files.append(file)
    series, not_finite = merge_series(file.points for file in sorted(files, key=lambda f: f.started))
    notes += [f"{name}: {n} values are not finite and are left out" for name, n in not_finite.items()]
    return series, notes


def _number(value: Summary.Value) -> float | None:
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind == "tensor":
        array = make_ndarray(value.tensor)
        return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else None
    return None
