"""Banks as files: what is one, rows in groups, and the routes of RL rows as a bank."""

from pathlib import Path

import pytest

from data_prep import on_disk
from data_prep.routes.bank import (
    UNKNOWN_WRITER,
    Question,
    bank_files,
    bank_from_rl,
    by_question,
    questions_of,
    read_bank,
    size_of,
)
from data_prep.schema import BANK_SCHEMA
from reward_fns.content import content_uid
from reward_fns.routes import Route
from tests.data_prep.routes.banks import bank_rows, question_of, rl_rows, write_bank, write_rl

ROUTE = Route(("a step",), "3", False, None, 0, "a")


def test_files_of_a_bank(tmp_path: Path) -> None:
    write_bank(tmp_path / "b.parquet", bank_rows(2))
    write_bank(tmp_path / "a.parquet", bank_rows(2))
    write_rl(tmp_path / "train.parquet", rl_rows(2))
    (tmp_path / "README.md").write_text("a card")
    assert [file.name for file in bank_files(tmp_path)] == ["a.parquet", "b.parquet"]
    assert bank_files(tmp_path / "train.parquet") == [tmp_path / "train.parquet"]


def test_no_bank_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        bank_files(tmp_path / "nothing")
    write_rl(tmp_path / "train.parquet", rl_rows(2))
    with pytest.raises(ValueError, match=r"holds no route bank \(train\.parquet\)"):
        bank_files(tmp_path)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(ValueError, match="cannot be read as parquet"):
        bank_files(tmp_path / "torn.parquet")


def test_rl_rows_as_a_bank(tmp_path: Path) -> None:
    twice = [row for row in rl_rows(3, routes=[ROUTE]) for _ in range(2)]
    rows = list(bank_from_rl(twice))
    assert len(rows) == 3, "a question of validation stands twice"
    question, gold = question_of(1)
    assert rows[1] == {
        "uid": content_uid(question, gold),
        "domain": "math",
        "question": question,
        "gold": gold,
        "steps": ["a step"],
        "answer": "3",
        "label": False,
        "sound": None,
        "first_error": 0,
        "source": "a",
        "writer": UNKNOWN_WRITER,
        "stale": False,
    }
    assert list(read_bank(write_rl(tmp_path / "rl.parquet", twice))) == rows


def test_a_bad_rl_row_is_named(tmp_path: Path) -> None:
    rows = list(rl_rows(3))
    rows[1]["prompt"] = [{"role": "system", "content": "x"}]
    with pytest.raises(ValueError, match="row 1: the prompt has no user message"):
        list(bank_from_rl(rows))
    with pytest.raises(ValueError, match=r"rl\.parquet: row 1: "):
        list(questions_of(write_rl(tmp_path / "rl.parquet", rows)))


def test_a_users_row_without_uid_gets_its_hash() -> None:
    row = {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
        "reward_model": {"ground_truth": "18"},
    }
    question = Question.of(row)
    assert (question.uid, question.domain, question.text) == (content_uid("q", "18"), "math", "q")


def test_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "BUCKET_BYTES", 5_000)
    path = write_bank(tmp_path / "bank.parquet", bank_rows(50, 4))
    halves = list(read_bank(path))
    halves = halves[::2] + halves[1::2]
    groups = dict(by_question(halves, BANK_SCHEMA, scratch=tmp_path / "scratch", size=size_of([path])))
    assert len(groups) == 50 and all(len(rows) == 4 for rows in groups.values())
    assert list(groups) == sorted(groups, key=on_disk.key_of)
    assert groups[halves[0]["uid"]][0] == halves[0], "rows of a group as they came"
