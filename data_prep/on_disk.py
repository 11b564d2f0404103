"""Reading, sorting and keeping rows on disk, so that memory does not grow with their number.

Serves design.md, section Data. Rows are spread over buckets by the leading bits of their key, each bucket in one
Arrow file; the buckets are then read one after the other and sorted in memory. A bucket holds about `BUCKET_BYTES`
up to `MAX_BUCKETS` buckets (2 GiB of rows); of a larger input it holds its 256th part. As much waits, as Arrow, to be
spread; as Python objects, which take several times the room, there are never more than `BATCH` rows.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BUCKET_BYTES = 8 << 20
MAX_BUCKETS = 256
BATCH = 512
SCRATCH_PREFIX = ".realm_scratch_"
"""Temporary folders inside an output folder; what a killed command left there is removed by the next."""

_KEY_BITS = 64
_READ_BYTES = 64 << 10

_PLACE, _TIE = pa.field("place of the row", pa.uint64()), pa.field("tie of the row", pa.string())

Row = Mapping[str, Any]
Key = tuple[int, str]
"""Where a row stands: a number of 64 bits, evenly spread, and what decides between equal ones."""


def stream_parquet(path: Path) -> pq.ParquetFile:
    """A parquet file to be read in batches. Memory holds a piece of each column; by default pyarrow reads all ahead.

    Raises:
        pa.ArrowException, OSError: it cannot be read.
    """
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES)


def remove_scratch(folder: Path) -> None:
    """Remove what a killed command left behind."""
    for path in folder.glob(f"{SCRATCH_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def key_of(uid: str) -> Key:
    """The place of a question in the one order that every pass uses: by the hash of its uid."""
    digest = hashlib.blake2b(uid.encode("utf-8"), digest_size=_KEY_BITS // 8).digest()
    return int.from_bytes(digest, "big"), uid


def key_at(position: int, count: int) -> Key:
    """The place of the row at `position` among `count` rows."""
    return (position << _KEY_BITS) // max(1, count), ""


def sort_on_disk(
    rows: Iterable[Row], schema: pa.Schema, key: Callable[[Row], Key], *, scratch: Path, size: int
) -> Iterator[dict[str, Any]]:
    """The rows in order of their keys, equal keys as they came.

    Args:
        rows: of the columns of `schema`; read once, before the first row is given back.
        key: a row's place.
        scratch: an empty folder for the buckets; each is removed when it has been read.
        size: about how many bytes the rows have in all.
    """
    n_buckets = min(MAX_BUCKETS, max(1, -(-size // BUCKET_BYTES)))
    scratch.mkdir(parents=True, exist_ok=True)
    paths = [scratch / f"bucket_{number:03d}.arrow" for number in range(n_buckets)]
    _fill_buckets(paths, rows, schema.append(_PLACE).append(_TIE), key)
    for path in paths:
        yield from _sorted_bucket(path)
        path.unlink()


class RowWriter:
    """Appends rows to one Arrow file; a context manager. `write_one` gathers them into batches."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(str(path), schema, options=options)
        self._waiting: list[Row] = []

    def write(self, rows: pa.Table) -> None:
        """Append rows at once."""
        self._writer.write_table(rows)

    def write_one(self, row: Row) -> None:
        """Append a row, with the next batch."""
        self._waiting.append(row)
        if len(self._waiting) >= BATCH:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, and end the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self.write(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file that `RowWriter` wrote, a batch at a time."""
    with _opened(path) as reader:
        for batch in reader:
            yield from batch.to_pylist()


@contextmanager
def _opened(path: Path) -> Iterator[pa.RecordBatchReader]:
    """The batches of a file. By its name alone pyarrow would map it, and all that was read of it would stay resident."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        yield reader


def _fill_buckets(
    paths: Sequence[Path], rows: Iterable[Row], schema: pa.Schema, key: Callable[[Row], Key]
) -> None:
    """Spread the rows, which get their keys as further columns, over the files."""
    with ExitStack() as open_files:
        writers = [open_files.enter_context(RowWriter(path, schema)) for path in paths]
        source = iter(rows)
        waiting: list[pa.RecordBatch] = []
        into: list[int] = []
        while chunk := list(islice(source, BATCH)):
            placed = []
            for row in chunk:
                place, tie = key(row)
                placed.append({**row, _PLACE.name: place, _TIE.name: tie})
                into.append(place * len(paths) >> _KEY_BITS)
            waiting.append(pa.RecordBatch.from_pylist(placed, schema=schema))
            if sum(batch.nbytes for batch in waiting) >= BUCKET_BYTES:
                _spread(waiting, into, writers)
                waiting, into = [], []
        _spread(waiting, into, writers)


def _spread(waiting: Sequence[pa.RecordBatch], into: Sequence[int], writers: Sequence[RowWriter]) -> None:
    """Append each row to the writer of its number in `into`; those of one writer in the order in which they came."""
    if not waiting:
        return
    numbers = np.asarray(into)
    ordered = pa.Table.from_batches(waiting).take(pa.array(np.argsort(numbers, kind="stable")))
    first = 0
    for writer, count in zip(writers, np.bincount(numbers, minlength=len(writers)).tolist(), strict=True):
        if count:
            writer.write(ordered.slice(first, count))
            first += count


def _sorted_bucket(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as reader:
        table = reader.read_all()
    arrived = pa.array(range(table.num_rows), pa.int64())
    order = pa.table([table[_PLACE.name], table[_TIE.name], arrived], names=["place", "tie", "arrived"])
    order = order.sort_by([(name, "ascending") for name in order.column_names])["arrived"]
    ordered = table.drop_columns([_PLACE.name, _TIE.name]).take(order)
    del table, arrived, order
    for batch in ordered.to_batches(BATCH):
        yield from batch.to_pylist()
