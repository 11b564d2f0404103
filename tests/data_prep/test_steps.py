"""The one step reader: every usual way of numbering, and what distillation and sampling each take of a text."""

import pytest

from data_prep.steps import last_list, numbered, split_steps


@pytest.mark.parametrize(
    "text",
    [
        "1. Add 2 and 3.\n2. That is 5.",
        "1) Add 2 and 3.\n2) That is 5.",
        "1: Add 2 and 3.\n2: That is 5.",
        "(1) Add 2 and 3.\n(2) That is 5.",
        "**1.** Add 2 and 3.\n**2.** That is 5.",
        "**1**. Add 2 and 3.\n**2**. That is 5.",
        "Step 1: Add 2 and 3.\nStep 2: That is 5.",
        "step 1. Add 2 and 3.\nstep 2. That is 5.",
        "**Step 1:** Add 2 and 3.\n\n**Step 2:** That is 5.",
        "**Step 1: Add 2** and 3.\n**Step 2: That** is 5.",
        "### Step 1\nAdd 2 and 3.\n### Step 2\nThat is 5.",
        "## Step 1: Add 2 and 3.\n## Step 2: That is 5.",
        "Step 1 - Add 2 and 3.\nStep 2 – That is 5.",
        "- 1. Add 2 and 3.\n- 2. That is 5.",
        "1\\. Add 2 and 3.\n2\\. That is 5.",
        "   1. Add 2 and 3.\n   2. That is 5.",
    ],
)
def test_usual_numbers_are_read_by_both(text: str) -> None:
    assert last_list(text) == ("Add 2 and 3.", "That is 5.")
    assert split_steps(text) == ["Add 2 and 3.", "That is 5."]


def test_numbers_in_a_text_are_no_steps() -> None:
    assert last_list("1.5 kg and 2.5 kg are 4 kg.\n12:30 is noon.") == ()
    assert last_list("2. begins with two") == ()
    assert last_list("1. a\n2024. was a year\n2. b") == ("a 2024. was a year", "b")


def test_lists_within_a_step_belong_to_it() -> None:
    text = "1. Two cases:\n   1. odd\n   2. even\n2. So both."
    assert last_list(text) == ("Two cases: 1. odd 2. even", "So both.")
    assert split_steps(text) == ["Two cases: 1. odd 2. even", "So both."]


def test_distillation_takes_the_last_list_and_sampling_loses_nothing() -> None:
    text = "Let me see.\n1. draft\nAgain:\n1. one\n2. two"
    assert last_list(text) == ("one", "two")
    assert split_steps(text) == ["Let me see.", "draft Again: 1. one", "two"]


def test_an_empty_step_makes_a_list_unreadable() -> None:
    assert last_list("1. one\n2.\n3. three") == ()


def test_what_is_written_is_read() -> None:
    assert last_list(numbered(["a", "b (c)"])) == ("a", "b (c)")
