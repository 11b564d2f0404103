"""The benchmark of distilled rules: plain rows, equal tokens, the slices and tables of its results."""

import random
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.rules import (
    ARMS,
    BATCH,
    DISTILLED,
    PLAIN,
    Layout,
    Training,
    arm_chain,
    data_chain,
    matched,
    plain_row,
    slices,
    tables,
)
from data_prep.search_relevance.datasets import DistilOptions, distil
from reward_fns.response import parse_response


def test_a_plain_row_keeps_the_prompt_and_has_the_answer_alone() -> None:
    for row in distil(5, seed=0, options=DistilOptions(0.0, 0.0)).rows:
        made = plain_row(row)
        assert made["messages"][:-1] == row["messages"][:-1]
        assert made["uid"] == row["uid"]
        before, after = (parse_response(r["messages"][-1]["content"], 0) for r in (row, made))
        assert before.think and after.think is None
        assert after.answer == before.answer
        assert not after.problems


def test_a_row_without_an_answer_is_refused() -> None:
    row = distil(1, seed=0, options=DistilOptions(0.0, 0.0)).rows[0]
    row["messages"][-1]["content"] = "no block"
    with pytest.raises(ValueError, match=row["uid"]):
        plain_row(row)


@pytest.mark.parametrize("budget", [1, 1_000, 9_999, 50_000])
def test_as_near_to_the_budget_as_batches_come_and_pass_after_pass(budget: int) -> None:
    draw = random.Random(budget)
    lengths = [draw.randint(30, 90) for _ in range(100)]
    chosen = matched(lengths, budget, 16, random.Random(0))
    assert chosen == matched(lengths, budget, 16, random.Random(0))
    assert len(chosen) % 16 == 0
    total = sum(lengths[i] for i in chosen)
    assert abs(total - budget) <= 16 * 90 / 2 or (len(chosen) == 16 and total > budget)
    seen = [chosen.count(i) for i in range(100)]
    assert max(seen) - min(seen) <= 1, "a pass begins before the last one ended"
    assert chosen != sorted(chosen)


def test_fewer_rows_than_a_batch_and_none() -> None:
    assert sorted(matched([10, 10], 45, 4, random.Random(0))) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="0 rows"):
        matched([], 100, 4, random.Random(0))


def test_stages_train_for_exactly_the_rows_of_the_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base", tmp_path / "out", steps=2)
    data = data_chain(layout, 1).stages[0].command
    assert data[data.index("--n-sft") + 1] == str(2 * BATCH)
    assert data[data.index("--seed") + 1] == "1"
    sft, test = arm_chain(layout, PLAIN, 1, Training(5 * BATCH, 2 * BATCH, 4_000)).stages
    assert "trainer.total_training_steps=5" in sft.command
    assert f"data.train_files={layout.rows(PLAIN, 1)}" in sft.command
    assert f"pretrained={sft.outputs[0].parent}" in test.command[test.command.index("--model_args") + 1]
    assert "realm_search_relevance" in test.command and "--log_samples" in test.command


def test_tables_give_both_arms_and_their_paired_difference() -> None:
    samples = [{"acc": float(i % 3 > 0), "doc": {"long_tail": i % 2 == 0}} for i in range(30)]
    found = slices(samples)
    assert len(found["accuracy"]) == 30 and len(found["long tail"]) == 15
    zero = {name: [0.0] * len(values) for name, values in found.items()}
    trainings = {arm: {seed: Training(32, 16, 2_000) for seed in range(2)} for arm in ARMS}
    scores = {
        arm: {name: {seed: given[name] for seed in range(2)} for name in found}
        for arm, given in ((DISTILLED, found), (PLAIN, zero))
    }
    console = Console(width=200)
    with console.capture() as captured:
        for table in tables(trainings, scores):
            console.print(table)
    text = captured.get()
    assert "accuracy (30 questions)" in text and "long tail (15 questions)" in text
    assert "0.0 [0.0, 0.0]" in text
    assert "+66.7, +66.7" in text
    assert "2,000" in text
