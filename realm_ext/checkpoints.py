"""Finding the last whole checkpoint, and keeping it findable whenever the run is killed.

Serves design section "EAAI" (resume is exact). verl writes its tracker file in place and last: a kill can leave it
empty, or leave a half-written `global_step_N`. A marker file, written by rename once everything else is there, says
that a checkpoint is whole and lists its files with their sizes.

Each rank writes its own files on its own machine, and all this runs where the trainer does. On storage that is not
shared a folder therefore holds the files of some ranks only: such a checkpoint is refused, and left as it is.
"""

import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_ext.files import sync, write_by_rename

MARKER = "realm_checkpoint.json"
OVERWRITING = "realm_overwriting"
SAVING = "realm_saving"
TRACKER = "latest_checkpointed_iteration.txt"
ASIDE = "incomplete_"
# verl's export beside the shards: resuming does not read it, and merging tools may rewrite it.
EXPORT = "huggingface"
_STEP_FOLDER = re.compile(r"global_step_(\d+)\Z")
_RANK_FILE = re.compile(r"(?:model|optim|extra_state)_world_size_(\d+)_rank_(\d+)\.pt\Z")
_ROLES = ("actor", "critic")


class NotSharedError(ValueError):
    """A checkpoint lies partly on another machine."""


@dataclass(frozen=True)
class Found:
    """What a checkpoint folder holds.

    Attributes:
        step: step of the last whole checkpoint; None: there is none.
        incomplete: steps of checkpoints that are not whole and stand in the way (newer than `step`).
        problems: one text for each thing that was not as it should be, newest first.
        split: one text for each of `incomplete` that lies partly on another machine.
    """

    step: int | None
    incomplete: tuple[int, ...]
    problems: tuple[str, ...]
    split: tuple[str, ...] = ()


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
    faults = {
        step: fault(step_folder(root, step), step == named) or check(step_folder(root, step))
        for step in steps
    }
    if named is not None and named not in faults:
        problems.append(f"{TRACKER} names step {named}, whose folder is missing")
    whole = [step for step in steps if faults[step] is None]
    if named in whole:
        step: int | None = named
    else:
        step = max(whole, key=lambda s: (_saved_at(root, s), s), default=None)
    incomplete = tuple(s for s in steps if faults[s] is not None and (step is None or s > step or s == named))
    problems += [f"global_step_{s} {faults[s]}" for s in incomplete]
    split = tuple(
        f"global_step_{s} {text}" for s in incomplete if (text := elsewhere(step_folder(root, s), s == named))
    )
    return Found(step, incomplete, tuple(problems), split)


def repair(root: Path, found: Found) -> None:
    """Make the folder say what `found` says, so that verl resumes from there.

    Checkpoints that are not whole are set aside as `incomplete_global_step_N`; those set aside before go, so that
    at most one generation of them takes space. The tracker is rewritten, or removed when nothing is whole.

    Raises:
        NotSharedError: one of them lies partly on another machine, and may be whole; nothing is changed.
    """
    refuse_split(root, found)
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


def refuse_split(root: Path, found: Found) -> None:
    """Raises:
    NotSharedError: a checkpoint that stands in the way lies partly on another machine.
    """
    if found.split:
        raise NotSharedError(
            f"{root} is not on shared storage: {'; '.join(found.split)}. Nothing was changed. Let trainer.default_local_dir be one folder that every node sees under the same "
            "path, bring the files of all ranks together there, and run the same command again. A checkpoint that is "
            "not wanted, as one whose saving was cut short: remove its folder"
        )


def open_for_writing(root: Path, step: int) -> None:
    """Before verl writes into `global_step_N`: nothing there counts as whole until `mark_whole`."""
    folder = step_folder(root, step)
    if folder.exists():
        (folder / OVERWRITING).touch()
        (folder / MARKER).unlink(missing_ok=True)
    else:
        folder.mkdir(parents=True)
        (folder / SAVING).touch()


def mark_whole(root: Path, step: int, fingerprint: Mapping[str, Any]) -> None:
    """After verl has written everything: say so, with the sizes of the files that are there.

    The files are on disk before the marker is, so that it does not outlive them when the machine stops.
    """
    folder = step_folder(root, step)
    for begun in (OVERWRITING, SAVING):
        (folder / begun).unlink(missing_ok=True)
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


def read_marker(folder: Path) -> dict[str, Any] | None:
    """The marker of a checkpoint's folder; None if it is missing, torn, or of another step."""
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return None
    is_its_own = isinstance(marker, dict) and f"global_step_{marker.get('step')}" == folder.name
    return marker if is_its_own else None


def world_sizes(folder: Path, role: str = "actor") -> dict[int, set[int]]:
    """By number of ranks: the ranks whose files a checkpoint's folder holds; empty where files are not named by rank."""
    found: dict[int, set[int]] = {}
    for path in (folder / role).glob("*.pt"):
        if match := _RANK_FILE.match(path.name):
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    return found


def other_world_size(folder: Path, n_workers: int) -> str | None:
    """Why a run of `n_workers` training workers cannot load a checkpoint; None: it can, or files do not tell."""
    saved = world_sizes(folder)
    if not saved or n_workers in saved:
        return None
    sizes = " or ".join(map(str, sorted(saved)))
    return (
        f"the checkpoint {folder} was saved by {sizes} training workers, and this run has {n_workers} "
        "(trainer.nnodes * trainer.n_gpus_per_node), which cannot load it: run as many workers, or set "
        "trainer.default_local_dir to a new folder to start over"
    )


def elsewhere(folder: Path, is_chosen: bool = False) -> str | None:
    """What of a checkpoint lies on another machine; None: nothing, or it was never saved to the end.

    Args:
        is_chosen: the tracker, which verl writes when every rank has saved, or the user names it.
    """
    if (folder / OVERWRITING).exists() or ((folder / SAVING).exists() and not is_chosen):
        return None
    host = socket.gethostname()
    for role in _ROLES:
        saved = world_sizes(folder, role)
        if saved and all(len(ranks) < size for size, ranks in saved.items()):
            size, ranks = max(saved.items())
            absent = ", ".join(str(rank) for rank in range(size) if rank not in ranks)
            return f"lies partly on another machine: of {size} ranks, {role} files of rank {absent} are not here ({host})"
    marker = read_marker(folder)
    if marker is not None and not any(name.startswith("actor/") for name in marker.get("files", {})):
        return (
            None if _has_actor(folder) else f"lies partly on another machine: no actor file is here ({host})"
        )
    return None


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
    marker = read_marker(step_folder(root, step))
    return float(marker.get("saved_at", 0.0)) if marker else 0.0


def _has_actor(folder: Path) -> bool:
    return (folder / "actor").is_dir() and any((folder / "actor").iterdir())


def fault(folder: Path, is_chosen: bool) -> str | None:
    """Why a checkpoint is not whole; None if it is.

    Args:
        is_chosen: the tracker or the user names it, so that it counts without a marker too (stock verl's).
    """
    if (folder / OVERWRITING).exists():
        return "was being overwritten"
    if apart := elsewhere(folder, is_chosen):
        return apart
    marker = read_marker(folder)
    if marker is None and (not is_chosen or (folder / MARKER).exists()):
        return "is half written"
    for name, size in (marker or {}).get("files", {}).items():
        path = folder / name
        if not path.is_file():
            return f"lacks {name}"
        if path.stat().st_size != size:
            return f"has {path.stat().st_size} bytes of {size} in {name}"
    if not _has_actor(folder):
        return "lacks the actor"
    return None if (folder / "data.pt").is_file() else "lacks data.pt"
