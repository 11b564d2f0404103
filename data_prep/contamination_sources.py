"""What `realm contamination` reads: documents of evaluation tasks and files, rows of training files.

Serves design.md, section Data. Tasks come through lm-eval's own TaskManager, so what is checked is what is scored. A
task whose data cannot be had here is reported, never passed over.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.filters.overlap import OverlapFilter, OverlapIndex
from data_prep.on_disk import stream_parquet

ROWS_AT_A_TIME = 1024
SUFFIXES = (".parquet", ".jsonl")
QUESTION_COLUMNS = ("question", "problem", "input", "query", "prompt", "messages", "text")


@dataclass
class EvaluationSets:
    """Documents by name of the set, and why some could not be had; sets of the same documents share one entry."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    not_checked: dict[str, str] = field(default_factory=dict)
    _name_of: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, texts: list[str]) -> None:
        """Take a set; one with no document counts as not checked."""
        if not texts:
            self.not_checked[name] = "it has no documents"
            return
        digest = hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
        known = self._name_of.get(digest)
        joined = name if known is None else f"{known}, {name}"
        self.texts[joined] = texts if known is None else self.texts.pop(known)
        self._name_of[digest] = joined


# ------------------------------ lm-eval's tasks ------------------------------


def read_tasks(
    names: Sequence[str], include: Sequence[Path], data: Path | None, offline: bool, sets: EvaluationSets
) -> None:
    """Add the documents of every task in `names`, groups and tags opened; ReaLM's own tasks are always known.

    Args:
        include: folders of further tasks.
        data: folder of the files of public sets, for tasks that take `--metadata data=FOLDER`.
        offline: keep to data that is here.

    Raises:
        ValueError: lm-eval knows no task, group or tag of that name.
        ImportError: lm-eval is not installed.
    """
    if offline:  # read at import, so it must come first
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    logging.getLogger("lm_eval").setLevel(
        logging.ERROR
    )  # it warns that an included task overrides a linked one
    metadata = {} if data is None else {"data": str(data)}
    manager = _manager(names, [*_own_tasks(), *map(str, include)], metadata)
    for name in names:
        if name not in manager.task_index:
            raise ValueError(f"lm-eval knows no task or group {name!r}; `lm_eval ls tasks` lists them")
        for leaf, spec in _leaves(manager, name):
            if leaf in sets.not_checked or any(leaf in known.split(", ") for known in sets.texts):
                continue
            try:
                tasks = manager.load([spec])["tasks"]
                for found, task in tasks.items():
                    sets.add(found, [document_text(task, doc) for doc in task.eval_docs])
            except Exception as error:  # noqa: BLE001  a hub, a network or a task's own code may raise anything
                sets.not_checked[leaf] = f"{type(error).__name__}: {error}".partition("\n")[0][:200]


def document_text(task: Any, doc: Mapping[str, Any]) -> str:
    """What a document asks, as the task renders it, without the routes of guided tasks."""
    bare = {key: value for key, value in doc.items() if key != "routes"}
    text = task.doc_to_text(bare)
    # Some tasks give a number here: the right one of several contexts.
    return text if isinstance(text, str) else "\n".join(text for _, text in strings_of(bare))


def _manager(names: Sequence[str], folders: Sequence[str], metadata: Mapping[str, str]) -> Any:
    """A task manager that knows the names; without lm-eval's own tasks, slow to index, where these folders suffice."""
    from lm_eval.tasks import TaskManager

    small = TaskManager(include_path=folders, include_defaults=False, metadata=metadata)
    known = small.task_index
    enough = all(
        name in known and all(spec in known for _, spec in _leaves(small, name) if isinstance(spec, str))
        for name in names
    )
    return small if enough else TaskManager(include_path=folders, metadata=metadata)


def _own_tasks() -> list[str]:
    spec = find_spec("eval_tasks")  # finds the folder without importing it
    return list(spec.submodule_search_locations or ()) if spec else []


def _leaves(manager: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The tasks of a group, one by one, so that one without data does not hide the others; name and what to load."""
    entry = manager.task_index[name]
    if entry.kind.name == "TAG":
        for other, candidate in manager.task_index.items():
            if name in candidate.tags:
                yield from _leaves(manager, other)
        return
    members = (entry.cfg or {}).get("task") if entry.kind.name == "GROUP" else None
    if not isinstance(members, list):
        yield name, name
        return
    for member in members:
        if isinstance(member, str) and member in manager.task_index:
            yield from _leaves(manager, member)
        else:
            label = member.get("task") or member.get("group") if isinstance(member, Mapping) else member
            yield str(label), member


# ------------------------------ files ------------------------------


def read_evaluation_file(path: Path, column: str | None) -> list[str]:
    """The questions of a JSONL or parquet file.

    Raises:
        ValueError: no column of that name, or none that is known to hold questions.
        OSError: the file cannot be read.
    """
    texts = []
    for number, row in training_rows(path, []):
        if row is not None:
            texts.append(_question_of(row, column, f"{path}, row {number}"))
    return texts


def add_file(given: str, column: str | None, sets: EvaluationSets) -> None:
    """Add the questions of `FILE` or `NAME=FILE`; errors as `read_evaluation_file`."""
    name, path = named_file(given)
    sets.add(name, read_evaluation_file(path, column))


def named_file(given: str) -> tuple[str, Path]:
    """Name and file of `FILE` or `NAME=FILE`."""
    name, equals, path = ("", "", given) if Path(given).exists() else given.partition("=")
    return name if equals else Path(given).stem, Path(path or given)


def overlap_filters(given: Sequence[str]) -> tuple[OverlapFilter, ...]:
    """What `--not-in` asks for: one filter against evaluation sets, none where none is named.

    Args:
        given: each a JSONL or parquet file, as FILE or NAME=FILE, or the name of an lm-eval task or group.

    Raises:
        ValueError: a set that cannot be read here: a filter must not pass over one.
        OSError, ImportError: a file, or lm-eval, is not there.
    """
    if not given:
        return ()
    sets = EvaluationSets()
    for text in given:
        if "=" in text or Path(text).exists() or Path(text).suffix in SUFFIXES:
            add_file(text, None, sets)
        else:
            read_tasks([text], (), None, True, sets)
    if sets.not_checked:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sets.not_checked.items())
        raise ValueError(f"these evaluation sets cannot be read here: {reasons}; give their files instead")
    return (OverlapFilter(OverlapIndex(sets.texts)),)


def _question_of(row: Mapping[str, Any], column: str | None, where: str) -> str:
    name = column or next((c for c in QUESTION_COLUMNS if row.get(c)), None)
    if name is None or row.get(name) is None:
        raise ValueError(
            f"{where} has no column {column or ', '.join(QUESTION_COLUMNS)}; it has {', '.join(map(str, row))}: "
            "give the one that holds the question by --question-column"
        )
    value = row[name]
    if isinstance(value, list):  # chat messages
        asked = [m["content"] for m in value if isinstance(m, Mapping) and m.get("role") == "user"]
        return "\n".join(text for content in asked for _, text in strings_of(content))
    return str(value)


def training_files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and those that folders hold, sorted.

    Raises:
        ValueError: a path is not there, is of another kind, or a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = (
            sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.name != "rejects.jsonl")
            if path.is_dir()
            else [path]
        )
        if not inside or not path.exists() or (path.is_file() and path.suffix not in SUFFIXES):
            raise ValueError(f"{path} is no {' or '.join(SUFFIXES)} file and no folder that holds one")
        found += inside
    return found


def training_rows(path: Path, torn: list[int]) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """Rows with their numbers from 0, as they stream by; a JSONL line that is no object goes into `torn`.

    Raises:
        ValueError: a parquet file that cannot be read.
        OSError: the file cannot be opened.
    """
    if path.suffix == ".parquet":
        try:
            with stream_parquet(path) as file:
                rows = (
                    row for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME) for row in batch.to_pylist()
                )
                yield from enumerate(rows)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} is no readable parquet file ({error})") from error
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                torn.append(number)
                row = None
            yield number, row


def strings_of(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, however nested, with where it stands, e.g. `prompt[0].content`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings_of(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for index, inner in enumerate(value):
            yield from strings_of(inner, f"{path}[{index}]")
