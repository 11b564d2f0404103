"""Which folders become which runs, what is kept of a sample, and what becomes a note."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from realm_ext.compare.reading import read_runs
from tests.realm_ext.compare.conftest import DATE, Writer, scored

LATER = "2026-01-03T00-00-00.000000"


def test_a_folder_with_one_model_is_a_run_of_its_own_name(tmp_path: Path, write_run: Writer) -> None:
    write_run(tmp_path / "rl" / "__models__x", {"task": scored([1, 0])})
    found = read_runs([str(tmp_path / "rl"), f"again={tmp_path / 'rl'}"])
    assert [run.name for run in found.runs] == ["rl", "again"]
    assert found.notes == []
    result = found.runs[0].tasks["task"]
    assert (result.version, result.n, result.limited) == ("1.0", 2, False)
    assert result.metrics == {("acc", "none"): (0.5, 0.05)}
    assert result.higher == {"acc": True}
    assert list(result.samples["none"]) == ["u0", "u1"]


def test_a_parent_is_one_run_a_model_checkpoints_in_their_order(tmp_path: Path, write_run: Writer) -> None:
    for name in ("rl/m", "base/m", "sft/m", "x/one", "x/two"):
        write_run(tmp_path / name, {"task": scored([1])})
    assert [run.name for run in read_runs([str(tmp_path)]).runs] == ["base", "sft", "rl", "x/one", "x/two"]


def test_the_newest_file_that_holds_a_task_is_used_and_it_is_said(tmp_path: Path, write_run: Writer) -> None:
    write_run(tmp_path / "m", {"task": scored([0, 0]), "other": scored([1])})
    write_run(tmp_path / "m", {"task": scored([1, 1])}, date=LATER)
    found = read_runs([str(tmp_path / "m")])
    tasks = found.runs[0].tasks
    assert tasks["task"].metrics["acc", "none"][0] == 1.0
    assert tasks["other"].metrics["acc", "none"][0] == 1.0
    assert found.notes == [f"m: 2 result files hold task; the newest, results_{LATER}.json, is used"]


def test_a_results_file_of_any_name_that_lm_eval_gives_can_be_named(
    tmp_path: Path, write_run: Writer
) -> None:
    path = write_run(tmp_path / "m", {"task": scored([1])})
    renamed = path.rename(path.with_name(f"mine_{DATE}.json"))
    assert [run.name for run in read_runs([str(renamed)]).runs] == ["m"]


def test_torn_lines_are_counted_and_missing_samples_noted(tmp_path: Path, write_run: Writer) -> None:
    write_run(tmp_path / "m", {"task": scored([1, 0, 1])})
    samples = tmp_path / "m" / f"samples_task_{DATE}.jsonl"
    lines = samples.read_text().splitlines()
    samples.write_text("\n".join([lines[0], lines[1][:50], "[1]", "null", "", lines[2]]) + "\n")
    write_run(tmp_path / "n", {"task": scored([1])}, samples=False)
    found = read_runs([str(tmp_path / "m"), str(tmp_path / "n")])
    assert list(found.runs[0].tasks["task"].samples["none"]) == ["u0", "u2"]
    assert found.runs[1].tasks["task"].samples == {}
    assert found.notes == [
        f"m/samples_task_{DATE}.jsonl: 3 lines are torn or no samples of lm-eval, left out",
        f"n/samples_task_{DATE}.jsonl is missing: no paired comparison (give lm_eval --log_samples)",
    ]


def test_a_torn_results_file_is_a_note(tmp_path: Path, write_run: Writer) -> None:
    write_run(tmp_path / "m", {"task": scored([1])})
    (tmp_path / "m" / f"results_{LATER}.json").write_text('{"results": {')
    found = read_runs([str(tmp_path / "m")])
    assert found.runs[0].tasks["task"].n == 1
    assert "is torn or not JSON" in found.notes[0]


def test_groups_are_left_out(tmp_path: Path, write_run: Writer) -> None:
    path = write_run(tmp_path / "m", {"task": scored([1])})
    path.write_text(path.read_text().replace('"results": {', '"results": {"group": {"acc,none": 0.5}, '))
    assert set(read_runs([str(tmp_path / "m")]).runs[0].tasks) == {"task"}


def test_responses_of_a_million_characters_cost_no_memory(tmp_path: Path, write_run: Writer) -> None:
    rows = [{"scores": {"acc": 1.0}, "response": "x" * 1_000_000, "hash": f"h{i}"} for i in range(20)]
    write_run(tmp_path / "m", {"task": rows})
    tracemalloc.start()
    try:
        found = read_runs([str(tmp_path / "m")])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 15_000_000
    (sample, *_) = found.runs[0].tasks["task"].samples["none"].values()
    assert sample.answer == "..." + "x" * 40


def test_documents_without_a_uid_go_by_their_hash_equal_ones_by_their_order(
    tmp_path: Path, write_run: Writer
) -> None:
    rows = [{"scores": {"acc": v}, "hash": h} for v, h in ((1, "aa"), (0, "bb"), (0, "aa"), (1, "aa"))]
    write_run(tmp_path / "m", {"task": rows})
    assert list(read_runs([str(tmp_path / "m")]).runs[0].tasks["task"].samples["none"]) == [
        "aa",
        "bb",
        "aa#2",
        "aa#3",
    ]


@pytest.mark.parametrize(
    ("sample", "answer"),
    [
        ({"response": "<think>a</think> <answer> 42 </answer>"}, "42"),
        ({"response": "so it is 7"}, "so it is 7"),
        ({"response": "r" * 60, "filtered": ["18"]}, "18"),
        ({"filtered": [["<answer>3</answer>", "<answer>4</answer>"]]}, "3"),
        ({"filtered": [["-3.5", "False"], ["-1.25", "False"], ["-2", "True"]]}, "choice 2"),
        ({"scores": {"acc": 0.0, "macro_f1": ["Exact", "Substitute"]}}, "Substitute"),
        ({"scores": {"acc": 0.0, "macro_f1": ["Exact", ""]}}, "(none read)"),
        ({"response": "\x1b[31mred\n"}, "[31mred"),
        ({"filtered": []}, ""),
    ],
)
def test_the_answer_is_what_the_task_read(
    tmp_path: Path, write_run: Writer, sample: dict[str, Any], answer: str
) -> None:
    write_run(tmp_path / "m", {"task": [{"uid": "u", "scores": {"acc": 0.0}, **sample}]})
    (read,) = read_runs([str(tmp_path / "m")]).runs[0].tasks["task"].samples["none"].values()
    assert read.answer == answer


def test_filters_are_kept_apart(tmp_path: Path, write_run: Writer) -> None:
    rows = [
        *scored([1, 0], "exact_match", filter="strict"),
        *scored([1, 1], "exact_match", filter="flexible"),
    ]
    write_run(tmp_path / "m", {"gsm8k": rows})
    result = read_runs([str(tmp_path / "m")]).runs[0].tasks["gsm8k"]
    assert {key: value for key, (value, _) in result.metrics.items()} == {
        ("exact_match", "strict"): 0.5,
        ("exact_match", "flexible"): 1.0,
    }
    assert [len(rows) for rows in result.samples.values()] == [2, 2]


def test_what_is_no_run_is_refused(tmp_path: Path, write_run: Writer) -> None:
    with pytest.raises(FileNotFoundError, match="gone is not there"):
        read_runs([str(tmp_path / "gone")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no results_DATE.json"):
        read_runs([str(tmp_path / "empty")])
    for name in ("p/a", "p/b"):
        write_run(tmp_path / name, {"task": scored([1])})
    with pytest.raises(ValueError, match=r"the results of 2 models \(a, b\); give NAME=PATH for one"):
        read_runs([f"x={tmp_path / 'p'}"])
    with pytest.raises(ValueError, match="2 runs are named 'a'"):
        read_runs([str(tmp_path / "p" / "a"), f"a={tmp_path / 'p' / 'b'}"])
