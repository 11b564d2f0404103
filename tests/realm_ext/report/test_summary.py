"""What is said about a run: comparisons, the headline, numbers as text."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from realm_ext.report.reading import Evaluation, Run
from realm_ext.report.stats import Interval
from realm_ext.report.summary import (
    duration,
    interval_of,
    p_text,
    percent_interval,
    points_interval,
    summarize,
)


def evaluation(checkpoint: str, scores: Mapping[str, float], regime: str = "unguided") -> Evaluation:
    accuracy = sum(scores.values()) / len(scores) if scores else 0.5
    return Evaluation(checkpoint, "realm_x", regime, accuracy, len(scores) or None, None, scores)


def run_of(*evaluations: Evaluation) -> Run:
    return Run("demo", {}, {}, evaluations, (), ("a note of reading",))


def answers(right: int, n: int = 40) -> dict[str, float]:
    return {f"q{i}": float(i < right) for i in range(n)}


def test_rl_is_compared_with_sft_and_with_grpo() -> None:
    found = summarize(
        run_of(evaluation("sft", answers(20)), evaluation("rl", answers(32)), evaluation("grpo", answers(31)))
    )
    assert [(c.after, c.before, c.reading) for c in found.comparisons] == [
        ("rl", "sft", "better"),
        ("rl", "grpo", "within noise"),
    ]
    assert found.headline.startswith(
        "Unguided accuracy went from 50.0% after SFT to 80.0% after RL: +30.0 points"
    )
    assert found.headline.endswith("more than noise.")
    assert found.notes == ("a note of reading",)


@pytest.mark.parametrize(
    ("control_ends", "said"),
    [
        ((20,), "had as many rounds, and the same SFT on its own right chains."),
        ((), "had 1 of 2 rounds: RL - GRPO counts the SFT between rounds for RL."),
    ],
)
def test_rounds_are_named_and_what_the_control_had_of_them(control_ends: tuple[int, ...], said: str) -> None:
    run = run_of(
        evaluation("sft", answers(20)), evaluation("rl", answers(32)), evaluation("grpo", answers(31))
    )
    headline = summarize(replace(run, round_ends=(20,), grpo_round_ends=control_ends)).headline
    assert "after RL in 2 rounds, with SFT on its own right chains between them: +30.0 points" in headline
    assert headline.endswith(f"The control, plain GRPO, {said}")


def test_a_loss_is_called_worse() -> None:
    found = summarize(run_of(evaluation("sft", answers(30)), evaluation("rl", answers(10))))
    assert found.comparisons[0].reading == "worse"
    assert "-50.0 points" in found.headline


def test_other_questions_are_not_compared() -> None:
    other = {f"other {key}": value for key, value in answers(20).items()}
    found = summarize(run_of(evaluation("sft", other), evaluation("rl", answers(32))))
    assert found.comparisons == ()
    assert "no question in common" in found.notes[-1]
    assert "not compared" in found.headline


def test_questions_in_common_are_counted() -> None:
    found = summarize(run_of(evaluation("sft", answers(20, n=30)), evaluation("rl", answers(32))))
    assert found.comparisons[0].paired.n == 30
    assert "on the 30 questions in common, of 40" in found.notes[-1]


def test_without_samples_there_is_no_comparison() -> None:
    assert summarize(run_of(evaluation("sft", {}), evaluation("rl", answers(3)))).comparisons == ()


def test_an_interval_needs_n_or_a_standard_error() -> None:
    assert interval_of(Evaluation("rl", "t", "guided", 0.5, None, None, {})) is None
    interval = interval_of(Evaluation("rl", "t", "guided", 0.5, None, 0.1, {}))
    assert interval is not None and interval.low == pytest.approx(0.304, abs=1e-3)
    assert percent_interval(None) == points_interval(None) == "-"
    assert points_interval(Interval(-0.012, 0.05)) == "-1.2 to +5.0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3780, "1 h 03 min"),
    ],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_p_value_is_never_0() -> None:
    assert p_text(1e-30) == "< 0.0001"
    assert p_text(0.0312) == "0.031"
