"""Writing an output folder: parquet files, the dataset card, provenance, and rejected rows.

Nothing of the user's is lost. `filling` collects all files of a command in a hidden folder and puts them in place
together, so that an error changes nothing; it refuses an output that holds an input, and files in it that no command
of ReaLM wrote. Each file is written beside its place, flushed to disk and renamed: a name never stands for half a file.
A kill leaves at most hidden `.part` files, which the next command there removes. `provenance.json` is taken away first
and put in place last: a folder that has one is complete. Nothing written depends on the time or the machine.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from data_prep.part_files import LOCK, hold, is_abandoned, locked, umask
from realm_ext.files import sync

ROWS_AT_A_TIME = 1024
PROVENANCE = "provenance.json"
REJECTS = "rejects.jsonl"
CARD = "README.md"
OTHER_LICENCE = "other"
"""What a card states where nobody named a licence: the Hub's identifier for one that is not in its list."""
_CARD_END = f"inputs, their hashes and all counts are in `{PROVENANCE}`."
_PART = re.compile(r"\..+\.realm-[a-z0-9_]{8}\.part")
_PLACING = ".placing.json"
"""In a hidden folder whose files are being put in place: the names of the old files that go."""


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
    with locked(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.realm-", suffix=".part")
        hold(handle)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~umask())
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


def check_apart(out: Path, *inputs: Path) -> None:
    """Refuse an output, a file or a folder, that is an input or holds one at any depth, links resolved.

    Raises:
        ValueError: it does; names the input.
    """
    for path in inputs:
        places = [Path(os.path.abspath(path)), path.resolve()]
        if any(_same(out, place) for start in places for place in (start, *start.parents)):
            is_it = "is" if _same(out, path) else "holds"
            raise ValueError(f"{out} {is_it} {path}, which is read: write to a folder of its own")


def check_ours(folder: Path, names: Sequence[str] = ()) -> None:
    """Refuse a folder in which a file would be replaced that no command of ReaLM wrote, or that was changed since.

    Args:
        folder: it need not exist.
        names: of files that will be written besides the card and the rejects; `*` stands for anything.

    Raises:
        ValueError: names the file.
    """
    recorded = _recorded(folder)
    for path in _standing(folder, (CARD, REJECTS, PROVENANCE, *names)):
        if not _is_ours(path, recorded):
            raise ValueError(
                f"{folder} holds {path.name}, which realm did not write or which was changed since: move it away, or "
                "write to a folder of its own"
            )


@contextmanager
def filling(folder: Path, names: Sequence[str], *inputs: Path) -> Iterator[Path]:
    """A hidden folder whose files take their places in `folder` together when the block ends; an error changes nothing.

    Args:
        folder: created if need be.
        names: of the files that the command writes, besides card, rejects and provenance; `*` stands for anything.
            What an earlier command wrote under these names goes, even where there is no new file of that name.
        inputs: files and folders that are read.

    Raises:
        ValueError: `folder` holds an input, or a file of these names that is not ours; nothing was touched.
    """
    check_apart(folder, *inputs)
    remove_leftovers(folder)
    check_ours(folder, names)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hidden_folder(folder, "new") as new:
            yield new
            _record_earlier(folder, new, names)
            written = [path.name for path in new.iterdir() if not path.name.startswith(".")]
            check_ours(folder, [name for name in written if not _matches(name, names)])
            old = [path.name for path in _standing(folder, (REJECTS, PROVENANCE, *names))]
            _write_json(new / _PLACING, [name for name in old if name == PROVENANCE or name not in written])
            _place(new, folder)
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def hidden_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder `.NAME.realm-XXXXXXXX.part`, removed at the end if it is still there; after a kill by the next command."""
    with locked(parent):
        new = Path(tempfile.mkdtemp(dir=parent, prefix=f".{name}.realm-", suffix=".part"))
        lock = os.open(new / LOCK, os.O_CREAT)
        hold(lock)
    try:
        yield new
    finally:
        os.close(lock)
        if not (new / _PLACING).exists():  # else the next command puts the rest in place
            shutil.rmtree(new, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed commands left hidden in a folder; what was being put in place is put in place."""
    if not folder.is_dir():
        return
    with locked(folder):
        for path in [path for path in folder.iterdir() if _PART.fullmatch(path.name) and is_abandoned(path)]:
            if not path.is_dir():
                path.unlink()
            elif (path / _PLACING).exists():
                _place(path, folder)
            else:
                shutil.rmtree(path)


def start_folder(folder: Path) -> None:
    """Make the folder if need be, and mark it incomplete until `finish_folder`: for files that are written in place.

    Raises:
        ValueError: a README.md or rejects.jsonl is there that is not ours.
    """
    check_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
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
    with replacing(folder / CARD) as file:
        file.write(render_card(card, provenance).encode("utf-8"))
    write_provenance(folder, provenance)


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write `provenance.json`, with the hash of the card where there is one."""
    card = {"card": hash_file(folder / CARD)} if (folder / CARD).exists() else {}
    _write_json(folder / PROVENANCE, {"realm_version": version("realm"), **asdict(provenance), **card})


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
    lines += ["", f"Made by `{command}`; {_CARD_END}", ""]
    return "\n".join(lines)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_text(*texts: str) -> str:
    """SHA-256 of texts, in hexadecimal digits."""
    return hashlib.sha256("\0".join(texts).encode("utf-8")).hexdigest()


# ------------------------------ whose files they are ------------------------------


def _recorded(folder: Path) -> dict[str, Any]:
    """What `provenance.json` says, if it is ours."""
    try:
        content = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and "realm_version" in content else {}


def _hashes(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of files by name: of the last command, and of earlier ones in the same folder."""
    return {
        **recorded.get("earlier_files", {}),
        **{file["name"]: file["sha256"] for file in recorded.get("files", ())},
    }


def _is_ours(path: Path, recorded: Mapping[str, Any]) -> bool:
    if not path.is_file():
        return False
    if path.name == PROVENANCE:
        return bool(recorded)
    if path.name == CARD and "card" not in recorded:
        return _CARD_END in path.read_text(encoding="utf-8", errors="replace")
    if path.name == REJECTS:
        with path.open(encoding="utf-8", errors="replace") as file:
            return '"reason": ' in file.readline()
    known = recorded["card"] if path.name == CARD else _hashes(recorded).get(path.name)
    return bool(known == hash_file(path))


def _standing(folder: Path, names: Sequence[str]) -> list[Path]:
    """What is in the folder under these names, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _matches(path.name, names))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _record_earlier(folder: Path, new: Path, names: Sequence[str]) -> None:
    """Remember in the new provenance the files of earlier commands that stay."""
    stay = {
        name: known
        for name, known in _hashes(_recorded(folder)).items()
        if (folder / name).exists() and not _matches(name, names)
    }
    if stay:
        _write_json(new / PROVENANCE, {**_recorded(new), "earlier_files": stay})


def _place(new: Path, folder: Path) -> None:
    """Move the files of a hidden folder to their places, the provenance last. Killed half-way, it can be done again."""
    for name in json.loads((new / _PLACING).read_text(encoding="utf-8")):
        (folder / name).unlink(missing_ok=True)
    for path in sorted(new.iterdir(), key=lambda path: path.name == PROVENANCE):
        if not path.name.startswith("."):
            os.replace(path, folder / path.name)
    sync(folder)
    shutil.rmtree(new)


def _same(first: Path, second: Path) -> bool:
    """Whether two paths are one place: by name with links resolved, or, where both exist, by what they lead to."""
    if first.resolve() == second.resolve():
        return True
    return first.exists() and second.exists() and first.samefile(second)


def _write_json(path: Path, content: Any) -> None:
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8") + b"\n")
