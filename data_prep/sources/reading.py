"""Reading local inputs record by record: JSONL, JSON, CSV, TSV, parquet, or a folder of these.

Serves design.md, section Data. Memory does not grow with the number of records, except for a JSON file that is one
object. What cannot be read is an `Unread` with its row and reason, never an exception that loses the rest.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.on_disk import stream_parquet

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
            file for file in path.rglob("*") if file.suffix in SUFFIXES and not file.name.startswith(".")
        )
        if not files:
            raise ValueError(f"the folder {path} holds no file that ends in {known}")
        return files
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a file, a folder, or a Hub id such as owner/name")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: cannot tell its format; expected a name that ends in {known}")
    return [path]


def read_file(path: Path, name: str) -> Iterator[Record | Unread]:
    """The records of one file, as they come.

    Args:
        path: a file with one of `SUFFIXES`.
        name: what to call it in records.

    Raises:
        OSError: the file cannot be opened.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path, name)
    elif path.suffix in (".csv", ".tsv"):
        yield from _csv(path, name)
    elif path.suffix == ".json" and not _is_lines(path):
        yield from _json(path, name)
    else:
        yield from _lines(path, name)


def _lines(path: Path, name: str) -> Iterator[Record | Unread]:
    with path.open("rb") as file:
        for row, raw in enumerate(file, start=1):
            text = raw.decode("utf-8-sig", "replace").strip()
            if not text:
                continue
            try:
                yield _record(name, row, json.loads(raw.decode("utf-8-sig")), text)
            except UnicodeDecodeError:
                yield Unread(name, row, "not UTF-8", text)
            except (json.JSONDecodeError, RecursionError):
                yield Unread(name, row, "not JSON", text)


def _record(name: str, row: int, value: Any, text: str) -> Record | Unread:
    if isinstance(value, dict):
        return Record(name, row, value)
    return Unread(name, row, "not a JSON object", text)


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
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        yield Unread(name, 0, "not JSON", text[:200])
        return
    lists = [part for part in value.values() if isinstance(part, list)] if isinstance(value, dict) else []
    records = lists[0] if len(lists) == 1 and all(isinstance(one, dict) for one in lists[0]) else [value]
    for row, one in enumerate(records, start=1):
        yield _record(name, row, one, str(one))


def _array(file: Any, buffer: str, name: str) -> Iterator[Record | Unread]:
    """The members of a JSON array, decoded one at a time from a buffer."""
    decoder = json.JSONDecoder()
    row, place = 1, 0
    while True:
        blank = _BLANK.match(buffer, place)
        place = blank.end() if blank else place
        if buffer[place : place + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(buffer, place)
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
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = file.readline()
        file.seek(0)
        delimiter = max("\t" if path.suffix == ".tsv" else ",", ";", "\t", key=header.count)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        columns: list[str] = []
        row = 0
        while True:
            row += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Unread(name, row, f"not CSV: {error}", "")
                continue
            text = delimiter.join(cells)
            if _NOT_UTF8.search(text):
                yield Unread(name, row, "not UTF-8", text.encode("utf-8", "replace").decode())
            elif not columns:
                columns = [cell.strip() for cell in cells]
            elif len(cells) > len(columns):
                yield Unread(name, row, "more cells than the header has columns", text)
            elif text.strip():
                yield Record(name, row, dict(zip(columns, cells, strict=False)))


def _parquet(path: Path, name: str) -> Iterator[Record | Unread]:
    row = 0
    try:
        for batch in stream_parquet(path).iter_batches(batch_size=BATCH_ROWS):
            for value in batch.to_pylist():
                row += 1
                yield Record(name, row, value)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        yield Unread(name, row + 1 if row else 0, "cannot be read as parquet from here on", reason)
