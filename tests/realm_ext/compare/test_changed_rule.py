"""What a model does whose rules changed: rules shown and hidden paired within a checkpoint, by edit, and in words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from realm_ext.compare.analysis import compare_runs
from realm_ext.compare.changed_rule import HIDDEN, METRICS, SHOWN, by_checkpoint, reading_of, title_of_edit
from realm_ext.compare.comparison import Comparison
from realm_ext.compare.differences import Difference, Options, blank
from realm_ext.compare.plots import draw_all
from realm_ext.compare.reading import read_runs
from realm_ext.compare.tables import make_tables, sentences
from realm_ext.results.statistics import Interval
from tests.realm_ext.compare.conftest import Writer

KIND = 20  # questions of each edit that it affects, and as many that it leaves alone
READS = {"price_gap": (15, 3, 18), "odd": (15, 3, 18)}
RECITES = {"price_gap": (2, 16, 18), "odd": (2, 16, 18)}
Answers = dict[str, tuple[int, int, int]]


def rows(answers: Answers) -> list[dict[str, Any]]:
    """Samples of one task: for each edit how many of the affected get the new label, the old one, of the others right."""
    made = []
    for edit, (new, old, unaffected) in answers.items():
        for i in range(KIND):
            hit, kept, right = float(i < new), float(new <= i < new + old), float(i < unaffected)
            of_affected = {"acc": hit, "acc_affected": hit, "kept_old": kept, "acc_unaffected": None}
            of_other = {"acc": right, "acc_affected": None, "kept_old": None, "acc_unaffected": right}
            made.append({"uid": f"{edit}{i}a", "edit": edit, "scores": of_affected})
            made.append({"uid": f"{edit}{i}u", "edit": edit, "scores": of_other})
    return made


@pytest.fixture
def write(tmp_path: Path, write_run: Writer) -> Any:
    """Write a run of the changed-rule tasks, given by its answers."""

    def written(name: str, tasks: dict[str, Answers], model: str = "", **more: Any) -> str:
        samples = {task: rows(answers) for task, answers in tasks.items()}
        results: dict[str, dict[str, float]] = {}
        for task, its_rows in samples.items():
            scores = {m: [r["scores"][m] for r in its_rows if r["scores"][m] is not None] for m in METRICS}
            results[task] = {f"{m},none": sum(values) / len(values) for m, values in scores.items()}
            results[task] |= {f"{m}_stderr,none": 0.05 for m in METRICS}
        higher = {task: {m: m != "kept_old" for m in METRICS} for task in tasks}
        extra = {"higher_is_better": higher, **({"model_name": model} if model else {}), **more}
        write_run(tmp_path / name, samples, results=results, **extra)
        return str(tmp_path / name)

    return written


def compare(*folders: str, **options: Any) -> Comparison:
    found = read_runs(folders)
    comparison = compare_runs(found.runs, Options(rounds=500, **options))
    comparison.notes[:0] = found.notes
    return comparison


def of(found: Comparison, metric: str, part: str = "") -> Difference:
    (difference,) = [d for d in found.changed_rules if (d.metric, d.part) == (metric, part)]
    return difference


def test_both_tasks_of_one_folder_are_paired(write: Any) -> None:
    found = compare(write("rl", {SHOWN: READS, HIDDEN: RECITES}))
    affected, kept = of(found, "acc_affected"), of(found, "kept_old")
    assert (affected.after, affected.before) == ("rl, rules shown", "rl, rules hidden")
    assert affected.values == pytest.approx((30 / 40, 4 / 40))
    assert (affected.n, affected.gained, affected.lost, affected.test) == (40, 26, 0, "McNemar")
    assert affected.p_value == pytest.approx(2 / 2**26)
    assert affected.interval is not None
    # 26 of 40 gained: 0.65 -+ 1.96 * sqrt(0.65 * 0.35 / 40)
    assert affected.interval.low == pytest.approx(0.65 - 1.96 * 0.0754, abs=0.03)
    assert affected.interval.high == pytest.approx(0.65 + 1.96 * 0.0754, abs=0.03)
    assert kept.values == pytest.approx((6 / 40, 32 / 40))
    assert kept.reading == "better"  # lower is better
    assert (of(found, "acc_unaffected").values, of(found, "acc_unaffected").n) == ((0.9, 0.9), 40)
    assert of(found, "acc").values == pytest.approx((66 / 80, 40 / 80))
    assert of(found, "acc").n == 80
    assert found.differences == [] and found.refused == [] and found.notes == []


def test_edits_are_told_apart(write: Any) -> None:
    shown = {"price_gap": (12, 7, 18), "odd": (2, 16, 18)}
    found = compare(write("rl", {SHOWN: shown, HIDDEN: RECITES}))
    price_gap, odd = of(found, "acc_affected", "edit price_gap"), of(found, "acc_affected", "edit odd")
    assert (price_gap.n, price_gap.values, price_gap.reading) == (KIND, (0.6, 0.1), "better")
    assert price_gap.adjusted == pytest.approx(2 * price_gap.p_value)  # two edits
    assert (odd.values, odd.reading) == ((0.1, 0.1), "within noise")
    assert sentences(found)[-1] == (
        "rl: It heeds the rules that it is shown, but goes by the old ones as often or more; "
        "showing them changes nothing beyond noise for odd."
    )


def test_two_folders_of_one_model_are_paired_and_others_are_not(write: Any) -> None:
    shown = write("shown", {SHOWN: READS}, "models/rl")
    hidden = write("hidden", {HIDDEN: RECITES}, "models/rl")
    found = compare(shown, hidden)
    assert of(found, "acc_affected").after == "shown + hidden, rules shown"
    assert of(found, "acc_affected").values == pytest.approx((0.75, 0.1))
    assert found.notes == []
    assert compare(shown).changed_rules == [] and compare(shown).notes == []

    other = write("other", {HIDDEN: RECITES}, "models/sft")
    found = compare(shown, other)
    assert found.changed_rules == []
    assert [note.partition(" holds one of")[0] for note in found.notes] == ["shown", "other"]
    assert "(models/sft): rules shown and hidden are not compared" in found.notes[1]

    twice = compare(shown, hidden, write("again", {HIDDEN: RECITES}, "models/rl"))
    assert twice.changed_rules == [] and len(twice.notes) == 3
    nameless = compare(write("a", {SHOWN: READS}), write("b", {HIDDEN: RECITES}))
    assert nameless.changed_rules == [] and "(not named)" in nameless.notes[0]


def test_several_checkpoints_each_by_itself_and_p_adjusted_over_them(write: Any) -> None:
    runs = [write(name, {SHOWN: READS, HIDDEN: RECITES}, f"models/{name}") for name in ("sft", "rl")]
    found = compare(*runs)
    assert list(by_checkpoint(found)) == ["sft", "rl"]
    whole = [d for d in found.changed_rules if d.metric == "acc_affected" and not d.part]
    assert [d.adjusted for d in whole] == pytest.approx([2 * d.p_value for d in whole])
    assert {d.task for d in found.differences} == {SHOWN, HIDDEN}  # rl against sft, as ever


def test_what_may_not_be_compared_is_refused_or_noted(write: Any) -> None:
    shown = write("shown", {SHOWN: READS}, "m")
    old = compare(shown, write("old", {HIDDEN: RECITES}, "m", version=2.0))
    assert old.changed_rules == []
    assert old.refused == [
        f"{SHOWN} and {HIDDEN} of shown + old: versions 1.0 and 2.0; evaluate both with one version"
    ]
    less = write("less", {HIDDEN: {"price_gap": RECITES["price_gap"]}}, "m")
    assert "different documents, 40 only in the first" in compare(shown, less).refused[0]
    assert of(compare(shown, less, allow_partial=True), "acc").n == 40
    few = compare(shown, write("few", {HIDDEN: RECITES}, "m", **{"n-shot": {HIDDEN: 5}}))
    assert f"{SHOWN} and {HIDDEN} of shown + few: few-shot examples differ, 0 and 5" in few.notes


def test_without_samples_the_figures_are_unpaired(write: Any) -> None:
    found = compare(write("rl", {SHOWN: READS, HIDDEN: RECITES}, samples=False))
    assert {d.metric: d.test for d in found.changed_rules} == dict.fromkeys(METRICS, "unpaired")
    assert sentences(found)[-1].endswith("than by the old ones (unpaired: samples are missing).")


def test_other_tasks_have_nothing_to_do_with_it(write_run: Writer, tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"t": [{"uid": "u", "scores": {"acc": 1.0}}] * 3})
    found = compare(str(tmp_path / "a"))
    assert found.changed_rules == []
    assert "changed_rule.png" not in draw_all(found, {})


def test_table_sentences_and_figure(write: Any) -> None:
    found = compare(write("rl", {SHOWN: READS, HIDDEN: RECITES}))
    table = make_tables(found, {})[-1]
    assert table.title == f"{SHOWN}: rl, rules shown minus hidden, %, one training run; * more than noise"
    assert [row.cells[:2] for row in table.rows] == [
        *zip(("all", "", "", ""), METRICS, strict=True),
        *zip(("price_gap (R5, R10)", "", ""), METRICS[1:], strict=True),
        *zip(("odd", "", ""), METRICS[1:], strict=True),
    ]
    assert table.rows[1].cells[2:5] == ("40", "75.0", "10.0")
    assert table.rows[1].cells[5].startswith("+65.0 [") and table.rows[1].cells[5].endswith("] *")
    assert table.rows[3].cells[5] == "+0.0 [0, 0]"
    accuracy, labels, reading = sentences(found)
    assert accuracy.startswith(
        "rl, changed rules: accuracy 82.5% with the edited rules in the prompt, 50.0% without, +32.5 points (95% "
    )
    assert labels.startswith(
        "rl, where an edit changes the label: 75.0% by the new rules and 15.0% by the old ones with them in the "
        "prompt, 10.0% and 80.0% without. New rules +65.0 points (95% "
    )
    assert "where the label stays +0.0 points (95% +0.0 to +0.0), within noise." in labels
    assert reading == "rl: It goes by the rules that it is shown more often than by the old ones."
    assert draw_all(found, {})["changed_rule.png"].startswith(b"\x89PNG")


def difference(shown: float, hidden: float) -> Difference:
    """More than noise where the two differ."""
    gap, p = shown - hidden, 1.0 if shown == hidden else 0.0
    return replace(
        blank(SHOWN, "none", "a", "b"), values=(shown, hidden), interval=Interval(gap, gap), adjusted=p
    )


@pytest.mark.parametrize(
    ("affected", "kept", "unaffected", "words"),
    [
        (
            (0.7, 0.1),
            (0.2, 0.8),
            (0.9, 0.9),
            "It goes by the rules that it is shown more often than by the old",
        ),
        ((0.3, 0.1), (0.6, 0.8), (0.9, 0.9), "It heeds the rules that it is shown, but goes by the old ones"),
        ((0.1, 0.1), (0.8, 0.8), (0.9, 0.9), "Showing the edited rules makes no difference beyond noise"),
        ((0.1, 0.1), (0.2, 0.8), (0.9, 0.9), "turn it away from the old ones, but not to the new ones"),
        ((0.1, 0.3), (0.8, 0.6), (0.9, 0.9), "it finds the new label less often"),
        ((0.7, 0.1), (0.2, 0.8), (0.5, 0.9), "old ones, and loses questions that the edit leaves alone"),
    ],
)
def test_what_is_said_follows_the_figures(
    affected: tuple[float, float], kept: tuple[float, float], unaffected: tuple[float, float], words: str
) -> None:
    said = reading_of(*(difference(*pair) for pair in (affected, kept, unaffected)))
    assert words in said
    assert ("loses questions" in said) == ("loses questions" in words)


def test_an_edit_is_shown_with_the_rules_it_words_anew() -> None:
    assert title_of_edit("") == "all"
    assert title_of_edit("edit sister_brands") == "sister_brands (R3, R7)"
    assert title_of_edit("edit elsewhere") == "elsewhere"
