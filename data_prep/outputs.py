"""Writing an output folder: parquet files, the dataset card, provenance, and rejected rows.

Serves design.md, section Data. Every file is written beside its place, flushed to disk and renamed, so that a
name never stands for half a file; a kill leaves at most a hidden `.part` file. `provenance.json` is removed
first and written last: a folder that has one is complete. Nothing written depends on the time or the machine.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROWS_AT_A_TIME = 1024
PROVENANCE = "provenance.json"
REJECTS = "rejects.jsonl"
OTHER_LICENCE = "other"
"""What a card states where nobody named a licence: the Hub's identifier for one that is not in its list."""


@dataclass(frozen=True)
class WrittenFile:
    """A parquet file of the folder, and where `datasets.load_dataset(folder, config)[split]` finds it."""

    name: str
    rows: int
    sha256: str
    config: str
    split: str


@dataclass(frozen=True)
class Provenance:
    """Where a folder's rows come from.

    `parameters` are the command's options, `-` written as `_`; `inputs` maps the name of each input to the
    SHA-256 of its content; `kept` and `dropped` count rows, the latter by reason; `teacher` is empty where no
    teacher was used.
    """

    command: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    kept: Mapping[str, int]
    dropped: Mapping[str, int]
    files: Sequence[WrittenFile]
    seed: int | None = None
    teacher: Mapping[str, Any] = field(default_factory=dict)
    prompt_version: str | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Card:
    """What a dataset card says besides its numbers. `warning`, if any, stands at the top."""

    title: str
    summary: str
    licence: str
    tags: Sequence[str] = ()
    warning: str | None = None


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` when the block ends, and leaves no trace if it raises.

    The folder is created. The content and the rename are flushed to disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def start_folder(folder: Path) -> None:
    """Make the folder if need be, and mark it incomplete until `finish_folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROVENANCE).unlink(missing_ok=True)
    (folder / REJECTS).unlink(missing_ok=True)


def write_parquet(
    path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema, *, config: str, split: str
) -> WrittenFile:
    """Write rows as they come, so that memory does not grow with their number.

    Raises:
        ValueError: a row's columns are not the schema's; names the row.
        pa.ArrowInvalid, pa.ArrowTypeError: a value does not fit its type.
    """
    source = iter(rows)
    count = 0
    with replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(source, ROWS_AT_A_TIME)):
            for offset, row in enumerate(chunk):
                if row.keys() != set(schema.names):
                    raise ValueError(
                        f"row {count + offset} for {path.name} has the columns {', '.join(sorted(row))}; "
                        f"expected {', '.join(schema.names)}"
                    )
            writer.write_batch(pa.RecordBatch.from_pylist(chunk, schema=schema))
            count += len(chunk)
    return WrittenFile(path.name, count, hash_file(path), config, split)


def write_rejects(folder: Path, rejects: Sequence[Mapping[str, Any]]) -> None:
    """Keep refused rows as `rejects.jsonl`, one JSON object with `row`, `reason` and `text` a line."""
    with replacing(folder / REJECTS) as file:
        for reject in rejects:
            file.write(json.dumps(reject, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def finish_folder(folder: Path, card: Card, provenance: Provenance) -> None:
    """Write the dataset card, then `provenance.json`, which marks the folder complete."""
    with replacing(folder / "README.md") as file:
        file.write(render_card(card, provenance).encode("utf-8"))
    content = {"realm_version": version("realm"), **asdict(provenance)}
    with replacing(folder / PROVENANCE) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8") + b"\n")


def render_card(card: Card, provenance: Provenance) -> str:
    """The text of the dataset card: the Hub's YAML header, then a description with the counts."""
    shards: dict[str, dict[str, list[str]]] = {}
    for written in provenance.files:
        shards.setdefault(written.config, {}).setdefault(written.split, []).append(written.name)
    configs = {
        config: [
            {"split": split, "path": names if len(names) > 1 else names[0]} for split, names in splits.items()
        ]
        for config, splits in shards.items()
    }
    header = {
        "pretty_name": card.title,
        "license": card.licence,
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["realm", *card.tags],
        "configs": [
            {"config_name": name, "data_files": data_files, **({"default": True} if i == 0 else {})}
            for i, (name, data_files) in enumerate(configs.items())
        ],
    }
    lines = ["---", yaml.safe_dump(header, sort_keys=False, allow_unicode=True).strip(), "---", ""]
    lines += [f"# {card.title}", ""]
    if card.warning:
        lines += [f"**{card.warning}**", ""]
    lines += [card.summary, "", "| file | configuration | split | rows |", "|---|---|---|---|"]
    lines += [f"| `{f.name}` | `{f.config}` | `{f.split}` | {f.rows} |" for f in provenance.files]
    lines += ["", "| | rows |", "|---|---|"]
    lines += [f"| kept: {what} | {count} |" for what, count in provenance.kept.items()]
    lines += [f"| dropped: {why} | {count} |" for why, count in provenance.dropped.items()]
    lines += ["", *provenance.notes] if provenance.notes else []
    options = (f"--{name.replace('_', '-')} {value}" for name, value in provenance.parameters.items())
    command = " ".join([provenance.command, *options])
    lines += ["", f"Made by `{command}`; inputs, their hashes and all counts are in `{PROVENANCE}`.", ""]
    return "\n".join(lines)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_text(*texts: str) -> str:
    """SHA-256 of texts, in hexadecimal digits."""
    return hashlib.sha256("\0".join(texts).encode("utf-8")).hexdigest()


def _umask() -> int:
    """The process's umask: a temporary file is private, the finished one is like any other."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
