"""Answers without tags: the usual forms are read by the domain's reader, cheats and cut thinking are not."""

import pytest

from eval_tasks.free_text import free_answer
from eval_tasks.scoring import score, score_samples
from reward_fns.domains import get

READ = [
    ("choice", "The answer is D", "D"),
    ("choice", "Let me see.\nThe final answer is **D**.", "D"),
    ("choice", "Aspirin is out, so \\boxed{D}", "D"),
    ("choice", "Answer: B", "B"),
    ("choice", "It acts on COX.\n\n**Answer:** (B) aspirin", "B"),
    ("choice", "B", "B"),
    ("choice", "It acts on the enzyme COX.\n\n**B**", "B"),
    ("choice", "### Answer\nB", "B"),
    ("choice", "so it is </think>\n\nThe correct answer is (C).", "C"),
    ("choice", "<think> The answer is A, or not. </think> The answer is C.", "C"),
    ("choice", "The answer is B.\n\nAspirin", "B"),
    ("choice", "**Solution**\nIt acts on COX.\n\nB", "B"),
    ("math", "She has 24, then 72.\nThe answer is 72.\nThanks!", "72"),
    ("choice", "A\nB\nC\nD\nOf these, the answer is C.", "C"),
    ("math", "24\n48\nThe answer is 72.", "72"),
    ("logic", "He lies, so she does not.\nNo", "no"),
    ("math", "48/2 = 24\n48 + 24 = 72\n72", "72"),
    ("math", "She sold 24.\n\n#### 72", "72"),
    ("math", "So $x = \\boxed{\\frac{1}{2}}$.", "1/2"),
    ("numeric", "The revenue rose.\nFinal answer: 13.7%", "137/10%"),
    ("search_relevance", "Both are boots of one brand.\n\nFinal answer: Substitute", "Substitute"),
    ("search_relevance", "Both are boots of one brand, which is why the answer is **Exact**.", "Exact"),
    ("search_relevance", "irrelevant", "Irrelevant"),
]
UNREAD = [
    ("choice", "A\nB\nC\nD"),
    ("choice", "(A) the falcon\n(B) an owl"),
    ("choice", "A\nor\nB"),
    ("choice", "The answer is A, B, C or D."),
    ("choice", "The answer is A. The answer is B."),
    ("choice", "\\boxed{A} \\boxed{B}"),
    ("choice", "Answer: A\nAnswer: B"),
    ("choice", "\\boxed{A}\nThe answer is B."),
    ("choice", "The answer is A.\nB"),
    ("choice", "<think> The answer is A."),
    ("choice", "The answer is A. <think> or"),
    ("choice", "The answer is A.\n<answer> "),
    ("choice", "The answer is A.\n<verdicts>\n1: right"),
    ("choice", ""),
    ("logic", "yes\nno"),
    ("math", "70\n71\n72"),
    ("math", "The answer is 71. No, the answer is 72."),
    ("math", "The answer is 71.\n\n72"),
    ("search_relevance", "Exact\nSubstitute\nComplement\nIrrelevant"),
    ("search_relevance", "The answer is Exact or Substitute."),
]
MATH = {"question": "9 + 9?", "gold": "18", "data_source": "realm/math/unguided"}


@pytest.mark.parametrize(("domain", "response", "answer"), READ)
def test_answers_without_tags(domain: str, response: str, answer: str) -> None:
    assert free_answer(response, get(domain)) == answer


@pytest.mark.parametrize(("domain", "response"), UNREAD)
def test_lists_contradictions_and_cut_thinking_are_no_answer(domain: str, response: str) -> None:
    assert free_answer(response, get(domain)) is None


@pytest.mark.parametrize(
    ("response", "acc", "flexible"),
    [
        ("<answer> 18 </answer>", 1.0, 1.0),
        ("The answer is 18.", 0.0, 1.0),
        ("The answer is 17.", 0.0, 0.0),
        ("The answer is 18. <answer> 17 </answer>", 0.0, 0.0),
        ("The answer is 17. <answer> 18 </answer>", 1.0, 1.0),
        ("The answer is 18. <answer> 17 or 18 </answer>", 0.0, 0.0),
        ("The answer is 18. <answer> 17 </answer><answer> 18 </answer>", 0.0, 0.0),
        ("The answer is 18. <answer> 18", 0.0, 0.0),
        ("<think> The answer is 18.", 0.0, 0.0),
    ],
)
def test_acc_stays_strict_and_a_tag_decides(response: str, acc: float, flexible: float) -> None:
    got = score(MATH, response)
    assert (got["acc"], got["acc_flexible"]) == (acc, flexible)


@pytest.mark.parametrize(
    ("response", "acc", "flexible", "truncated"),
    [
        ("First guess: <answer> 18 </answer>. Hmm, let me verify by", 0.0, 0.0, 1.0),
        ("The answer is 18.", 0.0, 0.0, 1.0),
        ("17? </think> The answer is 18.", 0.0, 1.0, 0.0),
        ("17? </think> <answer> 18 </answer>", 1.0, 1.0, 0.0),
        ("<think> 17? </think> <answer> 18 </answer>", 1.0, 1.0, 0.0),
    ],
)
def test_thinking_that_the_prompt_opened(
    response: str, acc: float, flexible: float, truncated: float
) -> None:
    got = score(MATH, response, opened=True)
    assert (got["acc"], got["acc_flexible"], got["truncated"]) == (acc, flexible, truncated)


def test_verdicts_are_no_answer_and_samples_are_read_too() -> None:
    route = {"steps": ["9 + 9 = 18"], "answer": "18", "label": True, "source": "s"}
    guided = {**MATH, "data_source": "realm/math/guided", "routes": [route], "right_share": 0.5}
    assert score(guided, "<verdicts>\n1: right\n</verdicts>\nThe answer is 18.")["acc_flexible"] == 1.0
    got = score_samples(MATH, ["\\boxed{18}", "<answer> 18 </answer>", "18 or 19", "<think> 18"])
    assert (got["mean@k"], got["mean_flexible@k"]) == (0.25, 0.5)
