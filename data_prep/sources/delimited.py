"""CSV and TSV, read so that no row is lost or joined to another without a word.

A table that cannot be trusted as a whole is refused: a header that names a column twice or is a title, a quoted cell
that never ends or has swallowed the lines behind it. A single row that is broken costs that row. Cells may have any
length and, in quotes, line breaks.

A TSV in which each line has as many cells as the header is read line by line: there a quote at the start of a cell is
a quote. Any other is read as spreadsheets write it, with quotes around cells that hold line breaks.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec, module_from_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.sources.encoding import find_encoding

DELIMITERS = (",", ";", "\t")
_SEPARATOR = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
VALUES_KEPT, VALUE_CHARS, SUSPECTS_KEPT = 1000, 40, 1000


class Broken(NamedTuple):
    """A row that cannot be read: its number, why, and its text."""

    row: int
    reason: str
    text: str


class Cells(NamedTuple):
    """A row: its number, as a spreadsheet counts, and its cells by column. Of columns without a name only filled ones."""

    row: int
    value: dict[str, str]


def _own_parser() -> Any:
    """The csv module's parser, loaded apart: its limit of a cell's length is one for the whole process."""
    spec = find_spec("_csv")
    assert spec is not None and spec.loader is not None  # part of Python
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.field_size_limit(sys.maxsize)
    return module


_parser = _own_parser()


def read_delimited(path: Path, name: str) -> Iterator[Cells | Broken]:
    """The rows of a CSV or TSV file, as they come; blank ones are left out.

    Args:
        path: the file; the delimiter is found from its header.
        name: what to call it in errors.

    Raises:
        ValueError: the file cannot be trusted; says in which lines, and what to do.
        OSError: the file cannot be opened.
    """
    encoding = find_encoding(path).name
    delimiter, skipped = _delimiter(path, encoding)
    with path.open(encoding=encoding, newline="") as file:
        for _ in range(skipped):
            file.readline()
        if delimiter == "\t" and _is_line_by_line(path, encoding, skipped):
            records: Iterator[_Record] = _lines(file)
        else:
            records = _quoted(file, delimiter, name, skipped)
        yield from _rows(records, delimiter, name, skipped)


# ------------------------------ records ------------------------------


@dataclass
class _Record:
    """The cells of a record, or why there are none; and the lines it stands in, the first of which is `line`."""

    line: int
    lines: list[str]
    cells: list[str] = field(default_factory=list)
    error: str = ""


def _quoted(file: Iterable[str], delimiter: str, name: str, skipped: int) -> Iterator[_Record]:
    """Records with quoted cells.

    Raises:
        ValueError: a broken record that spans several lines.
    """
    lines: list[str] = []

    def remembered() -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line

    reader = _parser.reader(remembered(), delimiter=delimiter, strict=True)
    while True:
        first = skipped + reader.line_num + 1
        lines.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _parser.Error as error:
            if len(lines) > 1:
                raise _swallowed(name, first, len(lines), str(error)) from None
            yield _Record(first, list(lines), error=f"not CSV: {error}")
        else:
            yield _Record(first, list(lines), cells)


def _lines(file: Iterable[str]) -> Iterator[_Record]:
    """One record a line; a cell wholly in quotes loses them."""
    for number, line in enumerate(file, start=1):
        yield _Record(number, [line], [_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")])


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else cell


def _delimiter(path: Path, encoding: str) -> tuple[str, int]:
    """What parts the cells of the first line that holds any, and how many lines before the header say it themselves."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
        if said := _SEPARATOR.fullmatch(first):
            return said[1], 1
        line = next((line for line in (first, *file) if any(line.count(one) for one in DELIMITERS)), "")
    return max((usual, *DELIMITERS), key=line.count), 0


def _is_line_by_line(path: Path, encoding: str, skipped: int) -> bool:
    """Whether each line that is not blank has as many tabs as the first."""
    tabs = None
    with path.open(encoding=encoding, newline="") as file:
        for number, line in enumerate(file):
            if number < skipped or not line.strip():
                continue
            if tabs is None:
                tabs = line.count("\t")
            elif line.count("\t") != tabs:
                return False
    return True


# ------------------------------ rows ------------------------------


def _rows(records: Iterator[_Record], delimiter: str, name: str, skipped: int) -> Iterator[Cells | Broken]:
    """The records under their header.

    Raises:
        ValueError: the header cannot be one, or a quoted cell took in the lines behind it.
    """
    counted = enumerate(records, start=skipped + 1)
    filled = ((row, one) for row, one in counted if one.error or any(cell.strip() for cell in one.cells))
    first = list(islice(filled, 3))
    if not first:
        return
    (_, header), *following = first
    columns, unnamed = _columns(header, [record for _, record in following], name)
    guard = _Guard(name, delimiter, len(columns))
    for row, record in chain(following, filled):
        text = delimiter.join(record.cells)
        if record.error:
            yield Broken(row, record.error, "".join(record.lines))
            continue
        guard.see(record)
        if record.cells == header.cells:
            yield Broken(row, "repeats the header", text)
        elif len(record.cells) > len(columns):
            yield Broken(row, "more cells than the header has columns", text)
        else:
            cells = dict(zip(columns, record.cells, strict=False))
            yield Cells(
                row, {column: cell for column, cell in cells.items() if cell or column not in unnamed}
            )
    guard.check()


def _columns(header: _Record, following: Sequence[_Record], name: str) -> tuple[list[str], set[str]]:
    """The names of the columns, and those of them that the header does not give.

    Raises:
        ValueError: it names a column twice, cannot be read, or is a title.
    """
    where = f"{name}, line {header.line}"
    if header.error:
        raise ValueError(f"{where}: the header cannot be read ({header.error})")
    given = [cell.strip() for cell in header.cells]
    wider = following and all(len(record.cells) > len(given) for record in following)
    alone = given[0] and not any(given[1:]) and following and sum(map(bool, following[0].cells)) > 1
    if wider or alone:
        raise ValueError(
            f"{where}: {' '.join(filter(None, given))[:60]!r} is no header for the lines below it, which have more cells: "
            "delete what stands above the header, or quote cells that hold the delimiter"
        )
    columns = [cell or f"column {number}" for number, cell in enumerate(given, start=1)]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(
            f"{where}: the header names {', '.join(twice)} more than once: give each column its own name"
        )
    return columns, {column for column, cell in zip(columns, given, strict=True) if not cell}


class _Guard:
    """Tells a quoted cell with line breaks of its own from one that took in the rows behind it.

    The second kind is made of lines that are rows: with as many cells as the header, and with values that stand in the
    same column of other rows too, as labels do. A cell is refused where most of its lines are such.
    """

    def __init__(self, name: str, delimiter: str, width: int) -> None:
        self._name, self._delimiter, self._width = name, delimiter, width
        self._values: list[Counter[str]] = [Counter() for _ in range(width)]
        self._suspects: list[tuple[_Record, list[list[tuple[int, str]]]]] = []

    def see(self, record: _Record) -> None:
        """Take note of a record.

        Raises:
            ValueError: it has several lines, and other cells than the header.
        """
        if len(record.lines) == 1:
            for values, cell in zip(self._values, record.cells, strict=False):
                if 0 < len(cell) <= VALUE_CHARS and (cell in values or len(values) < VALUES_KEPT):
                    values[cell] += 1
            return
        if len(record.cells) != self._width:
            cells = f"it makes a row of {len(record.cells)} cells, the header has {self._width}"
            raise _swallowed(self._name, record.line, len(record.lines), cells)
        rows = [self._as_row(line, number == 0) for number, line in enumerate(record.lines[:-1])]
        if self._width > 1 and any(rows):
            self._suspects.append((record, rows))
        if len(self._suspects) == SUSPECTS_KEPT:
            self.check()

    def check(self) -> None:
        """Judge what was put off until other rows were known.

        Raises:
            ValueError: a cell took in rows.
        """
        for record, rows in self._suspects:
            own = Counter(cell for row in rows for cell in row)
            known = sum(any(self._values[cell[0]][cell[1]] + own[cell] > 1 for cell in row) for row in rows)
            if 2 * known > len(rows):
                raise _swallowed(self._name, record.line, len(record.lines), "its lines are rows themselves")
        self._suspects = []

    def _as_row(self, line: str, is_first: bool) -> list[tuple[int, str]]:
        """Columns and values of a line that has the cells of a row; of a first line only what is behind the quote.

        In a sentence a blank follows the comma, in a row it does not.
        """
        cells = line.rstrip("\r\n").split(self._delimiter)
        if len(cells) != self._width or any(cell[:1] == " " for cell in cells[1:]):
            return []
        opened = next((i for i, cell in enumerate(cells) if cell[:1] == '"' and cell[-1:] != '"'), len(cells))
        start = opened + 1 if is_first else 0
        return [
            (i, cell.strip('"')) for i, cell in enumerate(cells) if i >= start and len(cell) <= VALUE_CHARS
        ]


def _swallowed(name: str, line: int, count: int, why: str) -> ValueError:
    return ValueError(
        f"{name}, lines {line} to {line + count - 1}: a quoted cell takes in the {count - 1} lines behind its first ({why}): "
        'a cell that holds a quote stands in quotes, and the quote twice ("5"" wide")'
    )
