"""Reading local inputs record by record: JSONL, JSON, CSV, TSV, parquet, or a folder of these.

Memory does not grow with the number of records, except for a JSON file that is one object. A record that cannot be
read is an `Unread` with its row and reason. A file of which no record can be trusted, such as a table with two columns
of one name, is a ValueError.

Values are as the file has them, with two exceptions at the top level of a record: a number that is none (NaN, infinite),
which is how missing values are written, is None; text stored as bytes is text.
"""

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.on_disk import stream_parquet
from data_prep.sources.delimited import Cells, read_delimited
from data_prep.sources.encoding import find_encoding

TABLES = (".csv", ".tsv")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
CHUNK_CHARS = 1 << 20
MAX_RECORD_CHARS = 1 << 26
BATCH_ROWS = 256
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_BLANK = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Record:
    """One record. `row` counts from 1 as an editor or a spreadsheet shows it: the header of a CSV is row 1."""

    file: str
    row: int
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Unread:
    """What could not be read, and why; row 0 is the file itself."""

    file: str
    row: int
    reason: str
    text: str


def find_files(path: Path) -> list[Path]:
    """The file itself, or the readable files of a folder, sorted.

    Raises:
        ValueError: there is no such path, its format is unknown, or the folder holds nothing readable.
    """
    known = ", ".join(SUFFIXES)
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not files:
            raise ValueError(f"the folder {path} holds no file that ends in {known}")
        return files
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a file, a folder, or a Hub id such as owner/name")
    if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods"):
        raise ValueError(
            f"{path} is a spreadsheet: save the sheet with the data as CSV (in Excel: `CSV UTF-8`)"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: cannot tell its format; expected a name that ends in {known}")
    return [path]


def read_file(path: Path, name: str) -> Iterator[Record | Unread]:
    """The records of one file, as they come.

    Args:
        path: a file with one of `SUFFIXES`.
        name: what to call it in records.

    Raises:
        ValueError: the file as a whole cannot be trusted; says why, in which line, and what to do.
        OSError: the file cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet(path, name)
    elif suffix in TABLES:
        yield from _csv(path, name)
    elif _is_wide(path):
        raise ValueError(f"{name} is UTF-16 or UTF-32, JSON is UTF-8: save it as UTF-8")
    elif suffix == ".json" and not _is_lines(path):
        yield from _json(path, name)
    else:
        yield from _lines(path, name)


def notes_of(files: Iterable[Path]) -> tuple[str, ...]:
    """What to tell the user of how files are read: an encoding that had to be found.

    Raises:
        ValueError: as `read_file`.
    """
    found = (find_encoding(file).note for file in files if file.suffix.lower() in TABLES)
    return tuple(note for note in found if note)


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A record with missing numbers as None, and text stored as bytes as text where it is UTF-8."""
    return {key: _plain(one) for key, one in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


class _Doubled(dict[str, Any]):
    """An object in which a key stands twice: whichever value is taken, the other is lost."""

    key: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    key = next((value.key for value in made.values() if isinstance(value, _Doubled)), None)
    if len(made) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    if key is None:
        return made
    doubled = _Doubled(made)
    doubled.key = key
    return doubled


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=lambda name: None)
"""Knows no NaN and no Infinity, as JSON does not: they are None."""


def _lines(path: Path, name: str) -> Iterator[Record | Unread]:
    with path.open("rb") as file:
        for row, raw in enumerate(file, start=1):
            text = raw.decode("utf-8-sig", "replace").strip()
            if not text:
                continue
            try:
                yield _record(name, row, _JSON.decode(raw.decode("utf-8-sig").strip()), text)
            except UnicodeDecodeError:
                yield Unread(name, row, "not UTF-8", text)
            except (json.JSONDecodeError, RecursionError):
                yield Unread(name, row, "not JSON", text)


def _record(name: str, row: int, value: Any, text: str) -> Record | Unread:
    if isinstance(value, _Doubled):
        return Unread(name, row, f"the key {value.key} stands twice", text)
    if isinstance(value, dict):
        return Record(name, row, plain(value))
    return Unread(name, row, "not a JSON object", text)


def _is_wide(path: Path) -> bool:
    """Whether a JSON file is UTF-16 or UTF-32: its first character is a mark or stands beside a NUL."""
    with path.open("rb") as file:
        head = file.read(2)
    return head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in head


def _is_lines(path: Path) -> bool:
    """Whether a `.json` file holds one object a line, as many downloads do."""
    with path.open("rb") as file:
        first, second = file.readline(), file.readline()
    try:
        return bool(second.strip()) and isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _json(path: Path, name: str) -> Iterator[Record | Unread]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        start = file.read(CHUNK_CHARS).lstrip()
        if start.startswith("["):
            yield from _array(file, start[1:], name)
            return
        text = start + file.read()
    if _NOT_UTF8.search(text):
        yield Unread(name, 0, "not UTF-8", "")
        return
    try:
        value = _JSON.decode(text)
    except (json.JSONDecodeError, RecursionError):
        yield Unread(name, 0, "not JSON", text[:200])
        return
    lists = [part for part in value.values() if isinstance(part, list)] if isinstance(value, dict) else []
    records = lists[0] if len(lists) == 1 and all(isinstance(one, dict) for one in lists[0]) else [value]
    for row, one in enumerate(records, start=1):
        yield _record(name, row, one, str(one))


def _array(file: Any, buffer: str, name: str) -> Iterator[Record | Unread]:
    """The members of a JSON array, decoded one at a time from a buffer."""
    row, place = 1, 0
    while True:
        blank = _BLANK.match(buffer, place)
        place = blank.end() if blank else place
        if buffer[place : place + 1] == "]":
            return
        try:
            value, end = _JSON.raw_decode(buffer, place)
        except (json.JSONDecodeError, RecursionError):
            more = file.read(CHUNK_CHARS) if len(buffer) - place < MAX_RECORD_CHARS else ""
            if not more:
                yield Unread(name, row, "not JSON from here on", buffer[place : place + 200])
                return
            buffer, place = buffer[place:] + more, 0
            continue
        text = buffer[place:end]
        if _NOT_UTF8.search(text):
            yield Unread(name, row, "not UTF-8", text)
        else:
            yield _record(name, row, value, text)
        row, place = row + 1, end


def _csv(path: Path, name: str) -> Iterator[Record | Unread]:
    for made in read_delimited(path, name):
        if isinstance(made, Cells):
            yield Record(name, made.row, made.value)
        else:
            yield Unread(name, made.row, made.reason, made.text)


def _parquet(path: Path, name: str) -> Iterator[Record | Unread]:
    row = 0
    try:
        file = stream_parquet(path)
        twice = [column for column, count in Counter(file.schema_arrow.names).items() if count > 1]
        if twice:
            raise ValueError(f"{name} has {', '.join(twice)} more than once among its columns: rename them")
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            for value in batch.to_pylist():
                row += 1
                yield Record(name, row, plain(value))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        yield Unread(name, row + 1 if row else 0, "cannot be read as parquet from here on", reason)
