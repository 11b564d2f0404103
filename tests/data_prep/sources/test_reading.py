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
        ("in.csv", b'a,b\n1,2\n\xff,2\n1,2,3\n1,"2"x\n1,2\n', 2, ["not UTF-8", "more cells", "not CSV"]),
        ("in.parquet", b"PAR1 torn", 0, ["cannot be read as parquet"]),
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


def test_what_to_read(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv", "notes.txt", ".hidden.json"):
        write(tmp_path / name, "")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "c.json", "")
    assert [file.name for file in find_files(tmp_path)] == ["a.csv", "b.jsonl", "c.json"]
    with pytest.raises(ValueError, match="cannot tell its format"):
        find_files(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="does not exist"):
        find_files(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file"):
        find_files(tmp_path / "empty")
