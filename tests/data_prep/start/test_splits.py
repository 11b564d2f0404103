"""Splits: no group on two sides, stable under additions, by time where there is one, leaks found."""

import random
from datetime import datetime, timedelta

import pytest

from data_prep.start.labels import Example
from data_prep.start.likeness import bare
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


def words(seed: int, n: int = 150) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefghij", k=5)) for _ in range(n)]


def variant(boilerplate: int, number: int, changed: int = 4) -> str:
    """One boilerplate text with some of its words replaced."""
    text, rng = words(boilerplate), random.Random(f"{boilerplate}/{number}")
    for place in rng.sample(range(len(text)), changed):
        text[place] = "".join(rng.choices("klmnop", k=5))
    return " ".join(text)


def test_variants_of_one_text_stay_on_one_side() -> None:
    examples = [Example(i, variant(i % 20, i), "xy"[i % 2]) for i in range(200)]
    split = split_examples(examples, 0, 0.2, 0.1)
    side_of = sides(split)
    assert all(len({side_of[i] for i in range(start, 200, 20)}) == 1 for start in range(20))
    assert split.near == {"val": 0, "test": 0} and split.joined == 200 and split.shared == {}
    assert 0.05 < len(split.examples["test"]) / 200 < 0.4


def test_where_too_few_sets_are_left_near_duplicates_are_counted() -> None:
    examples = [Example(i, variant(i % 2, i), "xy"[i % 2]) for i in range(200)]
    split = split_examples(examples, 0, 0.2, 0.1)
    assert split.joined == 0
    assert split.near == {side: len(split.examples[side]) for side in ("val", "test")}


def test_texts_of_their_own_are_near_none() -> None:
    examples = [Example(i, " ".join(words(i)), "x") for i in range(100)]
    split = split_examples(examples, 0, 0.2, 0.1)
    assert split.joined == 0 and split.near == {"val": 0, "test": 0}
    assert sum(map(len, split.examples.values())) == 100


@pytest.mark.parametrize("second", ["please refund plan a!", "Please  refund: plan A"])
def test_short_texts_that_differ_in_punctuation_are_the_same(second: str) -> None:
    assert bare(second) == bare("please refund plan a.") != bare("please refund plan b")


def contracts(n: int) -> list[Example]:
    """Clauses of 30 contracts; each contract is named by `file` and none by a group."""
    return [
        Example(i, " ".join(words(i, 20)), "xy"[i % 2], alike=(("file", f"msa {i % 30}"),)) for i in range(n)
    ]


def test_rows_of_one_contract_stay_on_one_side_or_are_counted() -> None:
    split = split_examples(contracts(300), 0, 0.2, 0.1)
    side_of = sides(split)
    assert all(len({side_of[i] for i in range(start, 300, 30)}) == 1 for start in range(30))
    assert split.shared == {}
    apart = split_examples(contracts(300), 0, 0.2, 0.1, join=False)
    assert set(apart.shared) == {"file"}
    assert apart.shared["file"] == {side: len(apart.examples[side]) for side in ("val", "test")}


def test_few_sets_fill_each_side() -> None:
    """Ten sets: by their draws alone a side gets none in four of ten seeds."""
    for seed in range(10):
        split = split_examples([Example(i, variant(i % 10, i), "x") for i in range(100)], seed, 0.2, 0.1)
        assert all(split.examples[side] for side in ("train", "val", "test")) and split.joined == 100
        assert len(split.examples["train"]) >= 50


def test_a_set_too_large_for_a_side_goes_to_train() -> None:
    large = [Example(i, f"text {i}", "x", "large") for i in range(90)]
    for seed in range(20):
        split = split_examples([*large, *grouped(200)[100:]], seed, 0.2, 0.1)
        assert all(example.group != "large" for example in split.examples["val"] + split.examples["test"])
