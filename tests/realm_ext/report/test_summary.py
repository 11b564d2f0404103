"""What is said about a run: comparisons, the headline, numbers as text."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from realm_ext.report.reading import Evaluation, Run, Stage
from realm_ext.report.scalars import Series
from realm_ext.report.summary import (
    duration,
    interval_of,
    percent_interval,
    points_interval,
    summarize,
)
from realm_ext.results.statistics import Interval, p_text


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
    assert found.headline.endswith("more than noise. One training run.")
    # Holm over the two differences: 12 gained, none lost: 2 / 2**12; 1 gained: 1
    assert [c.found.p_value for c in found.comparisons] == pytest.approx([2 / 2**12, 1.0])
    assert [c.adjusted for c in found.comparisons] == pytest.approx([4 / 2**12, 1.0])
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
    assert "RL round 1, what followed RL round 1, RL round 2: +30.0 points" in headline
    assert f"The control, plain GRPO, {said}" in headline


def test_a_loss_is_called_worse() -> None:
    found = summarize(run_of(evaluation("sft", answers(30)), evaluation("rl", answers(10))))
    assert found.comparisons[0].reading == "worse"
    assert "-50.0 points" in found.headline


def series(*points: tuple[int, float], starts: tuple[int, ...] = ()) -> Series:
    steps, values = zip(*points, strict=True)
    return Series(steps, values, starts)


UNGUIDED, GUIDED = "realm/val/unguided_acc", "realm/val/guided_acc"
TWO_ROUNDS = {
    UNGUIDED: series((0, 0.58), (10, 0.64), (20, 0.707), (20, 0.873), (30, 0.9), (40, 0.92), starts=(3,)),
    GUIDED: series((0, 0.85), (10, 0.86), (20, 0.88), (20, 0.91), (30, 0.9), (40, 0.92), starts=(3,)),
}
STAGES = tuple(Stage(name, 1.0, "done", {}) for name in ("rl_round1", "harvest_round1", "sft_round1", "rl"))


def two_rounds(log: Mapping[str, Series] = TWO_ROUNDS, stages: tuple[Stage, ...] = STAGES) -> Run:
    evaluations = evaluation("sft", answers(62, 100)), evaluation("rl", answers(88, 100))
    return Run("demo", log, {}, evaluations, stages, (), None, (20,))


def test_each_stage_is_credited_with_what_it_brought() -> None:
    """Of 34 points on the validation questions SFT on harvested chains brought the half."""
    found = summarize(two_rounds())
    stages = [(g.stage, g.change and round(100 * g.change, 1), g.guided) for g in found.gains]
    assert stages == [
        ("before RL", None, 0.85),
        ("RL round 1", 12.7, 0.88),
        ("SFT on harvested chains", 16.6, 0.91),
        ("RL round 2", 4.7, 0.92),
    ]
    assert found.headline.startswith(
        "Unguided accuracy went from 62.0% after SFT to 88.0% at the end of RL round 1, SFT on harvested chains, "
        "RL round 2: +26.0 points (95% "
    )
    assert found.headline.endswith(
        "One training run. On the validation questions it was 58.0% before RL; points since: RL round 1 +12.7, "
        "SFT on harvested chains +16.6, RL round 2 +4.7."
    )
    assert "after RL:" not in found.headline


def test_stages_without_a_name_or_a_validation_of_their_own() -> None:
    nameless = summarize(two_rounds(stages=()))
    assert [g.stage for g in nameless.gains][2] == "what followed RL round 1"
    assert "RL round 1, what followed RL round 1, RL round 2" in nameless.headline
    log = {UNGUIDED: series((0, 0.5), (20, 0.6), (40, 0.9), starts=(2,))}
    merged = summarize(two_rounds(log)).gains
    assert [(g.stage, g.guided) for g in merged] == [
        ("before RL", None),
        ("RL round 1", None),
        ("SFT on harvested chains, RL round 2", None),
    ]
    assert merged[2].change == pytest.approx(0.3)
    late = {UNGUIDED: series((10, 0.5), (20, 0.6), (20, 0.7), (40, 0.9), starts=(2,))}
    first, *rest = summarize(two_rounds(late)).gains
    assert (first.stage, first.unguided, first.change) == ("RL round 1", 0.6, None)
    assert "it was 60.0% after RL round 1; points since" in summarize(two_rounds(late)).headline
    assert len(rest) == 2
    unknown = Run("demo", {UNGUIDED: series((0, 0.5), (20, 0.6))}, {}, (), STAGES, (), None, (20,))
    assert summarize(unknown).gains == (), "a round has no validation: which?"


def test_one_round_of_rl_is_rl() -> None:
    run = Run("demo", {UNGUIDED: series((0, 0.5), (40, 0.7))}, {}, two_rounds().evaluations, (), ())
    found = summarize(run)
    assert [(g.stage, g.change) for g in found.gains] == [("before RL", None), ("RL", pytest.approx(0.2))]
    assert "to 88.0% after RL: +26.0 points" in found.headline
    assert found.headline.endswith("One training run."), "one stage needs no list"


def test_what_was_not_evaluated_is_named() -> None:
    found = summarize(run_of(evaluation("sft", answers(20))))
    assert found.headline == (
        "Unguided accuracy after RL was not compared with that after SFT: no unguided evaluation in eval/rl."
    )


def test_other_questions_are_not_compared() -> None:
    other = {f"other {key}": value for key, value in answers(20).items()}
    found = summarize(run_of(evaluation("sft", other), evaluation("rl", answers(32))))
    assert found.comparisons == ()
    assert "no question in common" in found.notes[-1]
    assert "not compared" in found.headline


def test_questions_in_common_are_counted() -> None:
    found = summarize(run_of(evaluation("sft", answers(20, n=30)), evaluation("rl", answers(32))))
    assert found.comparisons[0].n == 30
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
