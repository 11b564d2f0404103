"""The files of the adaptive state: `global_step_N/realm_adaptive/` in each checkpoint.

Serves design section "EAAI" (written before verl marks a checkpoint complete, read back on resume, changed data
refused). A checkpoint holds the state of every question visited so far in segments, JSON lines that are never
changed once written. A save writes one segment with the questions touched since the last one and takes the older
segments over as hard links (copies where the file system has none), so each folder is complete on its own.
A new segment swallows older ones that are not larger: their number stays logarithmic, a line is rewritten as
seldom, and what a save costs follows the questions touched. `state.json` comes last, by rename: it lists the
segments with size and checksum, and holds the buckets and the fingerprint of the training data.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_ext.adaptive import AdaptiveConfig, Levels, QuestionState
from realm_ext.files import sync, write_by_rename

FOLDER = "realm_adaptive"
MANIFEST = "state.json"
VERSION = 1


class TornStateError(ValueError):
    """A state that is not as it was written; the message says what is wrong with it."""


class ChangedDataError(ValueError):
    """The training data is not what the state was made with."""


@dataclass(frozen=True)
class Segment:
    """One file of question states; later segments win over earlier ones."""

    path: Path
    n_lines: int
    n_bytes: int
    checksum: int


def save(
    checkpoint: Path, levels: Levels, previous: Sequence[Segment], step: int, data: str
) -> list[Segment]:
    """Write the state into a checkpoint's folder, on disk when this returns; `levels.touched` is then empty.

    Args:
        checkpoint: verl's folder `global_step_N`, which need not exist yet.
        previous: the segments of the checkpoint saved or loaded before.
        data: see `data_fingerprint`.

    Returns:
        The segments of this checkpoint, oldest first.
    """
    folder = checkpoint / FOLDER
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    carried, uids = list(previous), set(levels.touched)
    if not all(segment.path.is_file() for segment in carried):
        carried, uids = [], set(levels.questions)
    while carried and carried[-1].n_lines <= len(uids):
        uids.update(uid for uid, _ in _read(carried.pop()))
    segments = [_take_over(segment, folder) for segment in carried]
    if uids:
        segments.append(_write(folder / f"step_{step}.jsonl", uids, levels))
    manifest = {
        "version": VERSION,
        "step": step,
        "data": data,
        "segments": [[s.path.name, s.n_lines, s.n_bytes, s.checksum] for s in segments],
        "buckets": levels.buckets,
    }
    write_by_rename(folder / MANIFEST, json.dumps(manifest))
    sync(checkpoint)
    sync(checkpoint.parent)
    levels.touched.clear()
    return segments


def load(checkpoint: Path, config: AdaptiveConfig) -> tuple[Levels, list[Segment]]:
    """The state that a checkpoint holds, and its segments.

    Raises:
        FileNotFoundError: it holds none.
        TornStateError: what it holds is not whole.
    """
    manifest = read_manifest(checkpoint)
    if manifest is None:
        raise FileNotFoundError(f"{checkpoint} has no adaptive state ({FOLDER}/{MANIFEST})")
    segments = _segments(checkpoint, manifest)
    questions: dict[str, QuestionState] = {}
    for segment in segments:
        questions.update(_read(segment))
    buckets = {name: (int(n), float(total)) for name, (n, total) in manifest["buckets"].items()}
    if sum(n for n, _ in buckets.values()) != len(questions):
        raise TornStateError(f"{FOLDER} holds {len(questions)} questions, its buckets say otherwise")
    return Levels(config, questions, buckets), segments


def read_manifest(checkpoint: Path) -> dict[str, Any] | None:
    """A checkpoint's `state.json`; None: it has no adaptive state.

    Raises:
        TornStateError: there is one, but it cannot be read, or is of another version.
    """
    path = checkpoint / FOLDER / MANIFEST
    if not path.parent.is_dir():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["version"] != VERSION or not {"data", "segments", "buckets"} <= set(manifest):
            raise TornStateError(f"{FOLDER}/{MANIFEST} has version {manifest['version']}, expected {VERSION}")
    except TornStateError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TornStateError(f"{FOLDER}/{MANIFEST} is torn or missing") from error
    return dict(manifest)


def fault(checkpoint: Path) -> str | None:
    """Why the adaptive state in a checkpoint cannot be used; None: it can, or there is none."""
    try:
        manifest = read_manifest(checkpoint)
        for segment in _segments(checkpoint, manifest) if manifest else ():
            _checked(segment)
    except TornStateError as error:
        return f"has a torn adaptive state ({error})"
    return None


def check_data(checkpoint: Path, data: str) -> None:
    """Refuse training data that the state was not made with.

    Raises:
        ChangedDataError: saying what to do.
        TornStateError: the manifest cannot be read.
    """
    manifest = read_manifest(checkpoint)
    if manifest is not None and manifest["data"] != data:
        raise ChangedDataError(
            f"data.train_files is not the data that the adaptive state in {checkpoint} was made with: its levels would "
            "belong to other questions. Give the same files, or start anew with another trainer.default_local_dir "
            "or realm.adaptive.kind=none"
        )


def data_fingerprint(paths: Iterable[str]) -> str:
    """A hash of the content of the training files, in their order; for one that is not a local file, of its name."""
    digest = hashlib.sha256()
    for path in paths:
        local = Path(path).expanduser()
        if local.is_file():
            with local.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(hashlib.sha256(str(path).encode()).digest())
    return digest.hexdigest()[:16]


def _segments(checkpoint: Path, manifest: dict[str, Any]) -> list[Segment]:
    try:
        return [
            Segment(checkpoint / FOLDER / str(name), *map(int, rest)) for name, *rest in manifest["segments"]
        ]
    except (TypeError, ValueError) as error:
        raise TornStateError(f"{FOLDER}/{MANIFEST} lists its segments in another form") from error


def _write(path: Path, uids: set[str], levels: Levels) -> Segment:
    lines = []
    for uid in sorted(uids):
        state = levels.questions[uid]
        lines.append(json.dumps([uid, state.level, state.failures, state.visits, state.bucket]) + "\n")
    content = "".join(lines).encode()
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Segment(path, len(lines), len(content), zlib.crc32(content))


def _take_over(segment: Segment, folder: Path) -> Segment:
    target = folder / segment.path.name
    try:
        os.link(segment.path, target)
    except OSError:
        shutil.copyfile(segment.path, target)
        sync(target)
    return Segment(target, segment.n_lines, segment.n_bytes, segment.checksum)


def _read(segment: Segment) -> list[tuple[str, QuestionState]]:
    try:
        # One document instead of one a line: a million lines are read in a third of the time.
        rows = json.loads(b"[" + b",".join(_checked(segment).splitlines()) + b"]")
        return [(str(uid), QuestionState(*state)) for uid, *state in rows]
    except TornStateError:
        raise
    except (ValueError, TypeError) as error:
        raise TornStateError(f"{FOLDER}/{segment.path.name} is not in the form it is written in") from error


def _checked(segment: Segment) -> bytes:
    try:
        content = segment.path.read_bytes()
    except OSError as error:
        raise TornStateError(f"{FOLDER}/{segment.path.name} is missing") from error
    if len(content) != segment.n_bytes or zlib.crc32(content) != segment.checksum:
        raise TornStateError(f"{FOLDER}/{segment.path.name} is not as it was written")
    return content
