"""Finding the last whole checkpoint, and keeping it findable whenever the run is killed.

Serves design section "EAAI" (resume is exact). verl writes its tracker file in place and last: a kill can leave it
empty, or leave a half-written `global_step_N`. A marker file, written by rename once everything else is there, says
that a checkpoint is whole and lists its files with their sizes.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "realm_checkpoint.json"
OVERWRITING = "realm_overwriting"
TRACKER = "latest_checkpointed_iteration.txt"
ASIDE = "incomplete_"
# verl's export beside the shards: resuming does not read it, and merging tools may rewrite it.
EXPORT = "huggingface"
_STEP_FOLDER = re.compile(r"global_step_(\d+)\Z")


@dataclass(frozen=True)
class Found:
    """What a checkpoint folder holds.

    Attributes:
        step: step of the last whole checkpoint; None: there is none.
        incomplete: steps of checkpoints that are not whole and stand in the way (newer than `step`).
        problems: one text for each thing that was not as it should be, newest first.
    """

    step: int | None
    incomplete: tuple[int, ...]
    problems: tuple[str, ...]


def step_folder(root: Path, step: int) -> Path:
    """verl's folder for the checkpoint of `step`."""
    return root / f"global_step_{step}"


def find(root: Path, check: Callable[[Path], str | None] = lambda folder: None) -> Found:
    """The last whole checkpoint under `root`, which may not exist. Reads only.

    The tracker's checkpoint, if that is whole; else, of those that are, the one written last.

    Args:
        check: says of a checkpoint's folder what else is wrong with it; None: nothing.
    """
    if not root.is_dir():
        return Found(None, (), ())
    problems: list[str] = []
    named = _tracked_step(root, problems)
    steps = sorted(
        (int(m[1]) for p in root.iterdir() if p.is_dir() and (m := _STEP_FOLDER.match(p.name))), reverse=True
    )
    faults = {step: _fault(root, step, named) or check(step_folder(root, step)) for step in steps}
    if named is not None and named not in faults:
        problems.append(f"{TRACKER} names step {named}, whose folder is missing")
    whole = [step for step in steps if faults[step] is None]
    if named in whole:
        step: int | None = named
    else:
        step = max(whole, key=lambda s: (_saved_at(root, s), s), default=None)
    incomplete = tuple(s for s in steps if faults[s] is not None and (step is None or s > step or s == named))
    problems += [f"global_step_{s} {faults[s]}" for s in incomplete]
    return Found(step, incomplete, tuple(problems))


def repair(root: Path, found: Found) -> None:
    """Make the folder say what `found` says, so that verl resumes from there.

    Checkpoints that are not whole are set aside as `incomplete_global_step_N`; those set aside before go, so that
    at most one generation of them takes space. The tracker is rewritten, or removed when nothing is whole.
    """
    if found.incomplete:
        for old in root.glob(f"{ASIDE}global_step_*"):
            shutil.rmtree(old)
        for step in found.incomplete:
            folder = step_folder(root, step)
            folder.rename(root / f"{ASIDE}{folder.name}")
    tracker = root / TRACKER
    if found.step is not None:
        if _tracked_step(root, []) != found.step:
            write_by_rename(tracker, str(found.step))
    elif tracker.exists():
        tracker.unlink()


def open_for_writing(root: Path, step: int) -> None:
    """Before verl writes into `global_step_N`: what an earlier run left there no longer counts as whole."""
    folder = step_folder(root, step)
    if folder.exists():
        (folder / OVERWRITING).touch()
        (folder / MARKER).unlink(missing_ok=True)


def mark_whole(root: Path, step: int, fingerprint: Mapping[str, Any]) -> None:
    """After verl has written everything: say so, with the sizes of the files that are there.

    The files are on disk before the marker is, so that it does not outlive them when the machine stops.
    """
    folder = step_folder(root, step)
    (folder / OVERWRITING).unlink(missing_ok=True)
    files: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync(path)
        elif path.name != MARKER and EXPORT not in path.relative_to(folder).parts:
            sync(path)
            files[str(path.relative_to(folder))] = path.stat().st_size
    sync(root)
    marker = {"step": step, "saved_at": time.time(), "fingerprint": dict(fingerprint), "files": files}
    write_by_rename(folder / MARKER, json.dumps(marker, indent=1))


def prune(root: Path, keep: int) -> list[int]:
    """Remove all but the `keep` whole checkpoints written last; returns the steps removed.

    verl's own pruning removes the old checkpoint before the new one is whole.
    """
    marked = [
        int(m[1]) for p in root.iterdir() if (m := _STEP_FOLDER.match(p.name)) and (p / MARKER).is_file()
    ]
    oldest_last = sorted(marked, key=lambda s: (_saved_at(root, s), s), reverse=True)
    removed = oldest_last[keep:]
    for step in removed:
        (step_folder(root, step) / MARKER).unlink()
        shutil.rmtree(step_folder(root, step))
    return removed


def read_marker(root: Path, step: int) -> dict[str, Any] | None:
    """The marker of a checkpoint; None if it is missing or torn."""
    try:
        marker = json.loads((step_folder(root, step) / MARKER).read_text())
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and marker.get("step") == step else None


def write_by_rename(path: Path, text: str) -> None:
    """Write `text` so that a reader finds the old content or the new, whole, whenever the writer dies."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Return when a file's content, or a folder's list of names, is on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _tracked_step(root: Path, problems: list[str]) -> int | None:
    tracker = root / TRACKER
    if not tracker.exists():
        return None
    content = tracker.read_text(errors="replace").strip()
    if content.isascii() and content.isdigit():
        return int(content)
    problems.append(f"{TRACKER} is {'empty' if not content else f'unreadable ({content[:20]!r})'}")
    return None


def _saved_at(root: Path, step: int) -> float:
    marker = read_marker(root, step)
    return float(marker.get("saved_at", 0.0)) if marker else 0.0


def _fault(root: Path, step: int, named: int | None) -> str | None:
    """Why a checkpoint is not whole; None if it is. One without a marker (stock verl's) counts if tracked."""
    folder = step_folder(root, step)
    if (folder / OVERWRITING).exists():
        return "was being overwritten"
    marker = read_marker(root, step)
    if marker is None and (step != named or (folder / MARKER).exists()):
        return "is half written"
    for name, size in (marker or {}).get("files", {}).items():
        path = folder / name
        if not path.is_file():
            return f"lacks {name}"
        if path.stat().st_size != size:
            return f"has {path.stat().st_size} bytes of {size} in {name}"
    if not (folder / "actor").is_dir() or not any((folder / "actor").iterdir()):
        return "lacks the actor"
    return None if (folder / "data.pt").is_file() else "lacks data.pt"
