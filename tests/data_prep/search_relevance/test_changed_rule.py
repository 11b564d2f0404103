"""The committed changed-rule questions are what the generator makes, and sound by the engine."""

from collections import Counter
from pathlib import Path

import pytest

from data_prep.search_relevance.changed_rule import QUESTIONS_OF_A_KIND, changed_rule_rows, write_rows
from eval_tasks.bundled import DATA, read_rows
from reward_fns.domains.search_relevance.edits import EDITS
from reward_fns.domains.search_relevance.engine import decide
from reward_fns.domains.search_relevance.question import parse_question

FILE = DATA / "changed_rule_test.jsonl"


def test_committed_file_is_what_the_function_makes(tmp_path: Path) -> None:
    write_rows(tmp_path / FILE.name)
    assert (tmp_path / FILE.name).read_bytes() == FILE.read_bytes(), (
        f"run `python -m data_prep.search_relevance.changed_rule {FILE}` and raise metadata.version of the tasks"
    )


def test_rows_are_the_engine_s_under_both_rule_books() -> None:
    rows = changed_rule_rows(per_kind=10)
    assert Counter((row["edit"], row["affected"]) for row in rows) == {
        (name, affected): 10 for name in EDITS for affected in (True, False)
    }
    for row in rows:
        asked = parse_question(row["question"])
        old, new = decide(*asked), decide(*asked, EDITS[row["edit"]].book)
        assert (row["gold"], row["rule"]) == (new.label, new.rule)
        assert (row["old_gold"], row["old_rule"]) == (old.label, old.rule)
        assert row["affected"] == (old.label != new.label)


def test_questions_are_new_and_stand_once() -> None:
    questions = [row["question"] for row in changed_rule_rows()]
    assert len(set(questions)) == len(questions)
    assert not set(questions) & {
        row["question"] for row in read_rows("search_relevance_test.jsonl", "search_relevance", False)
    }


def test_no_single_label_answers_the_affected_questions() -> None:
    golds = Counter(row["gold"] for row in changed_rule_rows() if row["affected"])
    assert sum(golds.values()) == len(EDITS) * QUESTIONS_OF_A_KIND
    assert max(golds.values()) < 0.6 * sum(golds.values())


def test_an_edit_that_changes_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from data_prep.search_relevance import changed_rule

    monkeypatch.setattr(changed_rule, "_MOST_DRAWS", 5)
    with pytest.raises(RuntimeError, match="price_gap affects too few questions in 5 draws"):
        changed_rule_rows()
