"""Rows of results: written whole or not at all, read back as they were, refused when they are something else."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.study.rows import Row, is_done, pack, read_rows, row_path, unpack, write_row

ROW = Row(
    arm="realm",
    seed=1,
    config_hash="abc",
    commit="f00d",
    machine="2 cores",
    versions={"verl": "0.9.1"},
    seconds={"rl": 1.5},
    steps=40,
    rollouts=5120,
    tokens={"prompt": 10, "response": 5},
    metrics={"unguided": {"acc": 0.5}, "guided": {"acc": 0.75}},
    arithmetic=0.9,
    curve=[[0, 0.4, 0.5]],
    correct={"unguided": pack([1, 0, 1, 0, 0]), "guided": pack([1, 1, 1, 0, 0])},
    questions=5,
)


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_packed_scores_come_back(scores: list[bool]) -> None:
    assert unpack(pack([float(score) for score in scores]), len(scores)) == [float(score) for score in scores]


def test_a_packed_text_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="9 scores are 3 digits; got 2"):
        unpack("ff", 9)


def test_written_and_read(tmp_path: Path) -> None:
    other = dataclasses.replace(ROW, arm="grpo", seed=0)
    for row in (ROW, other):
        write_row(tmp_path, row)
    assert read_rows(tmp_path) == [other, ROW]
    assert ROW.scores("guided") == [1, 1, 1, 0, 0]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "seed0.jsonl",
        "seed1.jsonl",
    ]


def test_done_means_this_configuration(tmp_path: Path) -> None:
    assert not is_done(tmp_path, "realm", 1, "abc")
    write_row(tmp_path, ROW)
    assert is_done(tmp_path, "realm", 1, "abc") and not is_done(tmp_path, "realm", 1, "other")
    write_row(tmp_path, dataclasses.replace(ROW, config_hash="other"))
    assert [row.config_hash for row in read_rows(tmp_path)] == ["other"]


def test_what_is_no_row_is_named(tmp_path: Path) -> None:
    path = row_path(tmp_path, "realm", 1)
    path.parent.mkdir()
    for content in ("{", '{"arm": "realm"}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="seed1.jsonl is not a row"):
            read_rows(tmp_path)
    write_row(tmp_path, ROW).rename(row_path(tmp_path, "realm", 2))
    with pytest.raises(ValueError, match="move it to its own place"):
        read_rows(tmp_path)


def test_an_arms_name_is_a_file_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a-z"):
        row_path(tmp_path, "../realm", 1)
