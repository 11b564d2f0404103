"""Splits: no group on two sides, stable under additions, by time where there is one, leaks found."""

from datetime import datetime, timedelta

import pytest

from data_prep.start.labels import Example
from data_prep.start.splits import Split, split_examples

START = datetime(2025, 1, 1)


def grouped(n: int) -> list[Example]:
    return [Example(i, f"text {i}", "xy"[i % 2], f"query {i // 4}") for i in range(n)]


def sides(split: Split) -> dict[int, str]:
    return {example.row: side for side, rows in split.examples.items() for example in rows}


def test_a_group_stays_on_one_side_and_shares_are_about_right() -> None:
    split = split_examples(grouped(800), 0, 0.2, 0.1)
    side_of = sides(split)
    assert len(side_of) == 800 and not split.leaks
    assert all(len({side_of[4 * g + i] for i in range(4)}) == 1 for g in range(200))
    assert 0.12 < split.groups["test"] / 200 < 0.28 and 0.05 < split.groups["val"] / 200 < 0.16


def test_rows_keep_their_side_when_others_come() -> None:
    few, many = (sides(split_examples(grouped(n), 3, 0.2, 0.1)) for n in (400, 800))
    assert {row: many[row] for row in few} == few
    assert sides(split_examples(grouped(400), 4, 0.2, 0.1)) != few
    assert sides(split_examples(grouped(400)[::-1], 3, 0.2, 0.1)) == few


def test_without_groups_texts_that_differ_in_numbers_only_stay_together() -> None:
    long = "my order number {} from last week has still not arrived {}"
    examples = [
        Example(i, long.format(i // 3, i), "x") if i % 2 else Example(i, f"short {i}", "y")
        for i in range(200)
    ]
    side_of = sides(split_examples(examples, 0, 0.3, 0.2))
    assert len({side_of[i] for i in range(1, 200, 2)}) == 1
    assert len({side_of[i] for i in range(0, 200, 2)}) == 3, "short texts are told apart by their numbers"


def test_texts_near_a_training_row_are_counted() -> None:
    text = "my order number {} from last week has still not arrived"
    examples = [Example(i, text.format(i), "x", f"g{i}") for i in range(100)]
    split = split_examples(examples, 0, 0.2, 0.1)
    assert split.near == {side: len(split.examples[side]) for side in ("val", "test")}


def test_with_times_the_test_split_is_the_latest_and_what_tells_is_left_out() -> None:
    examples = [
        Example(i, f"text {i}", "x", f"query {i % 60}", START + timedelta(days=i // 2)) for i in range(100)
    ]
    split = split_examples(examples, 0, 0.2, 0.2)
    assert [e.row for e in split.examples["test"]] == list(range(80, 100))
    assert [e.row for e in split.leaks] == list(range(20, 40))
    groups = {e.group for e in split.examples["test"]}
    assert not groups & {e.group for side in ("train", "val") for e in split.examples[side]}


def test_what_cannot_be_split_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="no row falls into val and test: 2 rows in 1 groups"):
        split_examples(grouped(2), 0, 0.01, 0.01)
    same = [Example(i, str(i), "x", None, START) for i in range(10)]
    with pytest.raises(ValueError, match="10 of 10 rows have the latest time.*time=none"):
        split_examples(same, 0, 0.2, 0.1)
