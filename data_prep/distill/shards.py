"""Parquet files written row by row, several side by side, each cut into shards above a number of rows.

Serves design.md, section Data, and "sharded, written by rename". Beside `data_prep.outputs.write_parquet`, which pulls
the rows of one file from an iterator, this takes rows as they are made, for files that come out of one pass.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.outputs import ROWS_AT_A_TIME, WrittenFile, hash_file, replacing

ROWS_PER_FILE = 200_000


class ShardedParquet:
    """One file `NAME.parquet`, or `NAME-00000-of-00003.parquet` and so on.

    Args:
        config, split: where `datasets.load_dataset(folder, config)[split]` finds the rows.
    """

    def __init__(
        self, folder: Path, name: str, schema: pa.Schema, *, config: str, split: str, rows_per_file: int
    ) -> None:
        self._folder, self._name, self._schema = folder, name, schema
        self._config, self._split = config, split
        self._rows_per_file = rows_per_file
        self._waiting: list[Mapping[str, Any]] = []
        self._shards: list[int] = []
        self._stack = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self._waiting.append(row)
        if len(self._waiting) == ROWS_AT_A_TIME:
            self._flush()

    def close(self) -> list[WrittenFile]:
        """Put the files in their place; none where there was no row."""
        self._flush()
        self._end_shard()
        written = []
        for number, rows in enumerate(self._shards):
            last = f"-{number:05d}-of-{len(self._shards):05d}" if len(self._shards) > 1 else ""
            path = self._folder / f"{self._name}{last}.parquet"
            self._part(number).replace(path)
            written.append(WrittenFile(path.name, rows, hash_file(path), self._config, self._split))
        return written

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._stack.close()
        for number in range(len(self._shards)):
            self._part(number).unlink(missing_ok=True)

    def _part(self, number: int) -> Path:
        return self._folder / f".{self._name}-{number:05d}.part"

    def _flush(self) -> None:
        rows = self._waiting
        while rows:
            if self._writer is None:
                file = self._stack.enter_context(replacing(self._part(len(self._shards))))
                self._writer = pq.ParquetWriter(file, self._schema)
                self._shards.append(0)
            taken = rows[: self._rows_per_file - self._shards[-1]]
            self._writer.write_batch(pa.RecordBatch.from_pylist(taken, schema=self._schema))
            self._shards[-1] += len(taken)
            rows = rows[len(taken) :]
            if self._shards[-1] == self._rows_per_file:
                self._end_shard()
        self._waiting = []

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._stack.close()
