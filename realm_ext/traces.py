"""Route traces: one JSON line for each rollout, so that a run can be audited rollout by rollout.

Serves design section "EAAI". The trainer writes a shard a step, `traces/step_00000012.jsonl` in the checkpoint
folder, by rename; lines are in the order of (row uid, rollout). A resumed run removes the shards after the step it
resumes from and writes them anew. `realm report` reads them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from realm_ext.files import write_by_rename
from realm_ext.rollout_metrics import Rollout

FOLDER = "traces"
_SHARD = re.compile(r"step_(\d+)\.jsonl\Z")


def write(root: Path, step: int, rollouts: Sequence[Rollout]) -> Path:
    """Write the shard of a step; one that is there already is replaced whole."""
    path = _shard(root, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(rollouts, key=lambda r: (r.row_uid or r.uid, r.session, r.uid))
    write_by_rename(path, "".join(json.dumps(_line(step, rollout)) + "\n" for rollout in ordered))
    return path


def drop_after(root: Path, step: int) -> list[int]:
    """Remove the shards of later steps, which this run will write again; returns their steps."""
    later = [number for number in steps(root) if number > step]
    for number in later:
        _shard(root, number).unlink()
    return later


def steps(root: Path) -> list[int]:
    """The steps that have a shard, in order."""
    folder = root / FOLDER
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(match[1]) for name in names if (match := _SHARD.match(name)))


def read(root: Path) -> Iterator[dict[str, Any]]:
    """All lines, in order of steps.

    Raises:
        ValueError: a line is not JSON; the message names the shard.
    """
    for step in steps(root):
        path = _shard(root, step)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                yield dict(json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path.name}: line {number} is not a trace ({error})") from error


def _shard(root: Path, step: int) -> Path:
    return root / FOLDER / f"step_{step:08d}.jsonl"


def _line(step: int, rollout: Rollout) -> dict[str, Any]:
    components = dict(rollout.components)
    return {
        "step": step,
        "planned": step if rollout.planned_step is None else rollout.planned_step,
        "uid": rollout.row_uid or rollout.uid,
        "rollout": rollout.session,
        "exposure": rollout.exposure,
        "regime": "guided" if rollout.guided else "unguided",
        "shown": list(rollout.shown),
        "shown_steps": list(rollout.shown_steps),
        "dropped": rollout.n_dropped,
        "score": components.pop("score", None),
        "components": components,
        "response_length": rollout.response_length,
        "cut": rollout.cut,
        "carried": rollout.carried,
    }
