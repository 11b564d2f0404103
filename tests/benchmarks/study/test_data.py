"""The study's data: control banks, arithmetic, the fixed test with its unseen combinations, and the lm-eval tasks."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.study import tasks
from benchmarks.study.arithmetic import held_out_sums, problem, sft_rows
from benchmarks.study.banks import mismatched, positive_only, positives_as_sft
from benchmarks.study.data import write_test, write_training
from benchmarks.study.plan import read_study
from data_prep.search_relevance.datasets import rl_rows
from reward_fns import compute_score
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.response import parse_response

STUDY = read_study()
ROWS = rl_rows(80, 0, "train", 3).rows


def test_positive_only_keeps_every_right_route_and_no_other() -> None:
    for before, after in zip(ROWS, positive_only(ROWS), strict=True):
        kept = [route for route in before["extra_info"]["routes"] if route["label"]]
        assert after["extra_info"]["routes"] == kept
        assert after["prompt"] == before["prompt"]
        assert before["extra_info"]["uid"] == after["extra_info"]["uid"]


def test_mismatched_routes_are_anothers_with_labels_that_hold_here() -> None:
    made = mismatched(ROWS)
    for before, after in zip(ROWS, made, strict=True):
        assert DOMAIN.check_row(after) == []
        steps = [route["steps"] for route in after["extra_info"]["routes"]]
        assert steps != [route["steps"] for route in before["extra_info"]["routes"]]
        assert not any(route["sound"] for route in after["extra_info"]["routes"])
    shown = [len(row["extra_info"]["routes"]) for row in made]
    assert sorted(shown) == sorted(len(row["extra_info"]["routes"]) for row in ROWS)


def test_positives_become_chains_that_score() -> None:
    made = positives_as_sft(ROWS)
    assert len(made) == sum(r["label"] for row in ROWS for r in row["extra_info"]["routes"])
    golds = {row["extra_info"]["uid"]: row["reward_model"]["ground_truth"] for row in ROWS}
    for row in made:
        parsed = parse_response(row["messages"][1]["content"], 0)
        assert parsed.problems == () and parsed.answer == golds[row["uid"]]


def test_sums_are_right_and_the_tested_ones_are_never_trained_on() -> None:
    tested = held_out_sums(100)
    assert len({row["question"] for row in tested}) == 100
    rows = sft_rows(300, 1, "sft", {row["question"] for row in tested})
    for row in rows:
        question = row["messages"][0]["content"].partition("?")[0] + "?"
        assert question not in {other["question"] for other in tested}
        first, sign, second = question.removeprefix("What is ").removesuffix("?").split()
        gold = str(int(first) + int(second) * (1 if sign == "+" else -1))
        scored = compute_score("realm/math/unguided", row["messages"][1]["content"], gold)
        assert scored["acc"] == scored["format"] == 1.0
    assert problem(1, "sft", 3) == problem(1, "sft", 3) != problem(2, "sft", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    data = replace(STUDY.data, n_base=40, n_sft=40, n_train=60, n_val=10, arithmetic=12)
    study = replace(STUDY, data=data, arithmetic_questions=20)
    write_training(study, 1, made / "data")
    write_test(study, 400, made / "test")
    return made


def test_the_training_folder_has_a_bank_for_each_arm(folder: Path) -> None:
    counts = {path.stem: pq.read_metadata(path).num_rows for path in (folder / "data").glob("*.parquet")}
    assert counts["train"] == counts["train_positive"] == counts["train_mismatched"] == 60
    assert (counts["base"], counts["sft"], counts["val"]) == (52, 52, 20)
    assert counts["sft_positives"] > 52 + 30
    assert (folder / "data" / "done").exists()


def test_unseen_combinations_are_tested_and_not_trained_on(folder: Path) -> None:
    documents = tasks.read_documents(folder / "test", "test.jsonl", guided=True)
    assert len(documents) == 400 and 3 <= sum(doc["unseen"] for doc in documents) <= 40
    assert all(doc["routes"] and doc["data_source"].endswith("/guided") for doc in documents)
    bare = tasks.read_documents(folder / "test", "test.jsonl", guided=False)
    assert not any("routes" in doc for doc in bare)
    sums = tasks.read_documents(folder / "test", "arithmetic.jsonl", guided=False)
    assert {doc["data_source"] for doc in sums} == {"realm/math/unguided"}
    assert tasks.score(sums[0], [f"<answer> {sums[0]['gold']} </answer>"]) == {"acc": 1.0}


def test_lm_eval_finds_the_tasks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm_tasks = pytest.importorskip("lm_eval.tasks")
    monkeypatch.setenv(tasks.VARIABLE, str(folder / "test"))
    manager = lm_tasks.TaskManager(include_path=tasks.FOLDER, include_defaults=False)
    names = ["study_unguided", "study_guided", "study_arithmetic"]
    assert sorted(manager.all_tasks) == sorted(names)
    loaded = manager.load(names)["tasks"]
    assert {name: len(loaded[name].eval_docs) for name in names} == {
        "study_unguided": 400, "study_guided": 400, "study_arithmetic": 20,
    }  # fmt: skip
    first = loaded["study_guided"].eval_docs[0]
    assert "Routes to judge:" in loaded["study_guided"].doc_to_text(first)
    assert "Routes" not in loaded["study_arithmetic"].doc_to_text(loaded["study_arithmetic"].eval_docs[0])
