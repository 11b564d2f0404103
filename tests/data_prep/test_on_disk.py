"""Rows sorted on disk: the order of the keys, stable, whatever the number of buckets."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from data_prep import on_disk
from data_prep.on_disk import RowWriter, key_at, key_of, read_rows, sort_on_disk

SCHEMA = pa.schema([("uid", pa.string()), ("n", pa.int64()), ("parts", pa.list_(pa.string()))])


def rows(n: int) -> list[dict[str, object]]:
    rng = random.Random(0)
    return [{"uid": f"u{rng.randrange(n // 3 + 1)}", "n": i, "parts": [str(i)]} for i in range(n)]


@pytest.mark.parametrize("size", [0, 5 * on_disk.BUCKET_BYTES, 10**15])
def test_sorted_by_key_and_stable(size: int, tmp_path: Path) -> None:
    made = rows(20_000)
    ordered = list(sort_on_disk(made, SCHEMA, lambda row: key_of(row["uid"]), scratch=tmp_path, size=size))
    assert ordered == sorted(made, key=lambda row: key_of(str(row["uid"])))
    assert not list(tmp_path.iterdir())


def test_by_position(tmp_path: Path) -> None:
    made = rows(1000)
    random.Random(1).shuffle(made)
    ordered = sort_on_disk(
        made, SCHEMA, lambda row: key_at(row["n"], 1000), scratch=tmp_path, size=4 * on_disk.BUCKET_BYTES
    )
    assert [row["n"] for row in ordered] == list(range(1000))


def test_no_rows(tmp_path: Path) -> None:
    assert list(sort_on_disk([], SCHEMA, lambda row: key_of(row["uid"]), scratch=tmp_path, size=0)) == []


def test_rows_are_kept_in_order(tmp_path: Path) -> None:
    made = rows(1500)
    with RowWriter(tmp_path / "a.arrow", SCHEMA) as writer:
        for row in made:
            writer.write_one(row)
    assert list(read_rows(tmp_path / "a.arrow")) == made
