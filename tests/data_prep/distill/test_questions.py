"""Reading questions: every bad row has its number and reason, none is used."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.distill.questions import read_questions
from data_prep.schema import RL_SCHEMA, rl_row
from reward_fns import domains
from reward_fns.content import content_uid
from reward_fns.routes import Route

MATH = domains.get("math")
ROUTE = Route(("1 + 1 = 2",), "2", True, None, None, "p")


def test_jsonl(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"question": "1 + 1?", "gold": 2},
        {"question": " ", "gold": "2"},
        {"question": "1 + 2?"},
        {"question": "1 + 3?", "gold": "four or five"},
        {"question": "1 + 1?", "gold": "2"},
        {"question": "1 + 1?", "gold": "2.0"},
        {"question": "2?", "gold": "2", "routes": [{"steps": ["2"], "answer": "2", "label": False}]},
        {"question": "3?", "gold": "3", "routes": 5},
        {
            "question": "4?",
            "gold": "4",
            "split": "dev",
            "routes": [{"steps": ["5"], "answer": "5", "label": False}],
        },
        [],
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "{"]) + "\n")
    read = read_questions(path, MATH)
    assert [(q.text, q.gold, q.index, q.split, len(q.routes)) for q in read.questions] == [
        ("1 + 1?", "2", 0, "train", 0),
        ("4?", "4", 8, "dev", 1),
    ]
    assert read.questions[0].uid == content_uid("1 + 1?", "2")
    assert [(reject.row, reject.reason) for reject in read.rejects] == [
        (1, "no question"),
        (2, "no gold answer"),
        (3, "the domain math refuses the gold answer"),
        (4, "question repeated"),
        (5, "question repeated"),
        (6, "a route's label is not what its answer says"),
        (7, "routes cannot be read"),
        (9, "not a JSON object"),
        (10, "not JSON"),
    ]
    assert len(read_questions(path, MATH, limit=1).questions) == 1


def test_of_a_question_with_different_answers_no_row_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    golds = ["2", "3", "2"]
    rows = [{"question": "1 + 1?", "gold": gold} for gold in golds] + [{"question": "3?", "gold": "3"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    read = read_questions(path, MATH)
    assert [q.text for q in read.questions] == ["3?"]
    assert [(reject.row, reject.reason) for reject in read.rejects] == [
        (row, "question repeated with another answer") for row in range(3)
    ]


def test_parquet(tmp_path: Path) -> None:
    rows = [
        rl_row(f"{n}?", f"{n}", domain="math", index=n, split="train", routes=[ROUTE] * (n == 2))
        for n in range(4)
    ]
    rows[1]["prompt"].insert(0, {"role": "system", "content": "Be brief."})
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), tmp_path / "q.parquet")
    read = read_questions(tmp_path / "q.parquet", MATH)
    assert [(q.index, q.routes) for q in read.questions] == [(0, ()), (2, (ROUTE,)), (3, ())]
    assert [(reject.row, reject.reason) for reject in read.rejects] == [
        (1, "the prompt is not one user message")
    ]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    bad.write_text("no")
    with pytest.raises(ValueError, match="not a parquet file"):
        read_questions(bad, MATH)
    pq.write_table(pa.table({"a": [1]}), bad)
    with pytest.raises(ValueError, match="lacks the columns prompt, reward_model"):
        read_questions(bad, MATH)
    (tmp_path / "q.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="no row could be used .no question"):
        read_questions(tmp_path / "q.jsonl", MATH)
