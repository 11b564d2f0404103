"""Rows sorted on disk: the order of the keys, stable, whatever the number of buckets."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_prep import on_disk
from data_prep.on_disk import BATCH, RowWriter, key_at, key_of, read_rows, sort_on_disk

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


class Counted(dict[str, Any]):
    """A row that knows how many of its kind there are."""

    alive = most = 0

    def __init__(self, **columns: object) -> None:
        super().__init__(columns)
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1


def test_memory_holds_two_batches_of_rows_and_a_few_buckets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, text = 6000, "a word or two " * 80
    size = n * len(text)
    monkeypatch.setattr(on_disk, "BUCKET_BYTES", size // 16)
    before, most = pa.total_allocated_bytes(), 0

    def made() -> Iterator[Counted]:
        nonlocal most
        for number in range(n):
            most = max(most, pa.total_allocated_bytes())
            yield Counted(uid=str(number), n=number, parts=[text])

    Counted.most = 0
    for _ in sort_on_disk(made(), SCHEMA, lambda row: key_of(row["uid"]), scratch=tmp_path, size=size):
        most = max(most, pa.total_allocated_bytes())
    assert BATCH <= Counted.most <= 2 * BATCH + 2
    assert size // 16 < most - before < 5 * size // 16, (
        "the sixteenth part waits or is sorted, with copies of it"
    )


def test_what_was_read_does_not_stay_resident(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "a.arrow"
    with RowWriter(path, SCHEMA) as writer:
        for number in range(4 * BATCH):
            writer.write_one({"uid": "u", "n": number, "parts": [rng.randbytes(8_000).hex()]})
    assert path.stat().st_size > 16 << 20
    before = resident_of_files()
    for row in read_rows(path):
        if row["n"] == 4 * BATCH - 1:
            assert resident_of_files() - before < 2 << 20


def resident_of_files() -> int:
    """Bytes of mapped files that count for this process's resident memory."""
    return int(Path("/proc/self/status").read_text().partition("RssFile:")[2].split()[0]) << 10
