"""GSM8K: the real files convert, labels agree with the published ones, bad lines and solutions are kept apart."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.contamination_sources import overlap_filters
from data_prep.schema import RL_SCHEMA
from data_prep.sources import SOURCES
from data_prep.sources.convert import Options, convert
from data_prep.sources.gsm8k_routes import SMOKE_WARNING
from reward_fns import compute_score
from reward_fns.domains.math import DOMAIN


def write_lines(path: Path, *lines: object) -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return str(path)


def solution(text: object, right: bool) -> dict[str, Any]:
    return {"solution": text, "is_correct": right}


def read(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    assert table.schema == RL_SCHEMA
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_rejects(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]


def test_real_questions(shared_data: Path, tmp_path: Path) -> None:
    converted = convert(
        SOURCES["gsm8k"], str(shared_data / "gsm8k" / "test.jsonl"), tmp_path, Options(split="test")
    )
    rows = read(tmp_path / "test.parquet")
    assert len(rows) == 1319 and not converted.dropped and not (tmp_path / "rejects.jsonl").exists()
    assert {(r["data_source"], r["extra_info"]["regime"]) for r in rows} == {
        ("realm/math/unguided", "unguided")
    }
    for row in rows:
        gold = row["reward_model"]["ground_truth"]
        assert DOMAIN.check_row(row) == []
        assert compute_score(row["data_source"], f"<answer> {gold} </answer>", gold)["outcome"] == 1.0


def test_real_routes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "gsm8k" / "example_model_solutions.jsonl"
    converted = convert(SOURCES["gsm8k-routes"], str(source), tmp_path)
    rows = read(tmp_path / "routes.parquet")
    assert len(rows) == 700
    assert all(DOMAIN.check_row(row) == [] for row in rows)
    assert {(row["extra_info"]["split"], row["extra_info"]["regime"]) for row in rows} == {("test", None)}
    routes = [route for row in rows for route in row["extra_info"]["routes"]]
    assert len(routes) + sum(converted.dropped.values()) == 2800
    assert {r["source"] for r in routes} == {
        f"{n}b_{k}" for n in (6, 175) for k in ("finetuning", "verification")
    }
    assert {(r["sound"], r["first_error"]) for r in routes} == {(None, None)}
    assert {r["label"] for r in routes} == {True, False}
    assert converted.notes == (f"0 of {len(routes)} labels differ from the published ones",)
    assert SMOKE_WARNING in (tmp_path / "README.md").read_text()
    assert len(read_rejects(tmp_path)) == sum(converted.dropped.values()) > 0


def test_bad_questions_are_refused_with_row_and_reason(tmp_path: Path) -> None:
    good = {"question": "1+1?", "answer": "one and one\n#### 2"}
    source = write_lines(
        tmp_path / "in.jsonl",
        good,
        "{not json",
        [1],
        {"question": "q"},
        {"question": "q", "answer": "no mark"},
        {"question": "q", "answer": "#### 1 or 2"},
        {"question": "half \ud800", "answer": "#### 2"},
        good,
        {"question": "1+1+1?", "answer": "#### 3"},
        {"question": "1+1+1?", "answer": "#### 4"},
        "",
    )
    converted = convert(SOURCES["gsm8k"], source, tmp_path / "out")
    (row,) = read(tmp_path / "out" / "train.parquet")
    assert row["reward_model"]["ground_truth"] == "2" and row["extra_info"]["regime"] is None
    rejects = read_rejects(tmp_path / "out")
    assert [(r["file"], r["row"], r["reason"].removeprefix("row: ")[:22]) for r in rejects] == [
        ("in.jsonl", 2, "not JSON"),
        ("in.jsonl", 3, "not a JSON object"),
        ("in.jsonl", 4, "no text under `answer`"),
        ("in.jsonl", 5, "no readable gold answe"),
        ("in.jsonl", 6, "no readable gold answe"),
        ("in.jsonl", 7, "no text under `questio"),
        ("in.jsonl", 8, "question repeated"),
        ("in.jsonl", 9, "question repeated with"),
        ("in.jsonl", 10, "question repeated with"),
    ]
    assert sum(converted.dropped.values()) == len(rejects)
    assert converted.dropped["row: question repeated with another answer"] == 2
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["dropped"] == converted.dropped


def test_bad_solutions_cost_the_route_and_disagreements_are_counted(tmp_path: Path) -> None:
    source = write_lines(
        tmp_path / "in.jsonl",
        {
            "question": "1+1?",
            "ground_truth": "A: 2",
            "a": solution("one and one\nA: 2", False),
            "b": solution("one and one\n#### 3", False),
            "c": solution("one and one\nA: 2", True),
            "d": solution("A: 2", True),
            "e": solution("never ends", False),
            "f": solution(None, False),
        },
        {"question": "2+2?", "ground_truth": "A: 4", "a": solution("cut", False)},
    )
    converted = convert(SOURCES["gsm8k-routes"], source, tmp_path / "out")
    (row,) = read(tmp_path / "out" / "routes.parquet")
    routes = row["extra_info"]["routes"]
    assert [(r["source"], r["steps"], r["answer"], r["label"]) for r in routes] == [
        ("a", ["one and one"], "2", True),
        ("b", ["one and one"], "3", False),
    ]
    assert converted.notes == ("1 of 2 labels differ from the published ones",)
    assert converted.dropped == {
        "route: text of another route": 1,
        "route: no step before the answer line": 1,
        "route: no answer line (`A: N` or `#### N`) at the end": 2,
        "route: no text under `solution`": 1,
        "row: no usable solution": 1,
    }


def test_the_overlap_check_flags_every_test_question(shared_data: Path, tmp_path: Path) -> None:
    against = overlap_filters([f"gsm8k_test={shared_data / 'gsm8k' / 'test.jsonl'}"])
    solutions = str(shared_data / "gsm8k" / "example_model_solutions.jsonl")
    with pytest.raises(ValueError, match=r"overlap with the evaluation set gsm8k_test \(700\)"):
        convert(SOURCES["gsm8k-routes"], solutions, tmp_path, filters=lambda: against)
