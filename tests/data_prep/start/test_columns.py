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


@pytest.mark.parametrize(
    "name",
    ["reason", "Comment", "explanation", "rationale", "remarks", "Notes", "final comment", "label_reason",
     "model prediction", "justification", "gold_2", "old-label"],
)  # fmt: skip
def test_columns_that_by_their_name_may_tell_the_answer_are_left_out(name: str) -> None:
    data = rows("text", name, "label")
    found = find_columns(data, None)
    assert found.inputs == ("text", "mood") and list(found.telling) == [name]
    assert "by its name" in found.telling[name]
    mapped = find_columns(data, f"input=text+{name}")
    assert mapped.inputs == ("text", name) and list(mapped.telling) == [name], "taken in, and still named"


def told(n: int, right: int) -> list[dict[str, Any]]:
    """Rows of three labels of which `queue` tells that of all but each `right`-th."""
    labels = ["Billing", "Shipping", "Technical"]
    return [
        {"text": f"message {i}", "queue": f"queue {(i if i % right else i + 1) % 3}", "label": labels[i % 3]}
        for i in range(n)
    ]


@pytest.mark.parametrize(("right", "expected"), [(1000, ("text",)), (80, ("text",)), (10, ("text", "queue"))])
def test_a_column_of_few_values_that_tells_the_label_is_left_out(
    right: int, expected: tuple[str, ...]
) -> None:
    found = find_columns(told(300, right), None)
    assert found.inputs == expected
    if expected == ("text",):
        assert (
            "tells the label in" in found.telling["queue"]
            and "of the rows held out" in found.telling["queue"]
        )


def test_a_column_says_nothing_where_one_label_is_nearly_all_or_values_are_many() -> None:
    one = [
        {"text": f"t {i}", "kind": f"k{i % 4}", "label": "bad" if i % 100 == 0 else "good"}
        for i in range(300)
    ]
    assert find_columns(one, None).telling == {}
    many = [{"text": f"t {i}", "kind": f"kind of {i % 60}", "label": "xy"[i % 2]} for i in range(300)]
    assert find_columns(many, None).telling == {}
    few = told(40, 1000)
    assert find_columns(few, None).telling == {}, "twenty rows held out prove nothing"


def test_where_every_input_tells_there_is_still_a_question() -> None:
    data = [{"channel": "abc"[i % 3], "label": "xyz"[i % 3]} for i in range(300)]
    found = find_columns(data, None)
    assert found.inputs == ("channel",) and list(found.telling) == ["channel"]


@pytest.mark.parametrize(
    ("names", "label", "inputs"),
    [
        (("query", "category", "esci_label"), "esci_label", ("query", "category", "mood")),
        (("text", "class", "verdict"), "verdict", ("text", "class", "mood")),
        (("text", "category"), "category", ("text", "mood")),
    ],
)
def test_a_label_by_name_goes_before_a_category(
    names: tuple[str, ...], label: str, inputs: tuple[str, ...]
) -> None:
    found = find_columns(rows(*names), None)
    assert (found.label, found.inputs) == (label, inputs)


def test_an_empty_or_unmapped_group_is_found_by_name_and_by_its_values() -> None:
    passage = [f"This is passage number {i} of the collection that we read" for i in range(30)]
    data = [
        {"contract": f"MSA_{i // 6}.docx", "passage": passage[i // 6], "ref": f"R-{i // 5}", "state": "state " + "abcdefghijkl"[i % 12],
         "clause": f"the clause {i}", "label": "xy"[i * i % 7 % 2]}
        for i in range(180)
    ]  # fmt: skip
    found = find_columns(data, None)
    assert found.group == "contract" and found.joined
    assert found.alike == ("passage", "ref"), "a state describes, it does not name"
    assert "contract" not in found.inputs and "passage" in found.inputs
    assert not find_columns(data, "group=none").joined
    assert find_columns(data, "group=ref").alike == ("contract", "passage")


def test_a_text_is_no_group_whatever_its_name() -> None:
    data = [
        {"document": f"{i} " + "the text of a whole document " * 5, "label": "xy"[i % 2]} for i in range(40)
    ]
    found = find_columns(data, None)
    assert found.inputs == ("document",) and found.group is None


def test_the_main_text_is_the_longest_by_far() -> None:
    data = [
        {"contract_type": "MSA", "clause": "some words of a clause", "label": "xy"[i % 2]} for i in range(40)
    ]
    assert find_columns(data, None).main == "clause"
    assert find_columns(data, "input=contract_type+clause").main is None, "as mapped"
    assert find_columns(rows("title", "body", "label"), None).main is None
