"""Both parts of the benchmark see the same rows and find the same faults."""

from pathlib import Path

import pytest

from benchmarks import bench_preflight


def test_both_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_preflight, "WRITTEN_AT_ONCE", 20)
    monkeypatch.setattr(bench_preflight, "EVERY_FAULTY", 30)
    bench_preflight.write_file(tmp_path / "train.parquet", 50)
    found = bench_preflight.by_columns(tmp_path / "train.parquet", 50)
    assert found == "2 rows (0, 30): ground_truth is missing or blank"
    assert bench_preflight.by_rows(tmp_path / "train.parquet", 50) == "2 rows [0, 30]"
