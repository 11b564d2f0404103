"""The math domain, against GSM8K's real answers and the published labels of real model solutions."""

import json
from pathlib import Path
from typing import Any

import pytest

from reward_fns import compute_score
from reward_fns.domains.math import DOMAIN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18", "18"),
        ("$18.00", "$18.00"),
        ("0.5", "1/2"),
        ("She has 9 eggs.\n#### 18", "18"),
        ("She has 9 eggs.\nA: 1,800", "1800"),
        ("so \\boxed{\\frac{1}{2}}", "1/2"),
        ("\\boxed{1}, then \\boxed{1.0}", "1"),
        ("\\boxed{3} \\boxed{4}", None),
        ("#### 3\n#### 4", None),
        ("#### 3\nA: 4", None),
        ("#### 3\nA: 3.0", "3"),
        ("The answer is 17. No: \\boxed{18}", None),
        ("The answer is $\\boxed{18}$.", "18"),
        ("The answer is what we look for: \\boxed{18}", "18"),
        ("\\boxed{18} is not the answer", None),
        ("\\boxed{18} (wrong)", None),
        ("\\boxed{18} or 19", None),
        ("not \\boxed{18}", None),
        ("18 wrong", None),
        ("so x is not 0\n#### 18", "18"),
        ("The answer is 18. Done", "18"),
        ("the final answer is: 3.5", "7/2"),
        ("**The answer is 42.**", "42"),
        ("### Final Answer\n\n$$\\boxed{42}$$", "42"),
        ("## Final Answer\n42", "42"),
        ("**Answer:** $42$ dollars", "42 dollars"),
        ("The answer is\n42", "42"),
        ("The answer to this problem is therefore 42.", "42"),
        ("Final Answer: The final answer is $42$. I hope it is correct.", "42"),
        ("The answer is 42, because 6 times 7 is 42.", "42"),
        ("Answer: 42 (since 6*7 = 42)", "42"),
        ("\\boxed{42}\n\nExplanation: 41 < 42 and 6 * 7 = 42.", "42"),
        ("The answer is 42. Actually 43.", None),
        ("\\boxed{42}. Wait, it is 43.", None),
        ("The answer is 41. No wait, the answer is 42.", None),
        ("The answer is 42 (or 43)", None),
        ("I cannot answer this question.", "I cannot answer this question"),
        ("x = 1 or x = 2", "x = 1 or x = 2"),
        ("x = 1 or 2", None),
        ("x < 1 \\text{ or } x > 2", "x < 1 or x > 2"),
        ("1 or 2", None),
        ("\\boxed{1 \\text{ or } 2}", None),
        ("1\n2", None),
        ("", None),
        ("x" * 1000, None),
    ],
)
def test_extract(text: str, expected: str | None) -> None:
    assert DOMAIN.extract(text) == expected


def test_rules() -> None:
    assert [rule.precedence for rule in DOMAIN.rules] == list(range(1, len(DOMAIN.rules) + 1))
    assert DOMAIN.rules is DOMAIN.rules


def row(gold: object, routes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"reward_model": {"style": "rule", "ground_truth": gold}, "extra_info": {"routes": routes}}


def test_check_row() -> None:
    assert DOMAIN.check_row(row("18")) == []
    assert DOMAIN.check_row(row(18)) == []
    assert "missing or empty" in DOMAIN.check_row(row(None))[0]
    assert "cannot read" in DOMAIN.check_row(row("1 or 2"))[0]
    route = {"steps": ["s"], "answer": "18.0", "label": True, "source": "a"}
    assert DOMAIN.check_row(row("18", [route])) == []
    assert "route 0 is labelled wrong" in DOMAIN.check_row(row("18", [route | {"label": False}]))[0]
    assert "route 0" in DOMAIN.check_row(row("18", [{"steps": ["s"]}]))[0]


def lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_gsm8k_gold_scores_one(shared_data: Path, split: str) -> None:
    items = lines(shared_data / "gsm8k" / f"{split}.jsonl")
    for item in items:
        solution = item["answer"]
        bare = solution.rsplit("####", 1)[1].strip()
        assert DOMAIN.check_row(row(solution)) == []
        assert compute_score("realm/math", f"<answer> {bare} </answer>", bare)["outcome"] == 1.0
    assert len(items) > 1000


def test_labels_agree_with_the_published_ones(shared_data: Path) -> None:
    """Of 2,800 solutions by four models, read from the last `A: N`, against `is_correct`."""
    total, disagreements = 0, []
    for item in lines(shared_data / "gsm8k" / "example_model_solutions.jsonl"):
        for model, solution in item.items():
            if not isinstance(solution, dict):
                continue
            total += 1
            read = DOMAIN.extract(solution["solution"])
            right = read is not None and DOMAIN.equivalent(read, item["ground_truth"])
            if right != solution["is_correct"]:
                disagreements.append((model, read, item["ground_truth"][-20:]))
    assert total == 2800
    assert len(disagreements) <= 0.005 * total, disagreements
