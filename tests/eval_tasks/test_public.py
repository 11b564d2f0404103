"""Public sets and prepared files as documents: each format read, the same rows as data preparation's, clear errors."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
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
# One raw row of each set and its gold answer. Fields that a careless reader could take for the gold differ from it.
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "gsm8k": ({"question": "2 + 3?", "answer": "Add.\n#### 1,005"}, "1005"),
    "bbh": ({"input": "Is it so? Options: - Yes - No", "target": "Yes"}, "Yes"),
    "commonsense_qa": (
        {"question": "Where?", "choices": {"label": ["A", "B"], "text": ["here", "there"]}, "answerKey": "B"},
        "(B) there",
    ),
    "arc_challenge": (
        {
            "question": {
                "stem": "Which?",
                "choices": [{"text": "this", "label": "1"}, {"text": "that", "label": "2"}],
            },
            "answerKey": "2",
        },
        "(B) that",
    ),
    "finqa": (
        {
            "pre_text": ["In 2019 all was well."],
            "table": [["", "2018", "2019"], ["revenue", "175", "199"]],
            "post_text": [],
            "qa": {"question": "by how much did revenue grow?", "answer": "14%", "exe_ans": 0.1371},
        },
        "13.71%",
    ),
    "medqa": (
        {
            "question": "What now?",
            "options": {"B": "rest", "A": "Nitrofurantoin"},
            "answer_idx": "A",
            "answer": "rest",
        },
        "(A) Nitrofurantoin",
    ),
    "casehold": (
        {"context": "The court held", "endings": ["v", "w", "x", "y", "z"], "label": 4},
        "(E) z",
    ),
}
ASKED = {
    "gsm8k": "question",
    "bbh": "input",
    "commonsense_qa": "question",
    "medqa": "question",
    "casehold": "context",
}
"""The field that holds the question as a text of its own."""


def write_file(folder: Path, source: str, rows: list[dict[str, Any]], bom: bool = False) -> str:
    """A local file of the set, in its publisher's format; returns the option's value."""
    (folder / source).mkdir(parents=True)
    if source == "bbh":
        name, text = "navigate.json", json.dumps({"canary": "x", "examples": rows})
    elif source == "finqa":
        name, text = "test.json", json.dumps(rows)
    else:
        name, text = "test.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / source / name).write_text(text, encoding="utf-8-sig" if bom else "utf-8")
    return str(folder)


def write_rows(folder: Path, source: str) -> str:
    return write_file(folder, source, [ROWS[source][0]])


def asking(source: str, row: dict[str, Any], text: str) -> dict[str, Any]:
    """The row with another question."""
    if source == "finqa":
        return {**row, "qa": {**row["qa"], "question": text}}
    if source == "arc_challenge":
        return {**row, "question": {**row["question"], "stem": text}}
    return {**row, ASKED[source]: text}


def without_gold(source: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row as splits without answers have it."""
    if source == "finqa":
        return asking(source, {**row, "qa": {**row["qa"], "exe_ans": None}}, "no gold?")
    key = next(k for k in ("target", "answerKey", "answer_idx", "label", "answer") if k in row)
    return asking(source, {**row, key: ""}, "no gold?")


@pytest.mark.parametrize("source", SETS)
def test_local_rows_are_read_and_their_gold_scores_one(source: str, tmp_path: Path) -> None:
    (doc,) = read_set(source, write_rows(tmp_path, source), False)
    assert doc["gold"] == ROWS[source][1]
    assert score(doc, f"<answer> {doc['gold']} </answer>")["acc"] == 1.0
    assert score(doc, "<answer> 7777 </answer>")["acc"] == 0.0
    assert doc["uid"] == content_uid(doc["question"], doc["gold"])


def test_options_stand_under_their_letters(tmp_path: Path) -> None:
    (medqa,) = read_set("medqa", write_rows(tmp_path, "medqa"), False)
    assert (
        medqa["question"]
        == "What now?\n(A) Nitrofurantoin\n(B) rest\nAnswer with the letter of the right option."
    )
    (arc,) = read_set("arc_challenge", write_rows(tmp_path, "arc_challenge"), False)
    assert arc["question"].startswith("Which?\n(A) this\n(B) that\n")


def test_a_report_comes_before_its_question(tmp_path: Path) -> None:
    (doc,) = read_set("finqa", write_rows(tmp_path, "finqa"), False)
    assert doc["question"].splitlines()[0] == "In 2019 all was well."
    assert "revenue | 175 | 199\n\nQuestion: by how much" in doc["question"]


def test_the_hub_is_asked_where_no_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load_dataset(path: str, name: str | None, split: str) -> datasets.Dataset:
        asked.append((path, name, split))
        return datasets.Dataset.from_list([ROWS["casehold"][0]])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read_set("casehold", None, False)[0]["gold"] == "(E) z"
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


@pytest.mark.parametrize("source", SETS)
def test_raw_and_prepared_are_the_same(source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a byte order mark, a line separator inside a question, rows without a gold answer, and an equal row."""
    row = ROWS[source][0]
    rows = [row, without_gold(source, row), asking(source, row, "Is it\u2028so?"), row]
    raw = write_file(tmp_path / "raw", source, rows, bom=True)
    (file,) = (tmp_path / "raw" / source).iterdir()
    converted = convert(
        SOURCES[SETS[source].source], str(file), tmp_path / "data" / source, Options(split=SETS[source].split)
    )
    read = read_set(source, raw, False)
    assert f"realm_{source}: 1 rows left out: " in caplog.text
    assert f"realm_{source}: 1 of 3 rows have the uid of an earlier row; each counts" in caplog.text
    prepared = read_set(source, str(tmp_path / "data"), False)
    assert sum(converted.dropped.values()) == 1
    for doc in read:
        assert {doc.pop(key, "navigate") for key in ("subtask", "rule")} == {"navigate"}
    assert read == prepared and len(read) == 3
    assert len({doc["uid"] for doc in read}) == 3
    assert [prompt(doc) for doc in read] == [prompt(doc) for doc in prepared]


@pytest.mark.parametrize(
    ("source", "answer", "right"),
    [
        ("finqa", "13.7%", 1.0),
        ("finqa", "0.1371", 1.0),
        ("finqa", "13.71", 1.0),
        ("finqa", "14%", 0.0),
        ("medqa", "Nitrofurantoin", 1.0),
        ("medqa", "rest", 0.0),
        ("arc_challenge", "that", 1.0),
        ("commonsense_qa", "there", 1.0),
        ("casehold", "z", 1.0),
    ],
)
def test_a_raw_row_is_judged_as_training_does_it(
    source: str, answer: str, right: float, tmp_path: Path
) -> None:
    (doc,) = read_set(source, write_rows(tmp_path, source), False)
    assert score(doc, f"<answer> {answer} </answer>")["acc"] == right


def test_finqa_as_the_hub_has_it(tmp_path: Path) -> None:
    """Question and result beside the text, the result as a text."""
    published = ROWS["finqa"][0]
    flat = {key: value for key, value in published.items() if key != "qa"} | published["qa"]
    rows = [{**flat, "question": f"q{gold}", "exe_ans": gold} for gold in ("0.1371", "380.0", "yes", "n/a")]
    docs = read_set("finqa", write_file(tmp_path, "finqa", rows), False)
    assert [doc["gold"] for doc in docs] == ["13.71%", "380", "yes"]


@pytest.mark.parametrize("source", SETS)
def test_a_split_without_answers_is_one_error_that_names_the_right_one(source: str, tmp_path: Path) -> None:
    row = without_gold(source, ROWS[source][0])
    data = write_file(tmp_path, source, [row, row])
    with pytest.raises(
        ValueError, match=rf"realm_{source}: no row .*\(2\); give the split {SETS[source].split}"
    ):
        read_set(source, data, False)


def test_commonsense_qa_takes_its_validation_split(tmp_path: Path) -> None:
    row = ROWS["commonsense_qa"][0]
    data = write_file(tmp_path, "commonsense_qa", [without_gold("commonsense_qa", row)])
    with pytest.raises(
        ValueError, match="the published test split has no answers, take the split validation"
    ):
        read_set("commonsense_qa", data, False)
    (tmp_path / "commonsense_qa" / "validation.jsonl").write_text(json.dumps(row))
    (doc,) = read_set("commonsense_qa", data, False)
    assert doc["gold"] == "(B) there"


def test_unreadable_rows_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bbh").mkdir()
    rows = [{"input": "a?", "target": "?"}, {"input": "b?", "target": "no"}, {"target": "no"}]
    (tmp_path / "bbh" / "x.json").write_text(json.dumps({"examples": rows}))
    (tmp_path / "bbh" / "y.json").write_text("[")
    assert [doc["gold"] for doc in read_set("bbh", str(tmp_path), False)] == ["no"]
    assert "3 rows left out: the domain logic cannot read the gold answer" in caplog.text
    assert "no text under `input` (1), not JSON from here on (1)" in caplog.text


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
    with pytest.raises(FileNotFoundError, match="realm prep"):
        read_parquet(tmp_path / "none.parquet", False)
    with pytest.raises(ValueError, match="no row with routes"):
        read_parquet(write_prepared(tmp_path / "a.parquet", [make_row("q?")]), True)
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "b.parquet")
    (tmp_path / "c.jsonl").write_text("{}")
    with pytest.raises(ValueError, match="c.jsonl is no parquet file"):
        read_parquet(tmp_path / "c.jsonl", False)
    with pytest.raises(ValueError, match="lacks the columns data_source"):
        read_parquet(tmp_path / "b.parquet", False)


def in_verl_s_schema(n: int, **extra: Any) -> list[dict[str, Any]]:
    return [
        {
            "data_source": "openai/gsm8k",
            "prompt": [{"role": "user", "content": f"{i} + 1?"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"split": "test", "index": i, **extra},
        }
        for i in range(n)
    ]


@pytest.mark.parametrize("extra", [{}, {"uid": None}, {"uid": "same"}])
def test_rows_in_verl_s_schema_are_as_many_questions(
    extra: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = in_verl_s_schema(40, **extra)
    pq.write_table(pa.Table.from_pylist([*rows, rows[0]]), tmp_path / "verl.parquet")
    docs = prepared.load(str(tmp_path / "verl.parquet"))["test"]
    assert len(docs) == len(set(docs["uid"])) == 41
    assert docs["uid"] == prepared.load(str(tmp_path / "verl.parquet"))["test"]["uid"]
    if not extra:
        assert docs["uid"][0] == content_uid("0 + 1?", "1") and docs["uid"][40] == docs["uid"][0] + "-2"
        assert "1 of 41 rows have the uid of an earlier row; each counts" in caplog.text


@pytest.mark.parametrize(
    ("golds", "gold"), [([["1"], ["2"]], "1"), ([["1", "one"], ["2"]], ["1", "one"]), ([1, 2], "1")]
)
def test_gold_answers_in_other_people_s_forms(golds: list[Any], gold: Any, tmp_path: Path) -> None:
    rows = [
        {**row, "reward_model": {"style": "rule", "ground_truth": own}}
        for row, own in zip(in_verl_s_schema(2), golds, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    doc = prepared.load(str(tmp_path / "a.parquet"))["test"][0]
    assert doc["gold"] == gold
    assert (score(doc, "<answer> 1 </answer>")["acc"], score(doc, "so 1")["acc_flexible"]) == (1.0, 0.0)
    assert score(doc, "The answer is 1.")["acc_flexible"] == 1.0


def test_rows_without_a_gold_answer_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = in_verl_s_schema(3)
    rows[1]["reward_model"] = {"style": "rule", "ground_truth": None}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [doc["gold"] for doc in read_parquet(tmp_path / "a.parquet", False)] == ["1", "3"]
    assert "1 of 3 rows have no readable gold answer and are left out" in caplog.text


def test_rows_without_extra_info_are_read(tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_pylist([{**row, "extra_info": None} for row in in_verl_s_schema(2)]),
        tmp_path / "a.parquet",
    )
    assert len(read_parquet(tmp_path / "a.parquet", False)) == 2


def test_rows_without_routes_are_left_out_of_a_guided_task_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [make_row("with?", routes=ROUTES), make_row("without?")]
    (doc,) = read_parquet(write_prepared(tmp_path / "a.parquet", rows), True)
    assert doc["question"] == "with?" and "1 of 2 rows have no routes and are left out" in caplog.text


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
