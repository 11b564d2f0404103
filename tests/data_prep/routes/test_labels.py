"""Labels by the domain's verifier, in place and repeatable; staleness; first errors by a teacher that sees the answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.routes.bank import read_bank
from data_prep.routes.first_errors import NO_STEP, Annotator, error_prompt, majority, parse_reply
from data_prep.routes.labels import Labelled, is_stale, label_bank, relabel
from data_prep.schema import BANK_SCHEMA, bank_row
from reward_fns.routes import Route
from tests.data_prep.routes.banks import bank_rows, rl_rows, write_bank, write_rl


def row(
    answer: str, label: bool, source: str = "student", writer: str = "old", **changes: Any
) -> dict[str, Any]:
    route = Route(("12 + 2 = 14", "14 + 1 = 16", "so 16"), answer, label, None, None, source)
    return bank_row("q", "15", route, domain="math", writer=writer) | changes


def test_labels_follow_the_verifier() -> None:
    labelled = Labelled()
    rows = [
        row("15.0", False),
        row("16", True),
        row("15", True, sound=False, first_error=1),
        row("1 or 2", False),
    ]
    made = list(relabel(rows, labelled))
    assert [r["label"] for r in made] == [True, False, True, False]
    assert (made[2]["sound"], made[2]["first_error"]) == (False, 1), "what is known of the reasoning stays"
    assert (labelled.turned_right, labelled.turned_wrong, labelled.right, labelled.unreadable) == (1, 1, 2, 1)


def test_only_the_students_own_routes_grow_stale() -> None:
    assert is_stale(row("1", False), "new") and not is_stale(row("1", False), "old")
    assert not is_stale(row("1", False, source="teacher/x"), "new")
    made = list(relabel([row("1", False, stale=True), row("1", False, stale=True)], Labelled(), "old"))
    assert [r["stale"] for r in made] == [False, False]
    made = list(relabel([row("1", False, stale=True)], Labelled()))
    assert made[0]["stale"], "without a student the mark stays"


def test_a_bank_in_place_is_the_same_the_second_time_and_keeps_its_footer(tmp_path: Path) -> None:
    wrong_way_round = [r | {"label": not r["label"]} for r in bank_rows(20)]
    schema = BANK_SCHEMA.with_metadata({b"realm.sampled": b"kept"})
    write_bank(tmp_path / "a.parquet", wrong_way_round)
    table = pq.read_table(tmp_path / "a.parquet").cast(schema)
    pq.write_table(table.replace_schema_metadata({b"realm.sampled": b"kept"}), tmp_path / "a.parquet")
    labelled = label_bank(tmp_path)
    assert labelled.turned_right + labelled.turned_wrong == labelled.rows == 160
    assert list(read_bank(tmp_path)) == list(bank_rows(20))
    first = (tmp_path / "a.parquet").read_bytes()
    assert label_bank(tmp_path).turned_right == 0
    assert (tmp_path / "a.parquet").read_bytes() == first
    assert pq.read_schema(tmp_path / "a.parquet").metadata[b"realm.sampled"] == b"kept"


def test_an_rl_parquet_is_not_labelled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is an RL parquet, not a bank"):
        label_bank(write_rl(tmp_path / "a.parquet", rl_rows(1)))


@pytest.mark.parametrize(
    ("reply", "step"),
    [
        ("... first wrong step: 2", 2),
        ("**First wrong step:** 3.", 3),
        ("first wrong step: none", NO_STEP),
        ("first wrong step: 1\non reflection, first wrong step: 2", 2),
        ("first wrong step: 9", None),
        ("first wrong step: 0", None),
        ("no idea", None),
        ("", None),
        ("x" * 10**6 + " first wrong step: 1", 1),
    ],
)
def test_replies(reply: str, step: int | None) -> None:
    assert parse_reply(reply, 3) == step


def test_majority_is_of_all_replies() -> None:
    assert majority([2, 2, 1]) == 2 and majority([2, None, None]) is None
    assert majority([2, 1, 3]) is None and majority([0, 0, 2]) == NO_STEP and majority([]) is None


class Scripted:
    """A teacher with a reply for each answer of a route, in turn."""

    def __init__(self, replies: dict[str, list[str]]) -> None:
        self.replies = replies
        self.prompts: list[str] = []

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        self.prompts += prompts
        return [self.replies[p.partition("Their answer: ")[2].partition("\n")[0]].pop(0) for p in prompts]


def test_a_teacher_that_sees_the_answer_finds_first_errors(tmp_path: Path) -> None:
    rows = [
        row("16", False),
        row("17", False),
        row("15", True),
        row("18", False),
        row("19", False, sound=False),
    ]
    write_bank(tmp_path / "a.parquet", rows)
    step, none = "first wrong step: 2", "first wrong step: none"
    teacher = Scripted(
        {"16": [step, none, step], "17": [step, none, "?"], "15": [none] * 3, "18": [none] * 3}
    )
    annotator = Annotator(teacher)
    labelled = label_bank(tmp_path, annotate=annotator)
    made = list(read_bank(tmp_path))
    assert [(r["sound"], r["first_error"]) for r in made] == [
        (False, 1),
        (None, None),
        (True, None),
        (None, None),
        (False, None),
    ]
    assert labelled.first_errors == 1 and labelled.known_sound == 3
    assert annotator.counts == {
        "first error found": 1,
        "no majority": 1,
        "sound": 1,
        "no wrong step found, but the answer is wrong": 1,
    }
    assert len(teacher.prompts) == 12, "what is known is not asked again"
    assert "Right answer: 15" in teacher.prompts[0] and "2. 14 + 1 = 16" in teacher.prompts[0]


def test_a_teacher_that_loses_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="0 replies to 3 prompts"):
        Annotator(lambda prompts: [])([row("16", False)])
    with pytest.raises(ValueError, match="samples=0"):
        Annotator(lambda prompts: [], samples=0)
    assert error_prompt(row("16", False)).endswith("`first wrong step: none`.")


@pytest.mark.parametrize("name", [None, "a.parquet"], ids=["folder", "file"])
def test_a_bank_that_is_being_changed_is_not_changed_by_another(tmp_path: Path, name: str | None) -> None:
    write_bank(tmp_path / "a.parquet", [row("16", True)])
    bank = tmp_path / name if name else tmp_path

    def meanwhile(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with pytest.raises(ValueError, match="is being changed by another process; wait for its end"):
            label_bank(bank)
        return rows

    assert label_bank(bank, annotate=meanwhile).turned_wrong == 1
    assert label_bank(bank).turned_wrong == 0, "afterwards it is free again"
