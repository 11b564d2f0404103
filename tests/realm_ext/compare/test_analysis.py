"""Differences, gaps, parts and refusals, on runs small enough to check by hand."""

from pathlib import Path
from typing import Any

import pytest

from realm_ext.compare.analysis import compare_runs
from realm_ext.compare.comparison import Comparison
from realm_ext.compare.differences import Options, adjust, blank
from realm_ext.compare.reading import read_runs
from tests.realm_ext.compare.conftest import Writer, scored

ROUNDS = 2000


@pytest.fixture
def compare(tmp_path: Path, write_run: Writer) -> Any:
    """Compare runs given as mappings of tasks to samples."""

    def compared(
        runs: dict[str, dict[str, Any]], more: dict[str, dict[str, Any]] | None = None, **options: Any
    ) -> Comparison:
        for name, tasks in runs.items():
            write_run(tmp_path / name, tasks, **(more or {}).get(name, {}))
        found = read_runs([str(tmp_path / name) for name in runs])
        comparison = compare_runs(found.runs, Options(rounds=ROUNDS, **options))
        comparison.notes[:0] = found.notes
        return comparison

    return compared


def test_a_clear_difference_and_noise(compare: Any) -> None:
    """20 of 100 gained, none lost: exact p = 2 / 2**20; and 3 gained, 2 lost of 100: p = 1."""
    sft, rl, same = [1.0] * 40 + [0.0] * 60, [1.0] * 60 + [0.0] * 40, [1.0] * 38 + [0.0] * 59 + [1.0] * 3
    found = compare({n: {"t": scored(v)} for n, v in (("sft", sft), ("rl", rl), ("same", same))})
    clear, noise = found.differences
    assert (clear.after, clear.before, clear.n, clear.test) == ("rl", "sft", 100, "McNemar")
    assert clear.difference == pytest.approx(0.2)
    assert (clear.gained, clear.lost, clear.p_value) == (20, 0, pytest.approx(2 / 2**20))
    assert clear.adjusted == pytest.approx(2 * clear.p_value)  # Holm, two comparisons
    assert clear.interval is not None
    # the bootstrap of a share of 0.2: 0.2 -+ 1.96 * sqrt(0.16 / 100)
    assert clear.interval.low == pytest.approx(0.2 - 1.96 * 0.04, abs=0.015)
    assert clear.interval.high == pytest.approx(0.2 + 1.96 * 0.04, abs=0.015)
    assert clear.reading == "better"
    assert (noise.gained, noise.lost, noise.reading) == (3, 2, "within noise")


def test_lower_is_better_where_lm_eval_says_so(compare: Any) -> None:
    runs = {"a": {"t": scored([1.0] * 30, "malformed")}, "b": {"t": scored([0.0] * 30, "malformed")}}
    (difference,) = compare(runs).differences
    assert difference.reading == "better"


def test_a_metric_has_a_direction_only_where_the_task_declares_one(compare: Any) -> None:
    runs = {"a": {"t": scored([0.0] * 30)}, "b": {"t": scored([1.0] * 30)}}
    for declared in ({"t": {"acc": None}}, {}):
        more = {name: {"higher_is_better": declared} for name in runs}
        (difference,) = compare(runs, more).differences
        assert difference.reading == "higher"
    # gold follows rules that the prompt does not show: results of before the task declared it too
    hidden = {name: {"realm_changed_rule_hidden": rows["t"]} for name, rows in runs.items()}
    (difference,) = compare(hidden).differences
    assert difference.reading == "higher"


def test_repeats_are_tested_by_swaps(compare: Any) -> None:
    """Scores that are means over repeats: no McNemar; one direction in all 12 documents has p near 2 / 2**12."""
    runs = {"a": {"t": scored([0.25] * 12)}, "b": {"t": scored([0.5, 0.75] * 6)}}
    (difference,) = compare(runs).differences
    assert difference.test == "swap"
    assert 1 / (ROUNDS + 1) <= difference.p_value < 0.005
    assert difference.reading == "better"


def test_all_pairs_and_holm_over_the_pairs_of_a_metric(compare: Any) -> None:
    runs = {
        name: {"t": scored([1.0] * k + [0.0] * (40 - k))} for name, k in (("a", 10), ("b", 16), ("c", 30))
    }
    found = compare(runs, all_pairs=True)
    assert [(d.after, d.before) for d in found.differences] == [("b", "a"), ("c", "a"), ("c", "b")]
    p = [d.p_value for d in found.differences]
    assert p == pytest.approx([2 / 2**6, 2 / 2**20, 2 / 2**14])
    assert [d.adjusted for d in found.differences] == pytest.approx([p[0], 3 * p[1], 2 * p[2]])


def test_holm_keeps_metrics_apart() -> None:
    one = [blank("t", "none", "b", "a"), blank("t", "strict", "b", "a")]
    assert [d.adjusted for d in adjust(one)] == [1.0, 1.0]


def test_different_documents_are_refused_unless_partial_is_allowed(compare: Any) -> None:
    runs = {"a": {"t": scored([1, 0, 1])}, "b": {"t": scored([1, 1, 1, 0])[1:]}}
    found = compare(runs)
    assert found.differences == []
    (refused,) = found.refused
    assert refused == (
        "b and a on t: different documents, 1 only in the first, 1 only in the second, 2 in both; "
        "--allow-partial compares those in both"
    )
    partial = compare(runs, allow_partial=True)
    assert partial.refused == []
    assert partial.differences[0].n == 2
    assert "b and a on t: compared on the 2 documents in both, 2 left out" in partial.notes
    apart = compare({"a": {"t": scored([1])}, "b": {"t": scored([1, 1])[1:]}}, allow_partial=True)
    assert "there is nothing to compare" in apart.refused[0]


def test_versions_must_agree(compare: Any) -> None:
    found = compare(
        {"a": {"t": scored([1, 0])}, "b": {"t": scored([1, 1])}}, {"b": {"version": 2.0}}, allow_partial=True
    )
    assert found.differences == [] and found.changes == []
    assert found.refused == ["b and a on t: versions 2.0 and 1.0 of the task; evaluate both with one version"]
    assert found.versions == {"t": "1.0, 2.0"}


def test_without_samples_the_difference_is_unpaired(compare: Any) -> None:
    runs = {"a": {"t": scored([1.0, 0.0] * 10)}, "b": {"t": scored([1.0] * 20)}}
    found = compare(runs, {"b": {"samples": False}})
    (difference,) = found.differences
    assert (difference.test, difference.n, difference.difference) == ("unpaired", None, 0.5)
    assert difference.interval is not None
    assert difference.interval.low == pytest.approx(0.5 - 1.96 * (2 * 0.05**2) ** 0.5, abs=1e-3)
    assert difference.reading == "better"
    unpaired = next(s for s in found.scores if s.run == "b")
    assert unpaired.interval is not None and unpaired.interval.low == pytest.approx(1 - 1.96 * 0.05, abs=1e-3)


def test_the_gap_pairs_guided_and_unguided_questions_by_uid(compare: Any) -> None:
    guided = [{**row, "hash": f"other{i}"} for i, row in enumerate(scored([1.0] * 16 + [0.0] * 4))]
    runs = {"rl": {"t": scored([1.0] * 4 + [0.0] * 16), "t_guided": guided[::-1]}}
    (gap,) = compare(runs).gaps
    assert (gap.task, gap.n, gap.gained, gap.lost) == ("t", 20, 12, 0)
    assert gap.values == pytest.approx((0.8, 0.2))
    assert gap.reading == "better"


def test_parts_by_rule_and_label(compare: Any) -> None:
    def rows(good: str) -> list[dict[str, Any]]:
        return [
            {"uid": f"u{i}", "rule": rule, "gold": gold, "scores": {"acc": float(rule == good)}}
            for i, (rule, gold) in enumerate([("R1", "A"), ("R2", "B")] * 10)
        ]

    found = compare({"a": {"t": rows("R1")}, "b": {"t": rows("R2")}})
    assert [(p.run, p.kind, p.name, p.n, p.value) for p in found.parts[:4]] == [
        ("a", "rule", "R1", 10, 1.0),
        ("a", "rule", "R2", 10, 0.0),
        ("a", "label", "A", 10, 1.0),
        ("a", "label", "B", 10, 0.0),
    ]
    by_part = {d.part: (d.difference, d.reading) for d in found.part_differences}
    assert by_part["rule R1"] == (-1.0, "worse")
    assert by_part["label B"] == (1.0, "better")


def test_free_answers_are_no_labels(compare: Any) -> None:
    rows = [{**row, "gold": str(i)} for i, row in enumerate(scored([1.0] * 40))]
    assert compare({"a": {"t": rows}}).parts == []


def test_changes_take_turns_and_the_largest_come_first(compare: Any) -> None:
    before, after = [0.0] * 12 + [1.0] * 3 + [0.5], [1.0] * 12 + [0.0] * 3 + [0.6]
    found = compare({"a": {"t": scored(before)}, "b": {"t": scored(after)}})
    assert len(found.changes) == 10
    assert [c.sample.uid for c in found.changes[:6]] == ["u12", "u0", "u13", "u1", "u14", "u2"]
    assert found.changes[0].scores == (0.0, 1.0)


def test_what_a_comparison_needs_alike_is_noted(compare: Any) -> None:
    other = {"b": {"n-shot": {"t": 5}, "chat_template": "x"}}
    rows = scored([1, 0], prompt_hash="q")
    found = compare({"a": {"t": scored([1, 0])}, "b": {"t": rows}}, other)
    assert "b and a on t: few-shot examples differ, 5 and 0" in found.notes
    assert "b and a on t: chat template differ, yes and no" in found.notes
    assert "b and a on t: 2 of 2 prompts differ (template or examples)" in found.notes


def test_samples_that_do_not_give_the_reported_figure_are_noted(compare: Any) -> None:
    found = compare({"a": {"t": scored([1, 0])}}, {"a": {"results": {"t": {"acc,none": 0.75}}}})
    assert found.notes[0].startswith("a: t acc is 0.75 in the results and 0.5 from the samples")
    (score,) = found.scores
    assert score.value == 0.75


def test_metrics_are_chosen_by_name(compare: Any) -> None:
    rows = [{"uid": str(i), "scores": {"acc": 1.0, "format": float(i % 2)}} for i in range(4)]
    found = compare({"a": {"t": rows}, "b": {"t": rows}}, metrics=("format",))
    assert [d.metric for d in found.differences] == ["format"]
    with pytest.raises(ValueError, match="no task has the metric f1; there are acc, format"):
        compare({"a": {"t": rows}}, metrics=("f1",))


def test_lm_eval_s_filters_are_compared_each_by_itself(compare: Any) -> None:
    def rows(strict: float, flexible: float) -> list[dict[str, Any]]:
        return [
            *scored([strict] * 10, "exact_match", filter="strict-match"),
            *scored([flexible] * 10, "exact_match", filter="flexible-extract"),
        ]

    found = compare({"a": {"gsm8k": rows(0, 1)}, "b": {"gsm8k": rows(1, 1)}})
    assert {d.filter: d.difference for d in found.differences} == {
        "strict-match": 1.0,
        "flexible-extract": 0.0,
    }


def test_one_document_and_identical_runs_are_within_noise(compare: Any) -> None:
    (one,) = compare({"a": {"t": scored([0])}, "b": {"t": scored([1])}}).differences
    assert (one.interval, one.reading) == (None, "within noise")
    (same,) = compare({"a": {"t": scored([0, 1])}, "b": {"t": scored([0, 1])}}).differences
    assert (same.difference, same.p_value, same.reading) == (0.0, 1.0, "within noise")


def test_the_same_seed_gives_the_same_figures(compare: Any) -> None:
    runs = {"a": {"t": scored([0.1, 0.5, 0.9] * 9)}, "b": {"t": scored([0.2, 0.4, 1.0] * 9)}}
    assert compare(runs, seed=1).differences == compare(runs, seed=1).differences
    assert compare(runs, seed=1).differences != compare(runs, seed=2).differences
