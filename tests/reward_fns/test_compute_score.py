"""`compute_score` as verl calls it: constant keys, total in the model's text, no credit for cheats."""

import math
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns import compute_score
from reward_fns.mrpv import Reason
from reward_fns.symbolic import BUDGET_SECONDS

GUIDED, UNGUIDED = "realm/math/guided", "realm/math"
RIGHT_ROUTE = {
    "steps": ["16-7=9", "9*2=18"],
    "answer": "18",
    "label": True,
    "sound": None,
    "first_error": None,
    "source": "a",
}
WRONG_ROUTE = {
    "steps": ["16-7=9", "9*2=20", "so 20"],
    "answer": "20",
    "label": False,
    "sound": False,
    "first_error": 1,
    "source": "b",
}
INFO: dict[str, Any] = {"routes": [RIGHT_ROUTE, WRONG_ROUTE], "shown": [1, 0], "exposure": 0.5, "uid": "x"}
PERFECT = "<think> so </think>\n<verdicts>\n1: wrong at 2\n2: right\n</verdicts>\n<answer> $18.00 </answer>"
KEYS = {
    "score",
    "acc",
    "outcome",
    "verdict",
    "decisive",
    "raw_verdict",
    "raw_decisive",
    "format",
    "consistent",
    "guided",
    "has_verdict",
    "has_decisive",
    "exposure",
    "n_shown",
    "n_disputed",
    "first_errors",
    "first_errors_named",
    "first_errors_guessed",
    "right_judged_right",
    "right_judged_wrong",
    "wrong_judged_right",
    "wrong_judged_wrong",
    "reason",
    "timeout",
    "response_chars",
    "pred",
}


def check_shape(result: dict[str, float | int | str]) -> None:
    assert set(result) == KEYS and "reward" not in result
    for key, value in result.items():
        if key == "pred":
            assert isinstance(value, str)
            value.encode("utf-8")
        else:
            assert type(value) in (int, float) and math.isfinite(float(value))


def test_perfect_guided_response() -> None:
    result = compute_score(GUIDED, PERFECT, "18", INFO)
    check_shape(result)
    assert result["score"] == pytest.approx(1.45)
    assert result["pred"] == "$18.00" and result["reason"] == Reason.RIGHT
    assert (result["guided"], result["has_verdict"], result["has_decisive"]) == (1, 1, 1)
    assert (result["exposure"], result["n_shown"], result["consistent"]) == (0.5, 2, 1.0)


def test_score_is_the_weighted_sum_of_the_keys() -> None:
    result = compute_score(
        GUIDED, PERFECT, "18", INFO, w_outcome=3, w_verdict=0.5, w_decisive=0.25, w_format=0.125
    )
    assert result["score"] == pytest.approx(3.875)


def test_numpy_row_scores_the_same() -> None:
    routes: Any = np.empty(2, dtype=object)
    routes[:] = [
        RIGHT_ROUTE | {"steps": np.array(RIGHT_ROUTE["steps"], dtype=object), "first_error": np.nan},
        WRONG_ROUTE | {"label": np.bool_(False), "first_error": np.int64(1)},
    ]
    info = {"routes": routes, "shown": np.array([1, 0]), "exposure": np.float32(0.5)}
    assert compute_score(GUIDED, PERFECT, "18", info) == compute_score(GUIDED, PERFECT, "18", INFO)


@pytest.mark.parametrize(
    "info", [None, {}, {"routes": [RIGHT_ROUTE]}, {"routes": [RIGHT_ROUTE], "shown": []}]
)
def test_unguided(info: dict[str, Any] | None) -> None:
    result = compute_score(UNGUIDED, "<answer> 18 </answer>", "18", info)
    check_shape(result)
    assert result["score"] == pytest.approx(1.05)
    assert (result["guided"], result["has_verdict"], result["has_decisive"], result["verdict"]) == (
        0,
        0,
        0,
        0,
    )
    judged = compute_score(UNGUIDED, PERFECT, "18", info)
    assert (judged["outcome"], judged["format"], judged["verdict"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "info", [{"shown": [0]}, {"routes": ["x"], "shown": [0]}, {"routes": [RIGHT_ROUTE], "shown": "0"}]
)
def test_bad_row_is_said_and_scored_unguided(info: dict[str, Any]) -> None:
    result = compute_score(UNGUIDED, "<answer> 18 </answer>", "18", info)
    assert (result["reason"], result["guided"], result["outcome"]) == (Reason.BAD_ROW, 0, 1.0)


@pytest.mark.parametrize("opened", [True, np.bool_(True), 1])
def test_thinking_that_the_prompt_opened_never_counts(opened: Any) -> None:
    cut = "First guess: <answer> 18 </answer>. Hmm, let me verify by"
    result = compute_score(UNGUIDED, cut, "18", {"thinking_opened": opened})
    assert (result["acc"], result["format"], result["reason"]) == (0, 0, Reason.NO_ANSWER)
    closed = compute_score(UNGUIDED, "so </think>\n<answer> 18 </answer>", "18", {"thinking_opened": opened})
    assert (closed["acc"], closed["format"]) == (1, 1)


@pytest.mark.parametrize("info", [None, {}, *({"thinking_opened": no} for no in (False, None, float("nan")))])
def test_nobody_said_that_the_prompt_opened_it(info: dict[str, Any] | None) -> None:
    assert compute_score(UNGUIDED, "<answer> 18 </answer>", "18", info)["acc"] == 1


def test_unknown_domain_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown domain 'cooking'; known are .*math"):
        compute_score("realm/cooking", "x", "18")
    with pytest.raises(ValueError, match="names no domain"):
        compute_score("mine", "x", "18")


def test_a_wrong_answer_never_outranks_a_right_one_here() -> None:
    best_wrong = max(
        compute_score(GUIDED, PERFECT.replace("$18.00", answer), "18", INFO)["score"]
        for answer in ("19", "20")
    )
    worst_right = compute_score(
        GUIDED, "x <verdicts>\n1: right\n2: wrong at 9\n</verdicts><answer>18</answer>", "18", INFO
    )
    assert worst_right["outcome"] == 1.0
    assert isinstance(best_wrong, float) and isinstance(worst_right["score"], float)
    assert best_wrong < worst_right["score"]


HOSTILE = {
    "a million characters": "<answer>" + "x" * 1_000_000,
    "nested braces": "<answer>" + "\\boxed{" * 40_000 + "}" * 40_000 + "</answer>",
    "open braces": "<answer>" + "\\boxed{" * 50_000 + "</answer>",
    "tower": "<answer> 9**9**9 </answer>",
    "power": "<answer> 9^{9^{9}} </answer>",
    "huge exponent": "<answer> 1e999999999 </answer>",
    "exponent": "<answer> 1e9999 </answer>",
    "ten power": "<answer> 10^{9999} </answer>",
    "factorial": "<answer> 999999999! </answer>",
    "many digits": "<answer> " + "9" * 290 + " </answer>",
    "too many digits": "<answer> " + "9" * 300_000 + " </answer>",
    "zero denominator": "<answer> \\frac{1}{0} </answer>",
    "half a surrogate": "<answer> \ud800 </answer>",
    "right to left": "<answer> \u202e81 </answer>",
    "null": "<answer> \x00 </answer>",
    "tags": "<answer></answer>" * 20_000,
    "open tags": "<answer>" * 40_000,
    "think tags": "<think></think>" * 20_000,
    "verdict lines": "<verdicts>\n" + "1: right\n" * 30_000 + "</verdicts>",
    "nested sets": "<answer>" + "\\{" * 120 + "1" + "\\}" * 120 + "</answer>",
    "wide sets": "<answer>\\{" + ",".join("(1,2)" for _ in range(30)) + "\\}</answer>",
    "spaces": "<answer>" + " " * 390_000 + "</answer>",
    "marks": "<answer>" + "#### 1\n" * 50_000 + "</answer>",
    "said": "<answer>" + "the answer is " * 25_000 + "</answer>",
}


@pytest.mark.parametrize("gold", ["18", "\\{(1,2),(1,3)\\}"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_answered_soon(name: str, gold: str) -> None:
    started = time.perf_counter()
    result = compute_score(GUIDED, HOSTILE[name], gold, INFO)
    assert time.perf_counter() - started < BUDGET_SECONDS + 0.5
    check_shape(result)
    assert result["outcome"] == 0.0


pieces = st.sampled_from(
    [
        *"0123456789.,-+/%$^{}()[]=",
        "\\frac",
        "\\boxed{",
        "<answer>",
        "</answer>",
        "<verdicts>\n",
        "\n",
        "1: right",
    ]
)


@given(
    st.lists(pieces | st.characters(exclude_categories=()), max_size=40).map("".join), st.text(max_size=10)
)
def test_any_text_is_answered(text: str, gold: str) -> None:
    check_shape(compute_score(GUIDED, text, gold, INFO))
    check_shape(compute_score(GUIDED, f"<answer>{text}</answer>", gold, INFO))


def test_threads() -> None:
    results: list[dict[str, float | int | str]] = []
    threads = [
        threading.Thread(target=lambda: results.append(compute_score(GUIDED, PERFECT, "18", INFO)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(results) == 16 and all(result == results[0] for result in results)
