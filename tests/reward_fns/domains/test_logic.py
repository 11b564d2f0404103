"""The domain `logic`, against every gold answer of BBH's and BIG-Bench Mistake's files."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns import compute_score
from reward_fns.domains import get
from reward_fns.domains.logic import DOMAIN

BBH = (
    "date_understanding",
    "logical_deduction_three_objects",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "web_of_lies",
)
MISTAKE = ("multistep_arithmetic", "tracking_shuffled_objects", "word_sorting")


def row(gold: str, routes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"reward_model": {"style": "rule", "ground_truth": gold}, "extra_info": {"routes": routes}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(B)", "B"), ("b)", "B"), ("(B) The quail is second", "B"), ("Yes", "yes"), ("**No.**", "no"), ("TRUE", "true"),
        ("invalid", "invalid"), ("-2116", "-2116"), ("2,116", "2116"), ("8 fruits", "8"), ("8.0", "8"), ("5%", "5%"),
        ("so the answer is Yes.", "yes"), ("\\boxed{\\text{Valid}}", "valid"), ("alpha Beta, gamma", "alpha beta gamma"),
        ("['alpha', 'beta']", "alpha beta"), ("alpha\nbeta", "alpha beta"), ("] ) }", "])}"), ("])}", "])}"),
        ("12/25/1937", "12/25/1937"), ("sorted or not all words of a list", "sorted or not all words of a list"),
        ("Answer: yes", "yes"), ("#### 7", "7"),
    ],
)  # fmt: skip
def test_extract(text: str, expected: str) -> None:
    assert DOMAIN.extract(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "yes or no", "maybe yes", "Yes?", "either valid or invalid", "(A) or (B)", "(B) is wrong", "8 wrong",
        "\\boxed{yes} \\boxed{no}", "the answer is yes. the answer is no", "\\boxed{yes} is wrong", "word " * 300,
        "#### yes\n#### no", "\\boxed{no}\nthe answer is yes.", "(A) x (B) y", "...",
    ],
)  # fmt: skip
def test_unreadable(text: str) -> None:
    assert DOMAIN.extract(text) is None


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("Yes and no", "Yes"), ("not valid", "invalid"), ("not Yes", "Yes"), ("Yes, because it is", "Yes"), ("True", "Yes"),
        ("Yes No", "No"), ("beta alpha", "alpha beta"), ("alpha beta gamma", "alpha beta"), ("8 9", "8"), ("8, 9", "9"),
        ("7-9", "8"), ("A B", "B"), ("18", "1 8"), ("８", "8"),
    ],
)  # fmt: skip
def test_different(prediction: str, gold: str) -> None:
    assert compute_score("realm/logic", f"<answer>{prediction}</answer>", gold)["outcome"] == 0.0


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["yes", "B", "(B)", "8", ",", "or", "]"]), max_size=6).map(" ".join)
)
def test_total_and_stable(text: str) -> None:
    read = DOMAIN.extract(text)
    assert read is None or DOMAIN.extract(read) == read


def test_rules() -> None:
    assert [rule.precedence for rule in DOMAIN.rules] == list(range(1, len(DOMAIN.rules) + 1))
    assert get("logic") is DOMAIN


def cheats(question: str, golds: set[str]) -> list[str]:
    everything = sorted(golds)[:12]
    return [
        " or ".join(everything),
        ", ".join(everything),
        " ".join(everything),
        "\n".join(everything),
        question,
        "?",
    ]


@pytest.mark.parametrize("task", BBH)
def test_every_bbh_gold_scores_one_and_cheats_none(shared_data: Path, task: str) -> None:
    examples = json.loads((shared_data / "bbh" / f"{task}.json").read_text(encoding="utf-8"))["examples"]
    golds = {example["target"] for example in examples}
    for number, example in enumerate(examples):
        gold = example["target"]
        assert DOMAIN.check_row(row(gold)) == []
        for text in (
            gold,
            gold.lower(),
            f"**{gold}**",
            f"The answer is {gold}.",
            f"\\boxed{{\\text{{{gold}}}}}",
        ):
            assert compute_score("realm/logic", f"<answer> {text} </answer>", gold)["outcome"] == 1.0, text
        wrong = [*cheats(example["input"], golds), *(golds - {gold}), f"not {gold}", f"{gold}?"]
        for text in wrong if number % 5 == 0 else ():
            score = compute_score("realm/logic", f"<answer> {text} </answer>", gold)["score"]
            assert float(score) <= 0.05, text
    assert len(examples) > 100


def words(text: str) -> list[str]:
    """Five of the 900 traces differ from their target by a blank or by commas alone."""
    return text.replace(",", " ").split()


@pytest.mark.parametrize("task", MISTAKE)
def test_every_trace_of_big_bench_mistake_is_labelled_alike(shared_data: Path, task: str) -> None:
    """The label from the domain is the one of a comparison of words; the last step reads as the trace's answer."""
    lines = (shared_data / "big_bench_mistake" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    from_last_step = 0
    for line in lines:
        trace = json.loads(line)
        route = {
            "steps": trace["steps"],
            "answer": trace["answer"],
            "label": words(trace["answer"]) == words(trace["target"]),
        }
        assert DOMAIN.check_row(row(trace["target"], [route])) == []
        result = compute_score("realm/logic", f"<answer> {trace['answer']} </answer>", trace["target"])
        assert result["outcome"] == float(route["label"])
        read = DOMAIN.extract(trace["steps"][-1])
        from_last_step += read is not None and DOMAIN.equivalent(read, trace["answer"])
    assert len(lines) == 300
    assert from_last_step >= 299
