"""A run folder: everything there, parts missing, files torn, two evaluations of one checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from realm_ext.report.reading import Stage, read_run

TASK = "realm_search_relevance"
EvalWriter = Callable[..., Path]


def test_a_whole_run_has_all_its_parts_and_nothing_to_say(run_dir: Path) -> None:
    run = read_run(run_dir)
    assert run.notes == ()
    assert run.name == "demo <run>"
    assert run.rl["realm/exposure"].values[-1] == 0.0
    assert "critic/score/mean" in run.grpo
    assert [(e.checkpoint, e.regime) for e in run.evaluations] == [
        (name, regime) for name in ("base", "sft", "rl", "grpo") for regime in ("unguided", "guided")
    ]
    sft = run.evaluations[2]
    assert (sft.task, sft.accuracy, sft.n, sft.stderr) == (TASK, 0.5, 40, 0.1)
    assert len(sft.scores) == 40
    assert run.stages[1] == Stage("rl <b>", 125.0, "reused", {"acc": "0.5124"})


def test_missing_parts_are_lines_not_errors(tmp_path: Path, write_events: Callable[..., Path]) -> None:
    write_events(tmp_path / "rl" / "tensorboard", {"realm/exposure": [(1, 1.0)]})
    run = read_run(tmp_path)
    assert [note.split(" ")[0] for note in run.notes] == ["stages.json", "eval"]


def test_only_what_a_run_was_asked_to_do_is_missed(run_dir: Path) -> None:
    """A quickstart without --control has no grpo, and evaluates neither base nor grpo."""
    for name in ("grpo", "eval/base", "eval/grpo"):
        shutil.rmtree(run_dir / name)
    assert read_run(run_dir).notes == ()
    asked = [{"name": name, "seconds": 1.0} for name in ("grpo", "eval_grpo", "eval_sft")]
    (run_dir / "stages.json").write_text(json.dumps(asked))
    assert [note.split(" ")[0] for note in read_run(run_dir).notes] == ["grpo/tensorboard", "eval/grpo"]
    shutil.rmtree(run_dir / "eval" / "sft")
    (run_dir / "eval" / "sft").mkdir()
    assert [note.split(" ")[0] for note in read_run(run_dir).notes] == [
        "grpo/tensorboard",
        "eval/sft",
        "eval/grpo",
    ]


def test_a_sampled_task_is_left_out_with_a_clear_line(tmp_path: Path, write_eval: EvalWriter) -> None:
    path = write_eval(tmp_path / "eval" / "rl", {TASK: [1.0, 0.0]})
    row = {"alias": "x", "mean@k,none": 0.5, "mean@k_stderr,none": 0.1, "pass@k,none": 0.75}
    path.write_text(json.dumps({"results": {f"{TASK}_sampled": row}}))
    (tmp_path / "stages.json").write_text('[{"name": "data", "seconds": 1}]')
    run = read_run(tmp_path)
    assert run.evaluations == ()
    assert any(
        f"{TASK}_sampled has no acc between 0 and 1, left out: the report reads acc alone, `realm compare` every metric "
        "(here mean@k, pass@k)" in note
        for note in run.notes
    )


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to report .*stages.json is missing"):
        read_run(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read_run(tmp_path / "absent")


def test_the_newest_evaluation_counts(tmp_path: Path, write_eval: EvalWriter) -> None:
    folder = tmp_path / "eval" / "sft"
    write_eval(folder / "b", {TASK: [0.0, 0.0]}, date="2026-01-01T00-00-00.000000")
    write_eval(folder / "a", {TASK: [1.0, 0.0]}, date="2026-01-02T00-00-00.000000")
    (evaluation,) = read_run(tmp_path).evaluations
    assert evaluation.accuracy == 0.5
    assert list(evaluation.scores.values()) == [1.0, 0.0]


def test_torn_results_leave_the_older_ones_and_one_line(tmp_path: Path, write_eval: EvalWriter) -> None:
    folder = tmp_path / "eval" / "sft"
    write_eval(folder, {TASK: [1.0, 0.0]}, date="2026-01-01T00-00-00.000000")
    torn = write_eval(folder, {TASK: [1.0, 1.0]}, date="2026-01-02T00-00-00.000000")
    torn.write_text(torn.read_text()[:40])
    run = read_run(tmp_path)
    assert [e.accuracy for e in run.evaluations] == [0.5]
    assert sum("is torn or not JSON" in note for note in run.notes) == 1


def test_torn_samples_keep_the_accuracy_without_the_questions(tmp_path: Path, write_eval: EvalWriter) -> None:
    write_eval(tmp_path / "eval" / "rl", {TASK: [1.0, 0.0]})
    (samples,) = (tmp_path / "eval" / "rl").glob("samples_*")
    samples.write_text(samples.read_text()[:-9])
    run = read_run(tmp_path)
    assert run.evaluations[0].accuracy == 0.5
    assert run.evaluations[0].scores == {}
    assert any("line 2 is torn" in note for note in run.notes)


def test_only_samples_of_the_filter_that_gave_the_result_count(
    tmp_path: Path, write_eval: EvalWriter
) -> None:
    write_eval(tmp_path / "eval" / "rl", {TASK: [1.0, 0.0]})
    (samples,) = (tmp_path / "eval" / "rl").glob("samples_*")
    other = json.dumps({"doc_id": 0, "doc_hash": "h0", "filter": "strict", "acc": 0.0})
    samples.write_text(samples.read_text() + other + "\n")
    assert list(read_run(tmp_path).evaluations[0].scores.values()) == [1.0, 0.0]


def test_no_samples_and_no_counts_still_give_an_accuracy(tmp_path: Path, write_eval: EvalWriter) -> None:
    path = write_eval(tmp_path / "eval" / "rl", {TASK: [1.0, 0.0]})
    path.write_text(json.dumps({"results": {TASK: {"acc,strict": 0.25, "acc_stderr,strict": "N/A"}}}))
    (path.parent / f"samples_{TASK}_{path.stem.removeprefix('results_')}.jsonl").unlink()
    run = read_run(tmp_path)
    assert (run.evaluations[0].accuracy, run.evaluations[0].n, run.evaluations[0].stderr) == (
        0.25,
        None,
        None,
    )
    assert any("no paired comparison" in note for note in run.notes)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        '{"results": 3}',
        f'{{"results": {{"{TASK}": {{"acc,none": "high"}}}}}}',
        f'{{"results": {{"{TASK}": 7}}}}',
    ],
)
def test_results_of_another_shape_are_one_line(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "eval" / "rl"
    folder.mkdir(parents=True)
    (folder / "results_2026.json").write_text(content)
    (tmp_path / "stages.json").write_text('[{"name": "data", "seconds": 1}]')
    run = read_run(tmp_path)
    assert run.evaluations == ()
    assert sum("results_2026.json" in note for note in run.notes) == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"name": "data"}', "not a list"),
        ('[{"name": "data", "sec', "torn or not JSON"),
        ('[{"name": "data"}]', "entry 1"),
        ('[{"name": "data", "seconds": NaN}]', "entry 1"),
        ("[3]", "entry 1"),
    ],
)
def test_bad_stages_are_one_line(run_dir: Path, content: str, line: str) -> None:
    (run_dir / "stages.json").write_text(content)
    run = read_run(run_dir)
    assert run.stages == ()
    assert len(run.notes) == 1 and line in run.notes[0]


def test_control_characters_in_names_do_not_reach_a_terminal(run_dir: Path) -> None:
    (run_dir / "stages.json").write_text(json.dumps([{"name": "a\x1b[2Jb", "seconds": 1.0}]))
    assert read_run(run_dir).stages[0].name == "a [2Jb"
