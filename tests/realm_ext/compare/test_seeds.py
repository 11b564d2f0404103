"""Several training runs of an arm: how they are given, Student's t over them, and what is said of one run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from realm_ext.compare.analysis import compare_runs
from realm_ext.compare.command import compare
from realm_ext.compare.comparison import Comparison
from realm_ext.compare.differences import Options
from realm_ext.compare.reading import read_runs
from realm_ext.compare.tables import make_tables, sentences
from tests.realm_ext.compare.conftest import Writer, scored

N = 100
SFT, RL = (40, 42, 38), (50, 56, 52)
"""Right answers of three seeds: 10, 14 and 14 more, mean 12.67 points, sd 2.309, error 1.333."""


def answers(right: int) -> list[float]:
    return [1.0] * right + [0.0] * (N - right)


@pytest.fixture
def seeds(tmp_path: Path, write_run: Writer) -> Path:
    """s1, s2, s3, each with eval/sft and eval/rl of a task and its guided partner."""
    for number, both in enumerate(zip(SFT, RL, strict=True), start=1):
        for name, right in zip(("sft", "rl"), both, strict=True):
            tasks = {"t": scored(answers(right)), "t_guided": scored(answers(right + 20 + number))}
            write_run(tmp_path / f"s{number}" / "eval" / name, tasks)
    return tmp_path


def arm(root: Path, name: str, numbers: Sequence[int] = (1, 2, 3)) -> str:
    return ",".join(str(root / f"s{number}" / "eval" / name) for number in numbers)


def found_of(*given: str, **options: Any) -> Comparison:
    return compare_runs(read_runs(given).runs, Options(rounds=500, **options))


def of(found: Comparison, task: str = "t") -> Any:
    (difference,) = [d for d in found.differences if d.task == task]
    return difference


def test_seeds_are_given_by_comma_or_by_giving_a_name_again(seeds: Path) -> None:
    by_comma = found_of(f"sft={arm(seeds, 'sft')}", f"rl={arm(seeds, 'rl')}")
    again = [f"{name}={seeds / f's{n}' / 'eval' / name}" for n in (1, 2, 3) for name in ("sft", "rl")]
    assert by_comma.runs == ("sft", "rl") and by_comma.counts == {"sft": 3, "rl": 3}
    assert found_of(*again).differences == by_comma.differences
    unnamed = found_of(arm(seeds, "sft"), arm(seeds, "rl"))
    assert unnamed.runs == ("sft", "rl") and unnamed.differences == by_comma.differences


def test_folders_of_different_names_make_a_name(tmp_path: Path, write_run: Writer) -> None:
    for name in ("a1", "a2", "with,comma"):
        write_run(tmp_path / name, {"t": scored([1.0, 0.0])})
    joined = read_runs([f"{tmp_path / 'a1'},{tmp_path / 'a2'}", str(tmp_path / "with,comma")])
    assert [run.name for run in joined.runs] == ["a1+a2", "a1+a2", "with,comma"]
    assert [run.name for run in read_runs([f"x={tmp_path / 'with,comma'}"]).runs] == ["x"]


def test_the_difference_is_student_s_t_over_the_seeds_crossed_with_the_questions(seeds: Path) -> None:
    """All gains are on questions that no seed got right before: the questions' part is what these gains share."""
    d = of(found_of(f"sft={arm(seeds, 'sft')}", f"rl={arm(seeds, 'rl')}"))
    assert d.by_run == pytest.approx((0.10, 0.14, 0.14))
    assert d.values == pytest.approx((0.5267, 0.4), abs=1e-4)
    assert (d.test, d.runs, d.n, d.gained) == ("t", (3, 3), N, None)
    # t(0.975; 2) = 4.303: the seeds alone reach 5.74 points; with the questions at most sqrt(5.74^2 + 6.5^2)
    assert 0.0574 <= (d.interval.high - d.interval.low) / 2 <= 0.087
    assert 0.011 <= d.p_value < 0.05  # t = 9.5, p = 0.011 by the seeds alone
    assert d.reading == "better"


def test_scores_and_gaps_are_means_over_the_seeds(seeds: Path) -> None:
    found = found_of(f"sft={arm(seeds, 'sft')}", f"rl={arm(seeds, 'rl')}")
    (score,) = [s for s in found.scores if (s.run, s.task) == ("rl", "t")]
    assert score.value == pytest.approx(0.5267, abs=1e-4)
    assert score.by_run == pytest.approx((0.50, 0.56, 0.52))
    assert score.interval is not None and 0 <= score.interval.low < 0.43 and 0.62 < score.interval.high <= 1
    (gap,) = [g for g in found.gaps if g.before == "rl, unguided"]
    assert gap.by_run == pytest.approx((0.21, 0.22, 0.23)) and gap.test == "t" and gap.reading == "better"


def test_intervals_stay_within_0_and_100_percent(tmp_path: Path, write_run: Writer) -> None:
    for number, right in enumerate((97, 99, 80)):
        write_run(tmp_path / f"a{number}", {"t": scored(answers(right))})
        write_run(tmp_path / f"b{number}", {"t": scored(answers(3 * number))}, samples=False)
    found = found_of(
        "a=" + ",".join(str(tmp_path / f"a{n}") for n in range(3)),
        "b=" + ",".join(str(tmp_path / f"b{n}") for n in range(3)),
    )
    a, b = found.scores
    assert a.interval is not None and a.interval.high == 1.0
    assert b.interval is not None and b.interval.low == 0.0
    assert of(found).interval.low == -1.0 and of(found).n is None
    assert "(unpaired: samples are missing). 3 training runs each." in sentences(found)[0]


def test_one_checkpoint_stands_against_each_of_several(seeds: Path) -> None:
    found = found_of(f"start={seeds / 's1' / 'eval' / 'sft'}", f"rl={arm(seeds, 'rl')}")
    d = of(found)
    assert d.by_run == pytest.approx((0.10, 0.16, 0.12)) and d.runs == (3, 1)
    assert sentences(found)[0].endswith(". Training runs: rl 3, start one.")


def test_two_seeds_and_three_are_refused(seeds: Path) -> None:
    found = found_of(f"sft={arm(seeds, 'sft', (1, 2))}", f"rl={arm(seeds, 'rl')}")
    assert found.differences == []
    assert "rl and sft on t: 3 and 2 training runs; they are paired in the order given" in found.refused[0]


def test_a_seed_that_lacks_a_task_or_documents_is_refused(
    seeds: Path, tmp_path: Path, write_run: Writer
) -> None:
    write_run(tmp_path / "less", {"t": scored(answers(40))})
    found = found_of(f"rl={arm(seeds, 'rl', (1, 2))},{tmp_path / 'less'}")
    assert found.refused == ["rl: 2 of 3 training runs hold t_guided; evaluate all"]
    write_run(tmp_path / "few", {"t": scored(answers(40))[:90], "t_guided": scored(answers(40))})
    found = found_of(f"sft={arm(seeds, 'sft', (1, 2))}", f"rl={seeds / 's1/eval/rl'},{tmp_path / 'few'}")
    assert any(
        "different documents, 10 only in the first" in line or "only in the second" in line
        for line in found.refused
    )
    other = tmp_path / "other"
    write_run(other, {"t": scored(answers(40))}, version=2.0)
    found = found_of(f"sft={tmp_path / 'less'}", f"rl={seeds / 's1/eval/rl'},{other}", metrics=("acc",))
    assert any("versions 1.0, 2.0 and 1.0 of the task" in line for line in found.refused)


def test_one_folder_twice_is_no_second_training_run(seeds: Path) -> None:
    with pytest.raises(ValueError, match="was given twice; it is one training run"):
        read_runs([f"rl={arm(seeds, 'rl', (1, 1))}"])
    with pytest.raises(ValueError, match="was given twice"):
        read_runs([f"rl={arm(seeds, 'rl', (1,))}", f"rl={seeds / 's1' / 'eval' / '..' / 'eval' / 'rl'}"])
    with pytest.raises(ValueError, match="the same name for training runs of one arm"):
        read_runs([arm(seeds, "rl", (1,)), arm(seeds, "rl", (2,))])
    with pytest.raises(ValueError, match="names no folder, or an empty one"):
        read_runs([f"rl={arm(seeds, 'rl', (1,))},"])
    with pytest.raises(ValueError, match="names no folder"):
        read_runs(["rl="])


def test_arms_of_one_run_are_a_family_of_their_own_and_marked(seeds: Path) -> None:
    alone = f"alone={seeds / 's3' / 'eval' / 'rl'}"
    found = found_of(f"start={seeds / 's1' / 'eval' / 'sft'}", f"rl={arm(seeds, 'rl')}", alone)
    several, one = (d for d in found.differences if d.task == "t")
    assert (several.test, one.test) == ("t", "McNemar")
    # two tasks in either family: Holm doubles the smaller p at most, and never by the four differences together
    assert several.adjusted <= 2 * several.p_value and one.adjusted <= 2 * one.p_value
    (table,) = [t for t in make_tables(found, {}) if t.title.startswith("t: paired differences")]
    assert table.title == "t: paired differences, training runs: start one, rl 3, alone one"
    assert [row.cells[4] for row in table.rows] == ["+10.0 +16.0 +12.0", "one training run"]


def test_every_table_and_sentence_says_one_training_run_where_it_is_one(seeds: Path) -> None:
    found = found_of(*(str(seeds / "s1" / "eval" / name) for name in ("sft", "rl")))
    tables = [table for table in make_tables(found, {}) if "changed most" not in table.title]
    assert len(tables) == 5  # scores and differences of both tasks, and the gap
    assert all("one training run each" in table.title for table in tables)
    assert all("One training run" in line for line in sentences(found))
    several = found_of(f"sft={arm(seeds, 'sft')}", f"rl={arm(seeds, 'rl')}")
    assert all("3 training runs" in line for line in sentences(several))
    assert not any("one training run" in table.title for table in make_tables(several, {}))


def test_groups_go_by_the_seeds_too(tmp_path: Path, write_run: Writer) -> None:
    for name, plus in (("a", 0), ("b", 10)):
        for seed, right in enumerate((30, 34, 38)):
            x, y = right + plus, right + plus + 4 * (seed if plus else 0)
            write_run(
                tmp_path / f"{name}{seed}",
                {"x": scored(answers(x)), "y": scored(answers(y))},
                groups={"g": {"alias": "g", "acc,none": (x + y) / 2 / N, "acc_stderr,none": 0.04}},
                group_subtasks={"g": ["x", "y"]},
            )
    a, b = (f"{name}=" + ",".join(str(tmp_path / f"{name}{seed}") for seed in range(3)) for name in "ab")
    d = of(found_of(a, b), "g")
    assert d.by_run == pytest.approx((0.10, 0.12, 0.14)) and d.test == "t" and d.n == 2 * N
    # sd 0.02, error 0.01155, t 4.303: the seeds reach 4.97 points
    assert (d.interval.high - d.interval.low) / 2 >= 0.0497 and d.reading == "better"


def test_parts_are_means_over_the_seeds(tmp_path: Path, write_run: Writer) -> None:
    for seed in range(3):
        for name, right in (("a", 10 + seed), ("b", 30 + 2 * seed)):
            rows = [{**row, "rule": f"R{i % 2}"} for i, row in enumerate(scored(answers(right)))]
            write_run(tmp_path / f"{name}{seed}", {"t": rows})
    a, b = (f"{name}=" + ",".join(str(tmp_path / f"{name}{seed}") for seed in range(3)) for name in "ab")
    found = found_of(a, b)
    first = next(p for p in found.parts if (p.run, p.name) == ("b", "R0"))
    assert first.n == 50 and first.value == pytest.approx((15 + 16 + 17) / 3 / 50)
    assert {d.part: d.test for d in found.part_differences} == {"rule R0": "t", "rule R1": "t"}
    assert found.changes == [], "ten documents of which of the seeds?"


def test_the_command_takes_seeds_and_writes_them(seeds: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(compare)
    out = tmp_path / "c.json"
    given = [f"sft={arm(seeds, 'sft')}", f"rl={arm(seeds, 'rl')}", "--json", str(out), "--rounds", "500"]
    result = CliRunner().invoke(app, [*given, "--plots", str(tmp_path / "figures")], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "t: paired differences, 3 training runs each" in result.output
    assert "+10.0 +14.0 +14.0" in result.output
    written = json.loads(out.read_text())
    assert written["training_runs"] == {"sft": 3, "rl": 3}
    assert written["differences"][0]["by_run"] == pytest.approx([0.10, 0.14, 0.14])
    assert (tmp_path / "figures" / "accuracy.png").is_file()


def test_a_p_value_that_random_rounds_bound_is_shown_as_a_bound(tmp_path: Path, write_run: Writer) -> None:
    write_run(tmp_path / "a", {"t": scored([0.25] * 60)})
    write_run(tmp_path / "b", {"t": scored([0.75] * 60)})
    found = found_of(str(tmp_path / "a"), str(tmp_path / "b"))
    (table,) = [t for t in make_tables(found, {}) if "paired" in t.title]
    assert table.rows[0].cells[5] == "< 0.002"


def test_first_errors_named_stand_beside_the_best_guess(tmp_path: Path, write_run: Writer) -> None:
    def wrong(first_error: int, steps: int = 3) -> dict[str, Any]:
        return {
            "steps": ["s"] * steps,
            "answer": "1",
            "label": False,
            "sound": False,
            "first_error": first_error,
            "source": "x",
        }

    banks = [
        [wrong(0), wrong(1)],
        [wrong(1)],
        [wrong(1, 4), {**wrong(0), "label": True, "first_error": None, "sound": True}],
    ]
    rows = [
        {"uid": str(i), "routes": bank, "scores": {"acc": 1.0, "first_error_acc": [True] * (1 + (i == 0))}}
        for i, bank in enumerate(banks)
    ]
    results = {"t": {"first_error_acc,none": 1.0}}
    write_run(tmp_path / "a", {"t": rows}, results=results)
    (table,) = make_tables(found_of(str(tmp_path / "a")), {})
    named = {row.cells[0]: row.cells[1] for row in table.rows}
    # of three steps 2 of 3 are wrong first at step 1, of four the only one: 3 of 4
    assert named["first_error_guess"] == "75.0"
    assert [row.cells[0] for row in table.rows][-2:] == ["first_error_acc", "first_error_guess"]

    write_run(
        tmp_path / "b",
        {"t": rows},
        results={"t": {"first_error_acc,none": 1.0, "first_error_guess,none": 0.5}},
    )
    (table,) = make_tables(found_of(str(tmp_path / "b")), {})
    assert [row.cells for row in table.rows if row.cells[0] == "first_error_guess"] == [
        ("first_error_guess", "50.0")
    ]

    bare = [{key: value for key, value in row.items() if key != "routes"} for row in rows]
    write_run(tmp_path / "c", {"t": bare}, results=results)
    assert found_of(str(tmp_path / "c")).notes == [
        "c: t first_error_guess is not known: the samples hold no routes"
    ]
