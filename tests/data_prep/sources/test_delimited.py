"""Tables: no row is lost or joined to another without a word. The ids E2 to E8 are those of public bug reports."""

import csv
import io
from pathlib import Path

import pytest

from data_prep.sources.delimited import Broken, Cells, read_delimited

ROWS = "".join(f"question {number},{'yes' if number % 2 else 'no'}\n" for number in range(20))
TABBED = ROWS.replace(",", "\t")


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    return [made.value for made in read_delimited(path, path.name) if isinstance(made, Cells)]


def broken(path: Path) -> list[tuple[int, str]]:
    return [(made.row, made.reason) for made in read_delimited(path, path.name) if isinstance(made, Broken)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "question,gold,gold\nIs it late?,yes,reviewer 2\n",
            r"in\.csv, line 1: the header names gold more than once",
            id="E2",
        ),
        pytest.param("a,b, a\n1,2,3\n", "line 1: the header names a more than once", id="E2-blanks"),
        pytest.param(
            "\n\na,a\n1,2\n", "line 3: the header names a more than once", id="E2-blank-lines-first"
        ),
        ('"a"x,b\n1,2\n', r"line 1: the header cannot be read \(not CSV"),
        ("Report of 2024\na,b\n1,2\n", "line 1: 'Report of 2024' is no header .* delete what stands above"),
        ("Report of 2024,,\na,b,c\n1,2,3\n", "line 1: 'Report of 2024' is no header"),
        ("Report of 2024\n\na,b\n1,2\n", "line 1: 'Report of 2024' is no header"),
        ("Tickets, all of 2024\na,b,c\n1,2,3\n", "line 1: 'Tickets all of 2024' is no header"),
        ("sep=;\nReport\na;b\n1;2\n", "line 2: 'Report' is no header"),
    ],
)
def test_a_header_that_is_none_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows(write(tmp_path / "in.csv", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # the cell begins in line 22 and ends at the quote of line 24, which a text follows
        (
            f'a,b\n{ROWS}"Smart watch ok?,yes\nmore,no\n24" wheels,yes\nx,no\n',
            "lines 22 to 24: .* the 2 lines",
        ),
        # ... which the delimiter follows: all looks sound, but the lines within are rows
        (f'a,b\n{ROWS}"Smart watch ok?,yes\nmore,no\nand more,yes\nwheel of 24",yes\n', "lines 22 to 25: "),
        (
            f'a,b\n"Smart watch ok?,yes\nwheel of 24",yes\n{ROWS}',
            "lines 2 to 3: .*its lines are rows themselves",
        ),
        # ... which ends the line: a cell is missing
        (f'a,b\n{ROWS}"Smart watch ok?,yes\nmore,wheel of 24"\n', "lines 22 to 23: .*a row of 1 cells"),
        # ... and there is none: the rest of the file
        (f'a,b\n"Smart watch ok?,yes\n{ROWS}', "lines 2 to 22: .* the 20 lines .*unexpected end of data"),
        # every cell in quotes
        ("a,b\n" + '"x","yes"\n"y","no"\n' * 5 + '"z,"yes"\n"p","q,"no"\n', "not raised"),
    ],
)
def test_a_quote_that_takes_in_lines_is_an_error_with_their_numbers(
    tmp_path: Path, content: str, message: str
) -> None:
    path = write(tmp_path / "in.csv", content)
    if message == "not raised":
        assert broken(path) == [
            (12, "not CSV: ',' expected after '\"'"),
            (13, "not CSV: ',' expected after '\"'"),
        ]
        return
    with pytest.raises(ValueError, match=rf"in\.csv, {message}"):
        rows(path)


CLAUSE = '1. The Supplier, ACME,\n   shall indemnify\n\n2. Yes, no, maybe\nyes,no\n"Party" means, either'


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_breaks_in_quotes_stay(tmp_path: Path, quoting: int, delimiter: str, end: str) -> None:
    given = [
        {"contract": f"file {i % 3}.txt", "clause": f"{i}\n{CLAUSE}", "label": "yes" if i % 2 else "no"}
        for i in range(30)
    ]
    text = io.StringIO()
    table = csv.DictWriter(text, given[0], delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    table.writeheader()
    table.writerows(given)
    assert rows(write(tmp_path / "in.csv", text.getvalue())) == given


def test_a_refrain_is_no_row(tmp_path: Path) -> None:
    song = "Row, row\nRow, row\nRow, row\nyour boat"
    assert len(rows(write(tmp_path / "in.csv", f'text,label\n"{song}",song\n{ROWS}'))) == 21


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_labels_named_in_the_text_are_no_rows(tmp_path: Path, delimiter: str) -> None:
    given = [["label", "text"]] + [
        [f"label {i % 2}", f"x\nlabel 1{delimiter} as defined\nlabel {i}\ny"] for i in range(9)
    ]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(given)
    assert len(rows(write(tmp_path / "in.csv", text.getvalue()))) == 9


def test_a_lone_quote_in_a_tsv_is_a_quote(tmp_path: Path) -> None:
    """E7: cells of a TSV without line breaks begin with a quote as with any other character."""
    lines = [
        '"Smart watch ok?\tyes',
        *TABBED.splitlines(),
        'wheel of 24"\tno',
        '"Ja" sagte er\tno',
        '"a ""b"""\tyes',
    ]
    found = rows(write(tmp_path / "in.tsv", "\n".join(["text\tlabel", *lines])))
    assert len(found) == len(lines)
    assert found[0] == {"text": '"Smart watch ok?', "label": "yes"}
    assert [row["text"] for row in found[-3:]] == ['wheel of 24"', '"Ja" sagte er', 'a "b"']


def test_a_quote_in_a_tsv_with_line_breaks_is_noticed(tmp_path: Path) -> None:
    """E7, where another cell has a line break, so that quotes are those of a spreadsheet."""
    text = f'text\tlabel\n"two\nlines"\tyes\n"Smart watch ok?\tyes\n{TABBED}wheel of 24"\tno\n'
    with pytest.raises(ValueError, match=r"in\.tsv, lines 4 to 25: a quoted cell takes in the 21 lines"):
        rows(write(tmp_path / "in.tsv", text))


@pytest.mark.parametrize("size", [140_000, 3_000_000], ids=["E8", "E8-longer"])
def test_cells_have_any_length(tmp_path: Path, size: int) -> None:
    cell = "a clause, with a\nline break " * (size // 30)
    path = write(tmp_path / "in.csv", f'text,label\n"{cell}",yes\nshort,no\n')
    limit = csv.field_size_limit()
    assert rows(path) == [{"text": cell, "label": "yes"}, {"text": "short", "label": "no"}]
    assert csv.field_size_limit() == limit, "the process's own limit is left alone"


@pytest.mark.parametrize(("encoding", "id_"), [("cp1252", "E3"), ("utf-16", "E4"), ("utf-16-le", "E4")])
def test_other_encodings_are_read(tmp_path: Path, encoding: str, id_: str) -> None:
    path = write(tmp_path / "in.csv", "Numéro,message,label\n1,Ça va,Fine\n", encoding)
    assert rows(path) == [{"Numéro": "1", "message": "Ça va", "label": "Fine"}], id_


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("a,b\n1,\n", [{"a": "1", "b": ""}]),
        (",a\n0,x\n1,y\n", [{"column 1": "0", "a": "x"}, {"column 1": "1", "a": "y"}]),
        ("a,b,,\n1,2,,\n3,4,,z\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4", "column 4": "z"}]),
        ("a\nx\n\ny\n", [{"a": "x"}, {"a": "y"}]),
        ("sep=|\na|b\n1|2\n", [{"a": "1", "b": "2"}]),
        ("a;b\nx, y, z;1\n", [{"a": "x, y, z", "b": "1"}]),
        ("a,b\n1\n", [{"a": "1"}]),
        ("", []),
        ("\n\n", []),
        ("a,b\n", []),
    ],
)
def test_forms_of_tables(tmp_path: Path, content: str, found: list[dict[str, str]]) -> None:
    assert rows(write(tmp_path / "in.csv", content)) == found


def test_a_broken_row_costs_itself_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", 'a,b\n1,2\n1,2,3\n"1"x,2\na,b\n5" wide,"""6"""\n7,"torn')
    assert rows(path) == [{"a": "1", "b": "2"}, {"a": '5" wide', "b": '"6"'}]
    assert [row for row, _ in broken(path)] == [3, 4, 5, 7]
