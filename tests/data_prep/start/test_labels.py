"""Labels: one spelling each, conflicts and repeats with their rows, free text refused."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from data_prep.sources.reading import Record, Unread
from data_prep.start.columns import Columns
from data_prep.start.labels import DROP, MAJORITY, Labels, read_labels, spelling

COLUMNS = Columns("label", ("text",))


def read(pairs: Sequence[tuple[Any, Any]], how: str = DROP, **merged: str) -> Labels:
    records = [Record("in", row, {"text": t, "label": y}) for row, (t, y) in enumerate(pairs, start=2)]
    return read_labels(records, COLUMNS, merged, how)


@pytest.mark.parametrize(
    "text", ["tech-support", " Tech support. ", "TECH_SUPPORT", '"tech  support"', "**Tech Support**"]
)
def test_spellings_of_one_label(text: str) -> None:
    assert spelling(text) == "tech support"


@pytest.mark.parametrize(("one", "other"), [("-1", "1"), ("C", "C++"), ("yes", "no"), ("a/b", "a b")])
def test_different_labels_stay_different(one: str, other: str) -> None:
    assert spelling(one) != spelling(other)


def test_the_commonest_spelling_names_the_label() -> None:
    found = read([("a", "Yes"), ("b", "yes"), ("c", "Yes"), ("d", "no"), ("e", "NO"), ("f", "no.")])
    assert found.names == ("NO", "Yes") and found.spellings == {"Yes": ("yes",), "NO": ("no", "no.")}
    assert [example.label for example in found.examples] == ["Yes", "Yes", "Yes", "NO", "NO", "NO"]


def test_merged_labels_become_synonyms() -> None:
    found = read([("a", "Tech"), ("b", "Technical"), ("c", "Technical"), ("d", "Other")], Tech="technical")
    assert found.names == ("Technical", "Other") and found.synonyms == {"tech": "Technical"}
    for merged, message in (
        ({"x": "a"}, "x, which is not a label"),
        ({"a": "b", "b": "c"}, "itself merged"),
    ):
        with pytest.raises(ValueError, match=message):
            read([(str(i), "abc"[i % 3]) for i in range(9)], **merged)


def test_conflicts_and_repeats_are_kept_apart_with_their_rows() -> None:
    pairs = [
        ("Same  input", "x"),
        ("same input", "y"),
        ("same input", "x"),
        ("b", "x"),
        ("B", "x"),
        ("c", "y"),
    ]
    dropped = read(pairs)
    assert [(e.row, e.text) for e in dropped.examples] == [(5, "b"), (7, "c")]
    assert [(row, why) for row, why, _ in dropped.refused] == [
        (2, "conflicting label"),
        (3, "conflicting label"),
        (4, "conflicting label"),
        (6, "repeats an earlier row"),
    ]
    (conflict,) = dropped.conflicts
    assert [e.row for e in conflict.examples] == [2, 3, 4] and conflict.kept is None
    decided = read(pairs, MAJORITY)
    assert decided.conflicts[0].kept == "x" and [e.row for e in decided.examples] == [2, 5, 7]
    tie = read([("a", "x"), ("a", "y"), ("b", "x"), ("c", "y")], MAJORITY)
    assert tie.conflicts[0].kept is None


def test_bad_rows_are_refused_with_their_reason() -> None:
    records: list[Record | Unread] = [
        Record("in", 2, {"text": "a", "label": 0}),
        Record("in", 3, {"text": "b", "label": 1}),
        Record("in", 4, {"text": "c", "label": None}),
        Record("in", 5, {"text": " ", "label": 1}),
        Unread("in", 6, "not UTF-8", "?"),
    ]
    found = read_labels(records, COLUMNS, {})
    assert found.names == ("0", "1")
    assert [(row, why) for row, why, _ in found.refused] == [
        (4, "no label"),
        (5, "no text in text"),
        (6, "not UTF-8"),
    ]
    with pytest.raises(ValueError, match=r"no row can be used: no label \(1\), not UTF-8 \(1\)"):
        read_labels([records[2], records[4]], COLUMNS, {})


def test_times_and_groups() -> None:
    columns = Columns("label", ("text",), "who", "when")
    values = [
        "2025-01-31",
        "2025-01-31 13:05",
        "2025-01-31T13:05:00+02:00",
        datetime(2025, 2, 1),
        "31.1.2025",
        "",
    ]
    records = [
        Record("in", row, {"text": str(row), "label": "xy"[row % 2], "who": f" A{row % 2}", "when": when})
        for row, when in enumerate(values)
    ]
    found = read_labels(records, columns, {})
    assert [e.time for e in found.examples] == [
        datetime(2025, 1, 31),
        datetime(2025, 1, 31, 13, 5),
        datetime(2025, 1, 31, 11, 5),
        datetime(2025, 2, 1),
    ]
    assert found.examples[0].group == "a0"
    assert [(row, why[:17]) for row, why, _ in found.refused] == [
        (4, "no time under whe"),
        (5, "no time under whe"),
    ]


def test_free_text_is_no_label() -> None:
    with pytest.raises(ValueError, match="40 different labels in 40 rows are no closed set"):
        read([(str(i), f"answer {i}") for i in range(40)])
    with pytest.raises(ValueError, match="fewer than two labels"):
        read([("a", "x"), ("b", "x")])


def test_labels_that_look_alike_are_named() -> None:
    found = read([*[(str(i), "Billing") for i in range(5)], ("x", "Biling"), ("y", "Other")])
    assert found.alike() == [("Biling", "Billing")]


@pytest.mark.parametrize(
    "missing", [float("nan"), "nan", "NaN", "<NA>", "NaT", None, "", b"\xff", ["x"]], ids=repr
)
def test_a_missing_label_is_none(missing: Any) -> None:
    """cases.md E5."""
    found = read([("a", "x"), ("b", "y"), ("c", missing), ("d", missing)])
    assert found.names == ("x", "y")
    assert [(row, why) for row, why, _ in found.refused] == [(4, "no label"), (5, "no label")]


@pytest.mark.parametrize("label", ["None", "N/A", "null", "NA", "Nan bread"])
def test_a_word_for_nothing_may_be_a_label(label: str) -> None:
    assert label in read([("a", label), ("b", "y")]).names


def test_a_row_without_its_main_text_is_refused() -> None:
    columns = Columns("label", ("contract", "clause"), main="clause")
    records = [
        Record("in", 2, {"contract": "MSA_1.docx", "clause": "text", "label": "x"}),
        Record("in", 3, {"contract": "MSA_1.docx", "clause": " ", "label": "y"}),
        Record("in", 4, {"contract": "", "clause": "other", "label": "y"}),
    ]
    found = read_labels(records, columns, {})
    assert [example.row for example in found.examples] == [2, 4]
    assert [(row, why) for row, why, _ in found.refused] == [(3, "no text in clause")]


def test_times_that_cannot_be_read_name_the_way_out() -> None:
    columns = Columns("label", ("text",), time="received")
    records = [Record("in", row, {"text": "a", "label": "x", "received": "12/31/2025"}) for row in range(3)]
    with pytest.raises(ValueError, match=r"no time under received: .* \(--map time=none\) \(3\)"):
        read_labels(records, columns, {})


def test_values_of_group_like_columns_come_along() -> None:
    columns = Columns("label", ("text",), alike=("file", "ref"))
    records = [
        Record("in", 1, {"text": "a", "label": "x", "file": " A.docx", "ref": None}),
        Record("in", 2, {"text": "b", "label": "y", "file": "a.DOCX ", "ref": 7}),
    ]
    one, other = read_labels(records, columns, {}).examples
    assert one.alike == (("file", "a.docx"),) and other.alike == (("file", "a.docx"), ("ref", "7"))
