"""Which column is what: guessed from names and values, overridden by a map, refused with the columns there are."""

from typing import Any

import pytest

from data_prep.start.columns import Columns, find_columns


def rows(*names: str, n: int = 40) -> list[dict[str, Any]]:
    return [{name: f"{name} {i}" for name in names} | {"mood": "good" if i % 3 else "bad"} for i in range(n)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("text", "label"), Columns("label", ("text", "mood"))),
        (
            ("ticket_id", "Message", "Verdict", "created_at"),
            Columns("Verdict", ("Message", "mood"), None, "created_at"),
        ),
        (("query", "title", "esci_label"), Columns("esci_label", ("query", "title", "mood"), "query")),
        (("query", "label", "annotator"), Columns("label", ("query", "mood"), "query")),
        (("customer_id", "body", "class"), Columns("class", ("body", "mood"), "customer_id")),
        (("text",), Columns("mood", ("text",))),
    ],
)
def test_guesses(names: tuple[str, ...], expected: Columns) -> None:
    assert find_columns(rows(*names), None) == expected


def test_a_map_overrides_each_role() -> None:
    data = rows("query", "title", "label", "date")
    assert find_columns(data, "label=mood,input=title+query,group=none,time=none") == Columns(
        "mood", ("title", "query")
    )
    assert find_columns(data, "input=title").group is None, "one input: nothing to group by"


def test_a_column_that_numbers_the_rows_is_no_input() -> None:
    """It would make every input different, and hide each conflict."""
    data = [{"ticket": f"T-{i}", "text": f"text {i}", "size": i % 4, "label": "xy"[i % 2]} for i in range(40)]
    assert find_columns(data, None).inputs == ("text", "size")


def test_the_mapping_is_described_with_what_is_not_used() -> None:
    columns = Columns("label", ("query", "title"), "query", "date")
    assert columns.describe(["id", "query", "title", "label", "date"]) == (
        "label=label,input=query+title,group=query,time=date   (not used: id)"
    )
    assert Columns("a", ("b",)).describe(["a", "b"]) == "label=a,input=b"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("label=nope", "no column nope; the columns are text, label, mood"),
        ("label=text+mood", "label takes one column"),
        ("colour=text", "role=column"),
        ("input=none", "no column none"),
    ],
)
def test_bad_maps(given: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_columns(rows("text", "label"), given)


def test_no_guess_is_better_than_a_wild_one() -> None:
    several = [{"a": i % 2, "b": i % 3, "text": str(i)} for i in range(40)]
    with pytest.raises(ValueError, match="cannot tell which column holds the label.*a, b, text"):
        find_columns(several, None)
    with pytest.raises(ValueError, match="no column to make a question of"):
        find_columns([{"id": "1", "label": "x"}], None)
