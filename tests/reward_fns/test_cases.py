"""Cases from public reports (other projects' issue threads) that once failed here, by the letters of that list.

Decided where they were debatable: full-width punctuation counts, full-width digits and letters do not (they are lookalikes,
docs/rewards_cheats.md).
"""

from typing import Any

import numpy as np
import pytest

from reward_fns import compute_score
from reward_fns.mrpv import Reason
from reward_fns.response import parse_response

CASES: list[tuple[str, str, str, Any, int]] = [
    ("A1", "math", r"\frac{1}{2^{2022}}", r"\frac{1}{2^{2023}}", 0),
    ("A1", "math", r"1-\frac{1}{2^{2022}}", r"1-\frac{1}{2^{2023}}", 0),
    ("A1", "math", r"\frac{3^{2023}+1}{2\cdot 3^{2023}}", r"\frac{3^{2023}-1}{2\cdot 3^{2023}}", 0),
    ("A1", "math", "(5/6)^{599}", "(5/6)^{600}", 0),
    ("A1", "math", "1/120!", "1/121!", 0),
    ("A2", "math", "180", "(0,180)", 0),
    ("A2", "math", "5125", "(5,125)", 0),
    ("A2", "math", "-5125", "(-5,125)", 0),
    ("A3", "math", "0, 180, 360", "0,180,360", 1),
    ("A3", "math", "360, 0, 180", "0,180,360", 1),
    ("A3", "math", "x=0, x=180, x=360", "0,180,360", 1),
    ("A3", "math", "180360", "0,180,360", 0),
    ("A3", "math", "0, 100", "0,100", 1),
    ("A12", "math", r"\boxed{\boxed{12}}", "12", 1),
    ("A13", "choice", "Answer：B", "B", 1),
    ("A13", "math", "Answer：12", "12", 1),
    ("A14", "choice", "B - aspirin", "(B) aspirin", 1),
    ("A14", "choice", "B (aspirin)", "(B) aspirin", 1),
    ("A14", "choice", "B aspirin", "(B) aspirin", 1),
    ("A14", "choice", "B - ibuprofen", "(B) aspirin", 0),
    ("C2", "math", "8", ["8"], 1),
    ("C2", "math", "8", {"target": ["8"]}, 1),
    ("C2", "math", "8", np.array(["8"], dtype=object), 1),
    ("C2", "math", "9", ["8"], 0),
]


@pytest.mark.parametrize(("case", "domain", "answer", "gold", "acc"), CASES)
def test_answer(case: str, domain: str, answer: str, gold: Any, acc: int) -> None:
    assert compute_score(f"realm/{domain}", f"<answer> {answer} </answer>", gold)["acc"] == acc, case


def test_b4_a_guess_inside_thinking_that_the_prompt_opened() -> None:
    text = "First guess: <answer> 4 </answer>. Hmm, let me verify by"
    result = compute_score("realm/math", text, "4", {"thinking_opened": True})
    assert (result["acc"], result["format"], result["reason"]) == (0, 0, Reason.NO_ANSWER)
    assert "unclosed_think" in parse_response(text, 0, opened=True).problems
