"""The section of docs/results.md from made-up rows: what is compared, chosen on dev, corrected and said to be missed."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.study.plan import FIRST, read_study
from benchmarks.study.report import BEGIN, END, collect, comparator, dev, differences, section, write
from benchmarks.study.rows import Row, pack, read_rows

STUDY = replace(read_study(), analysis=replace(read_study().analysis, samples=400, accuracy=0.7))
SHARES = {
    "vote": 0.42,
    "sft": 0.5,
    "rft": 0.52,
    "grpo": 0.60,
    "hints": 0.62,
    "mismatched": 0.58,
    "realm": 0.7,
}


def row(arm: str, seed: int, share: float, dev_end: float | None = None) -> Row:
    rng = random.Random(f"{arm}{seed}")
    regimes = ("guided",) if arm == "vote" else ("unguided", "guided")
    scores = {regime: [float(rng.random() < share) for _ in range(300)] for regime in regimes}
    trained = STUDY.arms[arm].train and not STUDY.arms[arm].vote
    return Row(
        arm=arm,
        seed=seed,
        config_hash=STUDY.config_hash(STUDY.arms[arm]),
        commit="0123456789abcdef",
        machine="2 cores",
        versions={},
        seconds={},
        steps=40 if trained else 0,
        rollouts=5120 if trained else 0,
        tokens={"prompt": 1000, "response": 500} if trained else {"prompt": 0, "response": 0},
        metrics={regime: {"acc": sum(s) / 300, "format": 1.0} for regime, s in scores.items()},
        arithmetic=None if arm == "vote" else 0.9,
        curve=[[0, 0.5, 0.5], [40, dev_end or share, share]] if trained else [],
        correct={regime: pack(s) for regime, s in scores.items()},
        questions=300,
    )


ROWS = [row(arm, seed, share) for arm, share in SHARES.items() for seed in (0, 1, 2)]


def test_the_comparator_is_chosen_on_dev_and_not_on_the_test() -> None:
    assert comparator(collect(STUDY, ROWS)) == "hints"
    better = [row("grpo", seed, SHARES["grpo"], dev_end=0.9) for seed in (0, 1, 2)]
    others = [r for r in ROWS if r.arm != "grpo"]
    assert comparator(collect(STUDY, others + better)) == "grpo"
    assert comparator(collect(STUDY, [])) is None


def test_an_untrained_arms_dev_is_the_first_validation_of_those_who_go_on_from_it() -> None:
    results = collect(STUDY, ROWS)
    assert dev(results, "rft") == 0.5  # all of them start there
    assert dev(results, "sft") is None  # nobody does
    assert dev(collect(STUDY, [r for r in ROWS if r.arm == "rft"]), "rft") is None


def test_differences_are_against_every_arm_and_regime_there_is() -> None:
    found = differences(collect(STUDY, ROWS))
    assert {name for name, _ in found} == set(SHARES) - {"realm"}
    assert ("vote", "unguided") not in found
    assert found["sft", "unguided"].value == pytest.approx(0.2, abs=0.06)


def test_one_seed_is_marked_and_corrected_apart() -> None:
    lonely = [r for r in ROWS if r.arm != "hints" or r.seed == 0]
    text = section(collect(STUDY, lonely))
    (accuracy,) = [
        line
        for line in text.splitlines()
        if line.startswith("| hints | 1 | one training run: questions only |")
    ]
    assert " to " in accuracy
    (difference,) = [line for line in text.splitlines() if line.startswith("| hints | unguided | +")]
    assert "| one training run: questions only |" in difference
    found = differences(collect(STUDY, lonely))
    assert (found["hints", "unguided"].test, found["sft", "unguided"].test) == ("McNemar", "t")
    assert "one training run: questions only" not in section(collect(STUDY, ROWS))


def test_the_first_errors_named_stand_beside_the_best_guess_of_them() -> None:
    def of(arm: str, guided: dict[str, float]) -> Row:
        made = row(arm, 0, 0.6)
        return replace(made, metrics={**made.metrics, "guided": {**made.metrics["guided"], **guided}})

    text = section(
        collect(
            STUDY,
            [
                of("sft", {"first_error_acc": 0.5}),
                of("grpo", {"first_error_acc": 0.5, "first_error_guess": 0.625}),
            ],
        )
    )
    table = text.partition("Slices")[2]
    heading, _, sft, grpo = ([c.strip() for c in line.split("|")] for line in table.splitlines()[2:6])
    assert sft[1] == "sft (one training run)"
    place = heading.index("first_error_acc")
    assert heading[place + 1] == "best guess of it by length"
    assert sft[place : place + 2] == ["0.500", "not known"]
    assert grpo[place : place + 2] == ["0.500", "0.625"]


def test_an_arm_with_a_counterpart_of_its_own_is_compared_with_that_one_alone() -> None:
    results = collect(STUDY, [*ROWS, *(row("rules_never", seed, 0.3) for seed in (0, 1, 2))])
    assert "rules_never" not in {name for name, _ in differences(results)}
    text = section(results)
    assert (
        "| rules_never minus sft | unguided | -" in text and "| realm minus" not in text.partition("Pairs")[2]
    )
    assert "Pairs" not in section(collect(STUDY, ROWS))


def test_the_section_says_targets_and_what_is_missing() -> None:
    text = section(collect(STUDY, [*ROWS, replace(ROWS[0], config_hash="old")]))
    assert "commits 01234567, machine class 2 cores" in text
    assert "Primary comparator, the best on dev: hints." in text and "| primary |" in text
    assert "| hints | 5,120 | 1,500 |" in text
    assert "- unguided, over hints:" in text and "target +2.6: met" in text
    assert "- unguided, over mismatched:" in text and "- guided, over vote:" in text
    assert "end of the fade: +0.0 points, target -1.0: met" in text
    assert "- arithmetic, minus rft: +0.0 points, target -1.0: met." in text
    assert "left out: 1." in text
    assert "Arms without a row so far: grpo_rft, grpo_tokens" in text
    worse = [row("realm", seed, 0.55) for seed in (0, 1, 2)]
    text = section(collect(STUDY, [r for r in ROWS if r.arm != "realm"] + worse))
    assert "target +2.6: missed" in text


def test_rollouts_saved_count_a_seed_that_never_got_there_with_all_it_had() -> None:
    def stated(rows: list[Row]) -> str:
        (line,) = [x for x in section(collect(STUDY, rows)).splitlines() if "rollouts of grpo over" in x]
        return line.partition("realm's to 70%: ")[2]

    ours = [row("realm", seed, 0.7, dev_end=0.9) for seed in (0, 1)]
    slow = [row("grpo", seed, 0.6, dev_end=0.7) for seed in (0, 1)]
    counted = "seeds that never got there, which count with all they had: "
    assert stated(ours + slow) == f"2.00, target 1.5: met; {counted}none."
    never = [row("grpo", seed, 0.6) for seed in (0, 1)]
    assert stated(ours + never) == f"2.00, target 1.5: met; {counted}2 of grpo."
    assert "| not reached |" in section(collect(STUDY, ours + never))
    lost = [*ours[:1], row("realm", 1, 0.6)]
    assert stated(lost + never) == f"1.33, target 1.5: missed; {counted}2 of grpo and 1 of realm."
    assert stated(lost + [row("grpo", 0, 0.6), row("grpo", 5, 0.6)]).startswith("2.00"), "common seeds alone"
    assert "rollouts of grpo" not in section(collect(STUDY, lost)), "nothing to hold it against"


def test_arms_in_two_rounds_say_what_the_sft_between_brought() -> None:
    curve = [[0, 0.5, 0.9], [10, 0.5, 0.9], [20, 0.55, 0.9], [20, 0.75, 0.9], [40, 0.8, 0.9]]
    rounds = [replace(row("realm", seed, 0.7), curve=curve) for seed in (0, 1)]
    text = section(collect(STUDY, [*rounds, row("grpo", 0, 0.6)]))
    assert "| realm | 2 | 50.0% | 55.0% | 75.0% | 80.0% |" in text
    assert "| grpo | 1 | 50.0%" not in text, "one round"
    assert "Unguided accuracy on dev of the arms" not in section(collect(STUDY, ROWS))


def test_no_rows_is_said() -> None:
    assert "make study" in section(collect(STUDY, []))


def test_written_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write("new", page)
    write("newer", page)
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="lacks the marks"):
        write("new", page)


def test_the_first_plan_keeps_its_rows_and_its_arms() -> None:
    """Its rows are of exactly its file: what failed stays in the table."""
    first = collect(read_study(FIRST / "study.yaml"), read_rows(FIRST / "rows"))
    assert first.left_out == 0
    assert comparator(first) == "grpo"
    assert "- unguided, over grpo: -7.0 points, target +2.6: missed." in section(
        first, "benchmarks/study/first/rows"
    )
