"""The domain `choice`: letters in the ways that models write them, and BBH's lettered tasks."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns import compute_score
from reward_fns.domains import get
from reward_fns.domains.choice import DOMAIN
from reward_fns.domains.choice.letters import LETTERS

TASKS = ("date_understanding", "logical_deduction_three_objects", "penguins_in_a_table")


@pytest.mark.parametrize(
    "text",
    [
        "B", "b", "(B)", "(b)", "[B]", "B.", "B)", "B:", "**B**", "$B$", "`B`", "\\text{B}", "option B", "Option (B)",
        "\\boxed{B}", "\\boxed{\\text{(B)}}", "The answer is (B).", "the correct option is B", "#### B", "Answer: B",
        "B. aspirin", "(B) aspirin", "b) aspirin", "**B.** aspirin", "B: aspirin and rest", "(B) No fracture",
        "(B) hypertension or stroke", "(B) Vitamin C deficiency", "(B) False", "(B) not guilty", "(B) 12/25/1937",
        "A and C are ruled out, so the answer is B.", "(B) $5.00",
    ],
)  # fmt: skip
def test_the_letter_b(text: str) -> None:
    assert DOMAIN.extract(text) == "B"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "A or B", "A, B", "A/B", "A B or C", "A and B", "(A)(B)", "(A) (B)", "A B C D", "not B", "B?", "maybe B",
        "either A or B", "(B) or (C)", "(B), maybe C", "(B) aspirin or C", "(B) aspirin (C) rest", "A. x B. y C. z",
        "A) x\nB) y", "(B) is wrong", "(B) is not the answer", "(B) not", "(B) aspirin, not", "(B) aspirin?", "(B) I guess",
        "\\boxed{A} \\boxed{B}", "\\boxed{B} or \\boxed{C}", "the answer is A. the answer is B", "\\boxed{B} is incorrect",
        "both A and B", "B" * 400, "(B) x\n(C) y",
    ],
)  # fmt: skip
def test_no_letter(text: str) -> None:
    assert DOMAIN.extract(text) is None


@pytest.mark.parametrize("text", ["K", "Ｂ", "В", "all of the above", "second", "B is the best"])
def test_other_words_are_never_a_letter(text: str) -> None:
    read = DOMAIN.extract(text)
    assert read is None or not any(DOMAIN.equivalent(read, letter) for letter in LETTERS)


def test_words_count_only_where_the_gold_answer_holds_them() -> None:
    for text in ("Aspirin", "B", "the answer is **aspirin**."):
        read = DOMAIN.extract(text)
        assert read is not None and DOMAIN.equivalent(read, "(B) aspirin")
    assert not DOMAIN.equivalent("aspirin", "B")
    assert not DOMAIN.equivalent("ibuprofen", "(B) aspirin")
    assert not DOMAIN.equivalent("", "(B) aspirin")


LETTER_AND_WORDS = [
    "B - aspirin",
    "B – aspirin",
    "B — aspirin",
    "B (aspirin)",
    "B aspirin",
    "(B): aspirin",
    "**B** aspirin",
    "**B**: aspirin",
    "Option B: aspirin",
    "b. Aspirin",
    "B: aspirin",
    "B) aspirin",
    "B. aspirin",
    "(B) aspirin",
    "b - Aspirin",
    "Option B - aspirin",
    "(B) - aspirin",
    "The answer is B - aspirin.",
    "The answer is B (aspirin).",
    "\\boxed{B - aspirin}",
    "\\boxed{\\text{B (aspirin)}}",
    "Answer: B (aspirin)",
    "Answer：B － aspirin",
    "B, aspirin",
    "**B - aspirin**",
    "**B** - aspirin",
    "**B** (aspirin)",
    "aspirin",
    "B",
    "[B] aspirin",
    "The answer is **B** (aspirin). \\boxed{B}",
    "choice B aspirin",
    "option b (Aspirin)",
    "B (**aspirin**)",
    "The correct answer is B) aspirin",
]
OTHER_PAIRS = [
    "B - ibuprofen",
    "B (ibuprofen)",
    "B ibuprofen",
    "C - aspirin",
    "C aspirin",
    "C (aspirin)",
    "A or B",
    "B or C",
    "B - aspirin or C",
    "B - aspirin or C - ibuprofen",
    "B (aspirin) or C",
    "B - not aspirin",
    "B (not aspirin)",
    "not B - aspirin",
    "B - C",
    "A - B",
    "A - D",
    "B (C)",
    "B - aspirin, C - ibuprofen",
    "B - aspirin C - ibuprofen",
    "A aspirin is an option",
    "B - maybe",
    "B - aspirin?",
    "B (aspirin)?",
    "B (wrong)",
    "B aspirin or ibuprofen",
    "A - ibuprofen\nB - aspirin",
    "both B and aspirin",
    "B - is wrong",
    "C: aspirin",
    "B is the best",
    "B/C",
    "B -",
    "- aspirin - B?",
    "\\boxed{C} B - aspirin",
    "The answer is C. The answer is B - aspirin",
]


@pytest.mark.parametrize("text", LETTER_AND_WORDS)
def test_letter_and_words_in_the_usual_forms(text: str) -> None:
    assert compute_score("realm/choice", f"<answer> {text} </answer>", "(B) aspirin")["acc"] == 1


@pytest.mark.parametrize("text", OTHER_PAIRS)
def test_another_letter_other_words_or_a_hedge_are_wrong(text: str) -> None:
    assert compute_score("realm/choice", f"<answer> {text} </answer>", "(B) aspirin")["acc"] == 0


@pytest.mark.parametrize(
    ("text", "gold", "same"),
    [
        ("B - aspirin", "B", True),
        ("B (aspirin)", "B", True),
        ("B aspirin", "B", False),
        ("C - aspirin", "B", False),
        ("A - B", "B", False),
        ("B - not", "B", False),
        ("B (probably)", "B", False),
        ("B: aspirin", "B", True),
        ("A-delta fibres", "B", False),
        ("A (Rh positive)", "(C) A (Rh positive)", True),
        ("A-delta fibres", "(C) A-delta fibres", True),
        ("A-delta fibres", "(A) C fibres", False),
        ("B vitamins", "(D) B vitamins", True),
        ("B vitamins", "(B) vitamins", True),
        ("B -5", "(B) -5", True),
        ("B - 5", "(B) 5", True),
        ("(B) - 5", "(B) 5", True),
        ("B $5.00", "(B) $5.00", True),
        ("B - $5.00", "(B) $5.00", True),
        ("A - aspirin (low dose)", "(A) aspirin (low dose)", True),
        ("A (aspirin (low dose))", "(A) aspirin (low dose)", True),
        ("B - aspirin", "B - aspirin", True),
        ("B", "B - aspirin", True),
        ("C", "B - aspirin", False),
        ("B - ibuprofen", "B - aspirin", False),
    ],
)
def test_letter_and_words_beside_other_golds(text: str, gold: str, same: bool) -> None:
    assert compute_score("realm/choice", f"<answer> {text} </answer>", gold)["acc"] == same


@given(st.text(max_size=30))
def test_total_and_stable(text: str) -> None:
    read = DOMAIN.extract(text)
    if read is not None:
        assert DOMAIN.extract(read) == read
    DOMAIN.equivalent(text, text)


def row(gold: object, question: str = "?") -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": question}],
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"routes": None},
    }


def test_check_row() -> None:
    question = "Which?\n(A) one\n(B) two"
    assert DOMAIN.check_row(row("B", question)) == DOMAIN.check_row(row("(B) two", question)) == []
    assert "none of the options A, B" in DOMAIN.check_row(row("C", question))[0]
    assert "does not equal" in DOMAIN.check_row(row("two", question))[0]
    assert "cannot read" in DOMAIN.check_row(row("A or B", question))[0]
    assert DOMAIN.check_row(row("B") | {"prompt": [{"role": "user", "content": [{"text": "?"}]}]}) == []


def test_rules() -> None:
    assert [rule.precedence for rule in DOMAIN.rules] == list(range(1, len(DOMAIN.rules) + 1))
    assert get("choice") is DOMAIN


@pytest.mark.parametrize("task", TASKS)
def test_every_bbh_gold_scores_one_and_every_other_option_none(shared_data: Path, task: str) -> None:
    examples = json.loads((shared_data / "bbh" / f"{task}.json").read_text(encoding="utf-8"))["examples"]
    for example in examples:
        gold = example["target"]
        assert DOMAIN.check_row(row(gold, example["input"])) == []
        options = [line for line in example["input"].splitlines() if line[:1] == "(" and line[2:3] == ")"]
        assert len(options) > 1
        for option in options:
            right = option.startswith(gold)
            for text in (option[:3], option, option[1], f"\\boxed{{{option[1]}}}"):
                result = compute_score("realm/choice", f"<answer> {text} </answer>", gold)
                assert result["outcome"] == float(right), (text, gold)
        for text in ("\n".join(options), " ".join(options), " or ".join(option[:3] for option in options)):
            assert float(compute_score("realm/choice", f"<answer> {text} </answer>", gold)["score"]) <= 0.05
    assert len(examples) > 100
