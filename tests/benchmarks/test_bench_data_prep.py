"""The benchmark of data preparation on few rows: the planted near duplicates are found by every search."""

from pathlib import Path

import pytest

from benchmarks.bench_data_prep import (
    PER_QUESTION,
    datasketch_in_memory,
    filters,
    make_question,
    overlap_plain,
    peak_mib,
    select,
    write_inputs,
)

ROUTES = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench")
    write_inputs(made, ROUTES, seed=0)
    return made


def test_planted_near_duplicates_are_found(folder: Path) -> None:
    planted = sum(
        route.steps[-1].endswith(" so")
        for i in range(ROUTES // PER_QUESTION)
        for route in make_question(0, i)[2]
    )
    found = filters(folder)
    assert found == {"kept": ROUTES - planted, "near duplicate": planted} == datasketch_in_memory(folder)
    assert select(folder)["near duplicate"] == pytest.approx(planted, abs=2)


def test_planted_overlaps_are_found(folder: Path) -> None:
    assert overlap_plain(folder) == {"kept": ROUTES - 100, "overlap": 100}, "ten questions of ten routes"


def test_memory_is_that_of_this_process() -> None:
    assert 20 < peak_mib() < 100_000
