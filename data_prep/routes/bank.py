"""Route banks as files: what makes up a bank, its rows, and its rows question by question.

Serves design.md, sections Data and MRPV. A bank is a parquet file of `BANK_SCHEMA`, or a folder with such files
(others in it are left alone). An RL parquet with routes is read as a bank too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.on_disk import BATCH, Row, key_of, sort_on_disk, stream_parquet
from data_prep.schema import BANK_SCHEMA, RL_SCHEMA, bank_row
from reward_fns import domains
from reward_fns.content import content_uid
from reward_fns.ground_truth import golds
from reward_fns.routes import routes_from

UNKNOWN_WRITER = "unknown"
"""The `writer` of routes that come from an RL parquet, which does not say who wrote them."""

_RL_COLUMNS = ("data_source", "prompt", "reward_model")


def bank_files(path: Path) -> list[Path]:
    """The files of a bank, in order of their names.

    Raises:
        ValueError: there are none; says what was found.
    """
    if path.is_file():
        _kind_of(path)
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path} does not exist; give a bank's folder or parquet file, or an RL parquet")
    found = sorted(path.glob("*.parquet"))
    banks = [file for file in found if _is_bank(open_parquet(file).schema_arrow)]
    if not banks:
        names = ", ".join(file.name for file in found) or "no parquet file"
        raise ValueError(f"{path} holds no route bank ({names}); give the folder of a bank or an RL parquet")
    return banks


def read_bank(path: Path) -> Iterator[dict[str, Any]]:
    """All rows of a bank, or the routes of an RL parquet as rows of a bank.

    Raises:
        ValueError: no bank; or a row of an RL parquet cannot be read, with its number.
    """
    for file in bank_files(path):
        if _kind_of(file) == "bank":
            yield from rows_of(file, BANK_SCHEMA.names)
        else:
            yield from bank_from_rl(rows_of(file))


def bank_from_rl(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The routes of RL rows as rows of a bank; a question that stands twice (validation) gives them once in a row.

    Raises:
        ValueError: a row's routes or domain cannot be read; names the row, counted from 0.
    """
    before = None
    for number, row in enumerate(rows):
        try:
            question = Question.of(row)
            routes = routes_from((row.get("extra_info") or {}).get("routes"))
        except (ValueError, ImportError) as error:
            raise ValueError(f"row {number}: {error}") from error
        if question.uid == before:
            continue
        before = question.uid
        for route in routes:
            made = bank_row(
                question.text, question.gold, route, domain=question.domain, writer=UNKNOWN_WRITER
            )
            yield made | {"uid": question.uid}


@dataclass(frozen=True)
class Question:
    """The parts of an RL row that routes belong to; `text` is the last user message, `messages` are all."""

    uid: str
    text: str
    gold: str
    domain: str
    messages: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read an RL row; without a `uid` in it, that is the hash of its content.

        Raises:
            ValueError: no user message, no gold answer, or no known domain.
        """
        messages = [dict(message) for message in row.get("prompt") or ()]
        texts = [m.get("content") for m in messages if m.get("role") == "user"]
        if not texts or not isinstance(texts[-1], str) or not texts[-1].strip():
            raise ValueError("the prompt has no user message with a text")
        gold, *others = golds((row.get("reward_model") or {}).get("ground_truth"))
        if others:
            raise ValueError("the row has several gold answers; routes are labelled by one")
        domain = domains.domain_of(str(row.get("data_source"))).name
        uid = (row.get("extra_info") or {}).get("uid") or content_uid(texts[-1], gold)
        return cls(str(uid), texts[-1], gold, domain, messages)


def by_question(
    rows: Iterable[Row], schema: pa.Schema, *, scratch: Path, size: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows in groups of one uid, groups in order of `on_disk.key_of`, rows of a group as they came.

    Memory holds a bucket of `on_disk`, and the group at hand.
    """
    ordered = sort_on_disk(rows, schema, lambda row: key_of(row["uid"]), scratch=scratch, size=size)
    for uid, group in groupby(ordered, key=lambda row: str(row["uid"])):
        yield uid, list(group)


def size_of(files: Iterable[Path]) -> int:
    """About how many bytes the rows of parquet files have in memory: their number times the mean of the first ones."""
    total = 0
    for file in files:
        parquet = open_parquet(file)
        first = next(parquet.iter_batches(batch_size=BATCH), None)
        if first is not None and first.num_rows:
            total += parquet.metadata.num_rows * first.nbytes // first.num_rows
    return total


def rows_of(file: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file, a batch at a time.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        for batch in open_parquet(file).iter_batches(batch_size=BATCH, columns=columns):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read ({str(error).partition(chr(10))[0]})") from error


def open_parquet(file: Path) -> pq.ParquetFile:
    """A parquet file, opened.

    Raises:
        ValueError: it is none.
    """
    try:
        return stream_parquet(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{file} cannot be read as parquet ({reason}); write it again") from error


def questions_of(data: Path) -> Iterator[Question]:
    """The questions of an RL parquet, in its order.

    Raises:
        ValueError: a row cannot be read; names the file and the row, counted from 0.
    """
    for number, row in enumerate(rows_of(data)):
        try:
            yield Question.of(row)
        except (ValueError, ImportError) as error:
            raise ValueError(f"{data}: row {number}: {error}") from error


def _kind_of(file: Path) -> str:
    schema = open_parquet(file).schema_arrow
    if _is_bank(schema):
        return "bank"
    if set(_RL_COLUMNS) <= set(schema.names):
        return "rl"
    raise ValueError(
        f"{file} has the columns {', '.join(schema.names)}; a bank has {', '.join(BANK_SCHEMA.names)}, "
        f"an RL parquet {', '.join(RL_SCHEMA.names)}"
    )


def _is_bank(schema: pa.Schema) -> bool:
    return set(BANK_SCHEMA.names) <= set(schema.names)
