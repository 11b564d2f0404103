"""Public sets and prepared files as documents: each format read, the same rows as data preparation's, clear errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from data_prep.outputs import write_parquet
from data_prep.schema import RL_SCHEMA, rl_row
from data_prep.sources import SOURCES
from data_prep.sources.convert import Options, convert
from eval_tasks import prepared
from eval_tasks.prepared import MAX_ROUTES, read_parquet
from eval_tasks.public import SETS, read_set
from eval_tasks.scoring import prompt, score
from reward_fns.content import content_uid
from reward_fns.routes import Route

ROUTES = [Route(("2 + 3 = 5",), "5", True, True, None, "a"), Route(("2 + 3 = 6",), "6", False, False, 0, "a")]
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "gsm8k": ({"question": "2 + 3?", "answer": "Add.\n#### 1,005"}, "1005"),
    "bbh": ({"input": "Is it so? Options: - Yes - No", "target": "Yes"}, "Yes"),
    "commonsense_qa": (
        {"question": "Where?", "choices": {"label": ["A", "B"], "text": ["here", "there"]}, "answerKey": "B"},
        "B",
    ),
    "arc_challenge": (
        {
            "question": {
                "stem": "Which?",
                "choices": [{"text": "this", "label": "1"}, {"text": "that", "label": "2"}],
            },
            "answerKey": "2",
        },
        "B",
    ),
    "finqa": (
        {
            "pre_text": ["In 2019 all was well."],
            "table": [["", "2018", "2019"], ["revenue", "100", "112"]],
            "post_text": [],
            "qa": {"question": "by how much did revenue grow?", "answer": "12%", "exe_ans": 0.12},
        },
        "12%",
    ),
    "medqa": (
        {"question": "What now?", "options": {"B": "rest", "A": "run"}, "answer_idx": "A", "answer": "run"},
        "A",
    ),
    "casehold": ({"context": "The court held", "endings": ["a", "b", "c", "d", "e"], "label": 4}, "E"),
}


def write_rows(folder: Path, source: str) -> str:
    """A local file of the set; returns the option's value."""
    (folder / source).mkdir()
    row = ROWS[source][0]
    if source == "bbh":
        (folder / source / "navigate.json").write_text(json.dumps({"examples": [row]}))
    elif source == "finqa":
        (folder / source / "test.json").write_text(json.dumps([row]))
    else:
        (folder / source / "test.jsonl").write_text(json.dumps(row) + "\n")
    return str(folder)


@pytest.mark.parametrize("source", SETS)
def test_local_rows_are_read_and_their_gold_scores_one(source: str, tmp_path: Path) -> None:
    (doc,) = read_set(source, write_rows(tmp_path, source), False)
    assert doc["gold"] == ROWS[source][1]
    assert score(doc, f"<answer> {doc['gold']} </answer>")["acc"] == 1.0
    assert score(doc, "<answer> 7777 </answer>")["acc"] == 0.0
    assert doc["uid"] == content_uid(doc["question"], doc["gold"])


def test_options_stand_under_their_letters(tmp_path: Path) -> None:
    (medqa,) = read_set("medqa", write_rows(tmp_path, "medqa"), False)
    assert medqa["question"] == "What now?\n(A) run\n(B) rest"
    (arc,) = read_set("arc_challenge", write_rows(tmp_path, "arc_challenge"), False)
    assert arc["question"] == "Which?\n(A) this\n(B) that"


def test_a_report_comes_before_its_question(tmp_path: Path) -> None:
    (doc,) = read_set("finqa", write_rows(tmp_path, "finqa"), False)
    assert doc["question"].splitlines()[0] == "In 2019 all was well."
    assert "revenue | 100 | 112\n\nby how much" in doc["question"]


def test_the_hub_is_asked_where_no_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load_dataset(path: str, name: str | None, split: str) -> datasets.Dataset:
        asked.append((path, name, split))
        return datasets.Dataset.from_list([ROWS["casehold"][0]])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read_set("casehold", None, False)[0]["gold"] == "E"
    assert asked == [("coastalcph/lex_glue", "case_hold", "test")]

    def offline(path: str, name: str | None, split: str) -> datasets.Dataset:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(
        FileNotFoundError, match="offline, give --metadata data=FOLDER with FOLDER/casehold/test.json"
    ):
        read_set("casehold", None, False)


def test_all_parts_of_a_set_come_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    rows = {name: [{"input": f"Is it {name}?", "target": "Yes"}] for name in ("navigate", "word_sorting")}
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda path: list(rows))
    monkeypatch.setattr(
        datasets, "load_dataset", lambda path, name, split: datasets.Dataset.from_list(rows[name])
    )
    assert [doc["rule"] for doc in read_set("bbh", None, False)] == list(rows)


def test_unreadable_gold_is_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bbh").mkdir()
    rows = [{"input": "a?", "target": "?"}, {"input": "b?", "target": "no"}]
    (tmp_path / "bbh" / "x.json").write_text(json.dumps({"examples": rows}))
    assert [doc["gold"] for doc in read_set("bbh", str(tmp_path), False)] == ["no"]
    assert "1 rows left out" in caplog.text


@pytest.mark.parametrize("guided", [False, True])
def test_missing_files_are_named(tmp_path: Path, guided: bool) -> None:
    with pytest.raises(FileNotFoundError, match="gsm8k"):
        read_set("gsm8k", str(tmp_path), guided)


def test_guided_needs_routes() -> None:
    with pytest.raises(ValueError, match="gsm8k/routes.parquet"):
        read_set("gsm8k", None, True)
    with pytest.raises(ValueError, match="--metadata data=FILE.parquet"):
        prepared.load()


# ------------------------------ prepared files ------------------------------


def write_prepared(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path, rows, RL_SCHEMA, config="rl", split="test")
    return path


def make_row(question: str, **more: Any) -> dict[str, Any]:
    return rl_row(question, "5", domain="math", index=0, split="test", **more)


def test_prepared_rows_come_first(tmp_path: Path) -> None:
    write_rows(tmp_path, "gsm8k")
    write_prepared(tmp_path / "gsm8k" / "test.parquet", [make_row("prepared?")])
    assert [doc["question"] for doc in read_set("gsm8k", str(tmp_path), False)] == ["prepared?"]


def test_each_question_of_a_validation_file_counts_once(tmp_path: Path) -> None:
    rows = [make_row("q?", routes=ROUTES, regime=regime) for regime in ("unguided", "guided")]
    path = write_prepared(tmp_path / "val.parquet", rows)
    (plain,), (guided,) = read_parquet(path, False), read_parquet(path, True)
    assert "routes" not in plain and len(guided["routes"]) == 2 and guided["right_share"] == 0.5
    assert (plain["data_source"], guided["data_source"]) == ("realm/math/unguided", "realm/math/guided")
    assert "Routes to judge" in prompt(guided) and "Routes to judge" not in prompt(plain)


def test_a_folder_stands_for_its_test_file_and_long_banks_are_cut(tmp_path: Path) -> None:
    write_prepared(tmp_path / "test.parquet", [make_row("q?", routes=ROUTES * 5)])
    (doc,) = prepared.load(str(tmp_path), guided=True, pretrained="a model")["test"]
    assert len(doc["routes"]) == MAX_ROUTES


def test_a_system_message_is_kept_and_a_dialogue_refused(tmp_path: Path) -> None:
    row = make_row("q?")
    row["prompt"] = [{"role": "system", "content": "Be brief."}, *row["prompt"]]
    (doc,) = read_parquet(write_prepared(tmp_path / "a.parquet", [row]), False)
    assert (doc["system"], doc["question"]) == ("Be brief.", "q?")
    row["prompt"] = [*row["prompt"], {"role": "assistant", "content": "5"}]
    with pytest.raises(ValueError, match="one user message"):
        read_parquet(write_prepared(tmp_path / "b.parquet", [row]), False)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pytest.raises(FileNotFoundError, match="realm prep"):
        read_parquet(tmp_path / "none.parquet", False)
    with pytest.raises(ValueError, match="no row with routes"):
        read_parquet(write_prepared(tmp_path / "a.parquet", [make_row("q?")]), True)
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="lacks the columns data_source"):
        read_parquet(tmp_path / "b.parquet", False)


# ------------------------------ real files ------------------------------


def test_gsm8k_is_data_preparation_s(shared_data: Path, tmp_path: Path) -> None:
    raw = read_set("gsm8k", str(shared_data), False)
    convert(
        SOURCES["gsm8k"], str(shared_data / "gsm8k" / "test.jsonl"), tmp_path / "gsm8k", Options(split="test")
    )
    converted = read_set("gsm8k", str(tmp_path), False)
    assert len(raw) == len(converted) == 1_319
    assert [(doc["uid"], prompt(doc)) for doc in raw] == [(doc["uid"], prompt(doc)) for doc in converted]


def test_bbh_golds_are_all_read(shared_data: Path) -> None:
    docs = read_set("bbh", str(shared_data), False)
    assert len(docs) == 1_396 and {doc["rule"] for doc in docs} >= {"navigate", "object_counting"}
    assert all(score(doc, f"<answer> {doc['gold']} </answer>")["acc"] == 1.0 for doc in docs)


def test_model_solutions_guide_gsm8k(shared_data: Path, tmp_path: Path) -> None:
    convert(
        SOURCES["gsm8k-routes"],
        str(shared_data / "gsm8k" / "example_model_solutions.jsonl"),
        tmp_path / "gsm8k",
    )
    docs = read_set("gsm8k", str(tmp_path), True)
    assert len(docs) >= 690 and all(2 <= len(doc["routes"]) <= 4 for doc in docs[:50])
