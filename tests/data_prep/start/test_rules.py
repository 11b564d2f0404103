"""A team's rule book: read as domains read theirs, errors with the line."""

from pathlib import Path

import pytest

from data_prep.start.rules import read_rules, unmentioned
from reward_fns.domains import get

RULE = "- id: {}\n  name: n\n  precedence: {}\n  text: Money is Billing.\n  example: x -> Billing\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_built_in_rule_book(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "reward_fns" / "domains" / "search_relevance" / "rules.yaml"
    assert read_rules(source) == get("search_relevance").rules


def test_labels_without_a_rule(tmp_path: Path) -> None:
    rules = read_rules(write(tmp_path / "r.yaml", RULE.format("A", 1)))
    assert unmentioned(["billing", "Other"], rules) == ["Other"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- id: [", "line 1: not YAML"),
        ("# rules\n- id: A\n\tname: x\n", "line 3: not YAML"),
        ("", "line 1: a rule book is a list of rules"),
        ("[]", "line 1: a rule book is a list of rules"),
        ("A: text\n", "line 1: a rule book is a list of rules"),
        (RULE.format("A", 1) + "- text\n", "line 6: a rule has exactly the fields"),
        (RULE.format("A", 1) + "- id: B\n", "line 6: a rule has exactly the fields"),
        (RULE.format("A", 1) + RULE.format("B", "high"), "line 6: precedence is a whole number"),
        (RULE.format("A", 1) + RULE.format("B", ""), "line 6: precedence is a whole number"),
        (RULE.format("A", 1) + RULE.format("B", 2) + RULE.format("A", 3), "line 11: rules share the id A"),
        (RULE.format("A", 1) + RULE.format("B", 1), "line 6: rules share the precedence 1"),
        ("- !!python/object:os.system {}\n", "line 1: could not determine a constructor"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rules(write(tmp_path / "r.yaml", text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_rules(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="cannot be read"):
        read_rules(tmp_path / "bad.yaml")
