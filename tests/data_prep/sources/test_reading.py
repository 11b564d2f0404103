"""Reading local inputs: each format gives the same records; what is torn costs its row, not the rest."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.sources import reading
from data_prep.sources.reading import Record, Unread, find_files, read_file

ROWS = [{"a": "one", "b": "x, y"}, {"a": "two\nlines", "b": 'a "quote"'}]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def values(path: Path) -> list[Any]:
    return [record.value for record in read_file(path, path.name) if isinstance(record, Record)]


def unread(path: Path) -> list[tuple[int, str]]:
    return [(r.row, r.reason) for r in read_file(path, path.name) if isinstance(r, Unread)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", "\n\n".join(map(json.dumps, ROWS))),
        ("in.json", json.dumps(ROWS, indent=1)),
        ("in.json", "\n".join(map(json.dumps, ROWS))),
        ("in.json", json.dumps({"canary": "x", "examples": ROWS})),
        ("in.csv", '\ufeffa,b\none,"x, y"\n"two\nlines","a ""quote"""\n'),
        ("in.csv", 'a;b\none;x, y\n"two\nlines";"a ""quote"""\n'),
        ("in.tsv", 'a\tb\none\tx, y\n"two\nlines"\t"a ""quote"""\n'),
    ],
)
def test_each_text_form_gives_the_same_records(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path / name, content)
    assert values(path) == ROWS and unread(path) == []


def test_parquet_and_a_single_object(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "in.parquet")
    assert values(tmp_path / "in.parquet") == ROWS
    assert values(write(tmp_path / "one.json", '{"problem": "p", "options": ["x"]}')) == [
        {"problem": "p", "options": ["x"]}
    ]


def test_rows_are_counted_as_an_editor_shows_them(tmp_path: Path) -> None:
    lines = write(tmp_path / "in.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    table = write(tmp_path / "in.csv", "a\n1\n2\n")
    assert [record.row for record in read_file(lines, "x")] == [1, 3]
    assert [record.row for record in read_file(table, "x")] == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "good", "bad"),
    [
        (
            "in.jsonl",
            b'{"a": 1}\n{"a": "\xff"}\n[1]\n{"a"',
            1,
            ["not UTF-8", "not a JSON object", "not JSON"],
        ),
        (
            "in.json",
            b'[{"a": 1}, {"a": "\xff"}, 3, {"a"',
            1,
            ["not UTF-8", "not a JSON object", "not JSON from"],
        ),
        ("in.json", b'{"examples": [{"a": 1}, {"a"', 0, ["not JSON"]),
        ("in.json", b'{"a": "\xff"}', 0, ["not UTF-8"]),
        (
            "in.csv",
            b'a,b\n1,2\n1,2,3\n1,"2"x\n1,2\na,b\n',
            2,
            ["more cells", "not CSV", "repeats the header"],
        ),
        ("in.parquet", b"PAR1 torn", 0, ["cannot be read as parquet"]),
        (
            "in.jsonl",
            b'{"a": 1, "a": 2}\n{"a": {"b": 1, "b": 1}}\n{"a": 1}',
            1,
            ["the key a stands twice", "the key b stands twice"],
        ),
        ("in.json", b'[{"a": 1, "a": 2}, {"a": 3}]', 1, ["the key a stands twice"]),
        ("in.json", b'{"a": 1, "a": 2}', 0, ["the key a stands twice"]),
        ("deep.jsonl", b"[" * 100_000 + b'\n{"a": 1}\n', 1, ["not JSON"]),
    ],
)
def test_what_is_torn_costs_its_row(
    tmp_path: Path, name: str, content: bytes, good: int, bad: list[str]
) -> None:
    path = write(tmp_path / name, content)
    reasons = [reason for _, reason in unread(path)]
    assert len(values(path)) == good
    assert [reason[: len(start)] for reason, start in zip(reasons, bad, strict=True)] == bad


def test_a_parquet_file_torn_within_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(
        pa.table({"a": [str(i) for i in range(2000)]}), path, row_group_size=1000, compression="NONE"
    )
    data = bytearray(path.read_bytes())
    place = data.rindex(b"1500")
    data[place - 4000 : place + 2000] = b"\xff" * 6000
    path.write_bytes(data)
    assert len(values(path)) >= 768 and [reason for _, reason in unread(path)] == [
        "cannot be read as parquet from here on"
    ]


def test_a_json_array_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_CHARS", 7)
    path = write(tmp_path / "in.json", json.dumps([*ROWS, {"a": "], [", "b": "é" * 20}], indent=2))
    assert values(path)[:2] == ROWS and len(values(path)) == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", b'\xef\xbb\xbf{"a": "x\xe2\x80\xa8y\xc2\x85"}\r\n{"a": "z"}\r\n'),
        ("in.json", b'\xef\xbb\xbf[{"a": "x\xe2\x80\xa8y\xc2\x85"}, {"a": "z"}]'),
        ("IN.CSV", b"\xef\xbb\xbfa\r\nx\xe2\x80\xa8y\xc2\x85\r\nz\r\n"),
    ],
)
def test_only_line_feeds_end_lines_and_a_mark_is_no_text(tmp_path: Path, name: str, content: bytes) -> None:
    assert values(write(tmp_path / name, content)) == [{"a": "x\u2028y\x85"}, {"a": "z"}]


def test_missing_numbers_are_none_and_bytes_are_text(tmp_path: Path) -> None:
    """cases.md E5 and E6."""
    lines = write(tmp_path / "in.jsonl", '{"a": NaN, "b": Infinity, "c": 1e999, "d": [NaN], "e": 1.5}')
    assert values(lines) == [{"a": None, "b": None, "c": None, "d": [None], "e": 1.5}]
    table = pa.table({"a": [1.0, float("nan")], "b": [b"\xc3\xa9", b"\xff"], "c": [b"x", None]})
    pq.write_table(table, tmp_path / "in.parquet")
    assert values(tmp_path / "in.parquet") == [
        {"a": 1.0, "b": "é", "c": "x"},
        {"a": None, "b": b"\xff", "c": None},
    ]


@pytest.mark.parametrize("name", ["in.jsonl", "in.json"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_json_in_another_encoding_is_one_error(tmp_path: Path, name: str, encoding: str) -> None:
    path = write(tmp_path / name, '{"a": 1}\n{"a": 2}\n'.encode(encoding))
    with pytest.raises(ValueError, match="is UTF-16 or UTF-32, JSON is UTF-8: save it as UTF-8"):
        values(path)


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["gold", "gold"])
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(ValueError, match=r"in\.parquet has gold more than once among its columns"):
        values(tmp_path / "in.parquet")


def test_what_to_read(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv", "notes.txt", ".hidden.json"):
        write(tmp_path / name, "")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "c.json", "")
    assert [file.name for file in find_files(tmp_path)] == ["a.csv", "b.jsonl", "c.json"]
    with pytest.raises(ValueError, match="cannot tell its format"):
        find_files(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="is a spreadsheet: save the sheet with the data as CSV"):
        find_files(write(tmp_path / "labels.XLSX", "PK"))
    (tmp_path / ".new.realm-abcdefgh.part").mkdir()
    write(tmp_path / ".new.realm-abcdefgh.part" / "half.json", "")
    write(tmp_path / "sub" / "D.CSV", "")
    assert [file.name for file in find_files(tmp_path)] == ["a.csv", "b.jsonl", "D.CSV", "c.json"]
    with pytest.raises(ValueError, match="does not exist"):
        find_files(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file"):
        find_files(tmp_path / "empty")
