"""`realm contamination`: what it reads, finds, counts and says, and its exit codes."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from data_prep.contamination import contamination
from data_prep.contamination_sources import (
    EvaluationSets,
    document_text,
    read_evaluation_file,
    strings_of,
    training_files,
    training_rows,
)
from data_prep.schema import RL_SCHEMA, SFT_SCHEMA, rl_row, sft_row
from eval_tasks.bundled import read_rows

app = typer.Typer()
app.command()(contamination)


def sentence(seed: int) -> str:
    return " ".join(random.Random(seed).sample([f"word{i}" for i in range(3000)], 30))


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: Any, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "held_out.jsonl", [{"question": sentence(i)} for i in range(30)])


def test_clean_training_data_is_said_to_be_clean(tmp_path: Path, evaluation: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", [{"question": sentence(100 + i)} for i in range(50)])
    printed = run(train, "--files", evaluation)
    assert "50 rows, 0 with an evaluation document" in printed
    assert "Nothing found." in printed


def test_every_text_of_a_row_is_searched_and_the_report_has_the_spans(
    tmp_path: Path, evaluation: Path
) -> None:
    rows = [
        rl_row(sentence(200), "1", domain="math", index=0, split="train"),
        rl_row(f"Now: {sentence(4)}", "1", domain="math", index=1, split="train"),
    ]
    chats = [
        sft_row(
            [{"role": "user", "content": "Q"}],
            f"{sentence(4)} so {sentence(5)[:120]}",
            source="s",
            kind="k",
            uid="u",
        )
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), folder / "rl.parquet")
    pq.write_table(pa.Table.from_pylist(chats, schema=SFT_SCHEMA), folder / "sft.parquet")
    printed = run(folder, "--files", f"mine={evaluation}", "--out", tmp_path / "report.json", code=1)
    assert "Contaminated: 2 evaluation documents" in printed
    assert f"mine: the whole of document 4 in {folder}/rl.parquet, row 1, prompt[0].content" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    (found,) = report["sets"]
    assert (found["name"], found["contaminated_documents"], found["contaminated_whole"]) == ("mine", 2, 1)
    assert found["contaminating_rows"] == 2
    assert found["examples"][0]["span"] == sentence(4)
    assert [file["flagged"] for file in report["files"]] == [1, 1]


def test_columns_can_be_chosen(tmp_path: Path, evaluation: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", [{"question": sentence(200), "note": sentence(4)}])
    run(train, "--files", evaluation, "--column", "question")
    run(train, "--files", evaluation, "--column", "note", code=1)
    assert "no column answer; it has question, note" in run(
        train, "--files", evaluation, "--column", "answer", code=2
    )


def test_torn_lines_are_counted(tmp_path: Path, evaluation: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text(json.dumps({"question": sentence(200)}) + '\n{"question": "half\n\n[1]\n')
    assert "1 rows, 0 with an evaluation document, 2 torn lines not read" in run(train, "--files", evaluation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jsonl", "--files", "held_out.jsonl"], "gone.jsonl is no .parquet or .jsonl file"),
        (["held_out.jsonl"], "give --tasks or --files"),
        (
            ["held_out.jsonl", "--files", "other.jsonl"],
            "give the one that holds the question by --question-column",
        ),
        (["held_out.jsonl", "--files", "broken.parquet"], "broken.parquet is no readable parquet file"),
    ],
)
def test_what_cannot_be_checked_is_one_clear_error(
    tmp_path: Path, evaluation: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "other.jsonl", [{"frage": "x"}])
    (tmp_path / "broken.parquet").write_bytes(b"no")
    assert message in run(*arguments, code=2)


def test_questions_of_an_evaluation_file_are_found_by_the_usual_names(tmp_path: Path) -> None:
    rows = [rl_row("what is it", "1", domain="math", index=0, split="test")]
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), tmp_path / "a.parquet")
    assert read_evaluation_file(tmp_path / "a.parquet", None) == ["what is it"]
    other = write_jsonl(tmp_path / "b.jsonl", [{"stem": "which one"}])
    assert read_evaluation_file(other, "stem") == ["which one"]


def test_texts_are_found_however_nested() -> None:
    value = {"a": "1", "b": [{"c": "2"}, 3, None], "d": {"e": ["4"]}}
    assert list(strings_of(value)) == [("a", "1"), ("b[0].c", "2"), ("d.e[0]", "4")]


def test_rejects_are_no_training_data(tmp_path: Path) -> None:
    for name in ("rejects.jsonl", "train.jsonl", "notes.txt"):
        (tmp_path / name).write_text("")
    assert training_files([tmp_path]) == [tmp_path / "train.jsonl"]
    assert list(training_rows(tmp_path / "train.jsonl", [])) == []


def test_sets_of_the_same_documents_share_one_entry() -> None:
    sets = EvaluationSets()
    sets.add("plain", ["a", "b"])
    sets.add("guided", ["a", "b"])
    sets.add("empty", [])
    assert sets.texts == {"plain, guided": ["a", "b"]}
    assert sets.not_checked == {"empty": "it has no documents"}


def test_a_task_that_gives_a_number_for_its_text_is_read_from_the_document() -> None:
    class Choice:
        def doc_to_text(self, doc: dict[str, Any]) -> int:
            return 1

    assert document_text(Choice(), {"sentence": "a b", "routes": [{"steps": ["x"]}]}) == "a b"


def test_tasks_are_checked_through_lm_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled questions are found, without their routes; a task without data is named, with its own exit code."""
    lm_tasks = pytest.importorskip("lm_eval.tasks")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    doc = read_rows("search_relevance_test.jsonl", "search_relevance", guided=True)[3]
    (tmp_path / "mine.yaml").write_text(
        "task: mine_without_data\ndataset_path: json\ndataset_kwargs: {data_files: /nowhere/at/all.jsonl}\n"
        "test_split: train\noutput_type: generate_until\ndoc_to_text: x\ndoc_to_target: x\n"
        "metric_list: [{metric: exact_match}]\n"
    )
    (tmp_path / "group.yaml").write_text("group: mine\ntask: [realm_vertical_guided, mine_without_data]\n")
    dirty = write_jsonl(tmp_path / "dirty.jsonl", [{"question": doc["question"]}])
    steps = " ".join(step for route in doc["routes"] for step in route["steps"])
    clean = write_jsonl(tmp_path / "clean.jsonl", [{"question": sentence(1), "route": steps}])
    options = ("--tasks", "mine", "--include-path", tmp_path, "--offline", "--fail-unchecked")
    printed = run(dirty, *options, code=1)
    assert "realm_search_relevance_guided: the whole of document 3" in printed
    printed = run(clean, *options, code=3)
    assert "NOT checked: mine_without_data (" in printed
    assert "Nothing found." in printed
    # Without lm-eval's own 14,000 tasks, whose index takes seconds to build.
    manager = lm_tasks.TaskManager(include_path=tmp_path, include_defaults=False)
    monkeypatch.setattr(lm_tasks, "TaskManager", lambda **options: manager)
    assert "knows no task or group 'no_such'" in run(clean, "--tasks", "no_such", code=2)


def test_gsm8k_solutions_are_flagged_all_of_them(shared_data: Path) -> None:
    folder = shared_data / "gsm8k"
    options = ("--files", f"gsm8k={folder / 'test.jsonl'}", "--column", "question")
    assert "700 rows, 700 with an evaluation document" in run(
        folder / "example_model_solutions.jsonl", *options, code=1
    )


def test_public_sets_are_read_from_local_files(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    train = write_jsonl(
        tmp_path / "train.jsonl",
        [json.loads(line) for line in (shared_data / "gsm8k" / "test.jsonl").read_text().splitlines()[:30]],
    )
    options = ("--tasks", "realm_gsm8k,realm_commonsense_qa", "--data", shared_data, "--offline")
    printed = run(train, *options, code=1)
    assert "30 rows, 30 with an evaluation document" in printed
    assert "NOT checked: realm_commonsense_qa (FileNotFoundError: none of" in printed


@pytest.mark.parametrize("over", ["train.parquet", "evaluation.jsonl", "mine.json"])
def test_the_report_never_takes_the_place_of_another_file(over: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a row"]}), tmp_path / "train.parquet")
    (tmp_path / "evaluation.jsonl").write_text('{"question": "another one?"}\n')
    (tmp_path / "mine.json").write_text('{"n": "mine"}')
    before = (tmp_path / over).read_bytes()
    given = (tmp_path / "train.parquet", "--files", tmp_path / "evaluation.jsonl")
    done = CliRunner().invoke(app, [*map(str, (*given, "--out", tmp_path / over))])
    assert done.exit_code == 2 and (tmp_path / over).read_bytes() == before
    for _ in range(2):  # a report of its own is replaced
        done = CliRunner().invoke(app, [*map(str, (*given, "--out", tmp_path / "r.json"))])
        assert done.exit_code == 0, done.output
