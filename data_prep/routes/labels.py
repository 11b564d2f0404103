"""Labels of a route bank: by the domain's verifier, and which routes a student has outgrown. `realm routes label`.

Serves design.md, sections Words and Guided CoT distillation (item 7). The label is outcome based. `sound` and
`first_error` speak of the reasoning, apart from the answer, and stay as they are; with an annotator (`first_errors`)
they are asked for where they are not known.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_prep.on_disk import BATCH
from data_prep.outputs import replacing
from data_prep.routes.bank import bank_files, open_parquet
from data_prep.schema import BANK_SCHEMA
from reward_fns import domains

STUDENT = "student"
"""The `source` of routes that the model in training wrote itself."""

Annotate = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
"""Gives a batch of rows back with `sound` and `first_error` filled where they could be told."""


@dataclass
class Labelled:
    """What a pass over a bank found: rows, labels and how many of them changed, stale rows, and known first errors."""

    rows: int = 0
    right: int = 0
    turned_right: int = 0
    turned_wrong: int = 0
    stale: int = 0
    unreadable: int = 0
    first_errors: int = 0
    known_sound: int = 0


def is_stale(row: Mapping[str, Any], student: str) -> bool:
    """Whether a student wrote the route that is not the one with this fingerprint."""
    return bool(row["source"] == STUDENT and row["writer"] != student)


def relabel(
    rows: Iterable[Mapping[str, Any]], labelled: Labelled, student: str | None = None
) -> Iterator[dict[str, Any]]:
    """The rows with the label that the domain's verifier gives them, and their mark of staleness.

    Args:
        rows: of `BANK_SCHEMA`.
        labelled: filled while the rows are read.
        student: fingerprint of the present student; None leaves the marks as they are.

    Raises:
        ValueError: an unknown domain.
    """
    for row in rows:
        domain = domains.get(row["domain"])
        read = domain.extract(row["answer"])
        label = read is not None and domain.equivalent(read, row["gold"])
        made = {**row, "label": label}
        if label != row["label"]:
            labelled.turned_right += label
            labelled.turned_wrong += not label
        if student is not None:
            made["stale"] = is_stale(row, student)
        labelled.rows += 1
        labelled.right += label
        labelled.stale += bool(made["stale"])
        labelled.unreadable += read is None
        yield made


def label_bank(bank: Path, *, student: str | None = None, annotate: Annotate | None = None) -> Labelled:
    """Label a bank in place, file by file, each replaced by rename; doing it again changes nothing.

    Raises:
        ValueError: no bank (an RL parquet is none: its labels belong to its rows), an unknown domain, or another process
            that changes the bank.
    """
    labelled = Labelled()
    with _alone(bank):
        for file in _files_of(bank):
            _label_file(file, labelled, student, annotate)
    return labelled


@contextmanager
def _alone(bank: Path) -> Iterator[None]:
    """Keep other processes from changing a bank in place meanwhile: what the first to end wrote would be lost.

    Raises:
        ValueError: another process changes it.
    """
    lock = bank / ".changing" if bank.is_dir() else bank.with_name(f".{bank.name}.changing")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{bank} is being changed by another process; wait for its end") from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)


def count_unknown(bank: Path) -> int:
    """Routes of which neither soundness nor a first error is known: those that an annotator is asked about.

    Raises:
        ValueError: no bank.
    """
    columns = ["sound", "first_error"]
    batches = (
        batch
        for file in _files_of(bank)
        for batch in open_parquet(file).iter_batches(batch_size=BATCH, columns=columns)
    )
    return sum(
        pc.sum(pc.and_(*(batch.column(name).is_null() for name in columns))).as_py() or 0 for batch in batches
    )


def _files_of(bank: Path) -> list[Path]:
    files = list(bank_files(bank))
    if not all(set(BANK_SCHEMA.names) <= set(open_parquet(file).schema_arrow.names) for file in files):
        raise ValueError(f"{bank} is an RL parquet, not a bank; `realm check` tells whether its labels hold")
    return files


def _label_file(file: Path, labelled: Labelled, student: str | None, annotate: Annotate | None) -> None:
    """Write the file anew beside itself, what its footer says included, and put it in its place."""
    source = open_parquet(file)
    schema = source.schema_arrow
    with replacing(file) as out, pq.ParquetWriter(out, schema) as writer:
        for batch in source.iter_batches(batch_size=BATCH):
            rows = list(relabel(batch.to_pylist(), labelled, student))
            if annotate is not None:
                rows = annotate(rows)
            labelled.first_errors += sum(row["first_error"] is not None for row in rows)
            labelled.known_sound += sum(row["sound"] is not None for row in rows)
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
