"""In which encoding a table's text stands: UTF-8, UTF-16, UTF-32 or Windows' cp1252; anything else is refused.

A spreadsheet program writes cp1252 where "CSV" is chosen in Western Europe and America, and UTF-16 where "Unicode text"
is. Nothing in a file says cp1252, so it is taken for that only where it reads as Western European text does.
"""

import codecs
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

UTF_8 = "utf-8-sig"
"""UTF-8, with or without a byte order mark."""

_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, UTF_8),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_OTHER_FORMATS = ((b"PK\x03\x04", "a spreadsheet or ZIP file"), (b"\xd0\xcf\x11\xe0", "an Excel file"),
                  (b"\x1f\x8b", "compressed with gzip"), (b"PAR1", "parquet"))  # fmt: skip
_PIECE = 1 << 20
_HIGH = re.compile(rb"[\x80-\xff]")
_UNLIKELY = re.compile(
    # letters of the upper half in a row: words of another script or two-byte characters
    rb"[\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xd6\xd8-\xf6\xf8-\xff]{3,}"
    # a capital or a sign inside a word, before a small letter: Mac Roman, DOS or Central European
    rb"|(?<=[A-Za-z])[\x80-\x84\x86-\x90\x93-\x95\x98\x99\x9b\x9d\x9f\xa1-\xac\xae-\xb3\xb5\xb6\xb8-\xd6\xd8-\xde](?=[a-z])"
)
_SHARE = 0.1
"""Above this share of unlikely bytes among those over 127 a text is not taken for cp1252."""


class Encoding(NamedTuple):
    """Python's name of an encoding, and a note for the user where it is none that needs no word."""

    name: str
    note: str | None = None


def find_encoding(path: Path) -> Encoding:
    """The encoding of a text file, all of which is looked at.

    Raises:
        ValueError: it is none that is known, or no text; says where and what to do.
        OSError: the file cannot be opened.
    """
    stat = path.stat()
    return _find(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _find(path: Path, changed: int, size: int) -> Encoding:
    with path.open("rb") as file:
        head = file.read(_PIECE)
    for start, what in _OTHER_FORMATS:
        if head.startswith(start):
            raise ValueError(f"{path.name} is {what}, whatever its name says: save it as CSV (UTF-8)")
    name = next((name for mark, name in _MARKS if head.startswith(mark)), None) or _without_mark(head)
    bad = _first_bad(path, name)
    if bad is None:
        return Encoding(name) if name == UTF_8 else Encoding(name, f"{path.name} is read as {name.upper()}")
    if name != UTF_8:
        raise ValueError(
            f"{path.name}, line {bad[0]}: not {name.upper()}, in which the file begins: save it as UTF-8"
        )
    return _western(path, *bad)


def _without_mark(head: bytes) -> str:
    """UTF-16 shows by its NULs: nearly all of them in the one half of each two bytes."""
    zeros = (head[0::2].count(0), head[1::2].count(0))
    if min(zeros) * 10 < max(zeros) and max(zeros) > max(2, len(head) / 20):
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return UTF_8


def _first_bad(path: Path, name: str) -> tuple[int, bytes] | None:
    """Line and surroundings of the first bytes that cannot be read in this encoding; a NUL cannot in any."""
    decoder = codecs.getincrementaldecoder(name)()
    line = 1
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                before = error.object[: error.start]
                return line + before.count(b"\n"), before[-20:] + error.object[error.start : error.start + 20]
            if "\0" in text:
                return line + text[: text.index("\0")].count("\n"), b"\0"
            if not piece:
                return None
            line += text.count("\n")


def _western(path: Path, line: int, found: bytes) -> Encoding:
    """cp1252, if the file reads as such.

    Raises:
        ValueError: it does not.
    """
    high = unlikely = 0
    example: bytes | None = None
    with path.open("rb") as file:
        for raw in file:
            high += len(_HIGH.findall(raw))
            unlikely += sum(len(match) for match in _UNLIKELY.findall(raw))
            if b"\0" in raw or _is_utf8_within(raw) or not _fits(raw):
                unlikely = high + 1
                break
            if example is None and (word := re.search(rb"[\w\x80-\xff]*[\x80-\xff][\w\x80-\xff]*", raw)):
                example = word.group()
    if example is None or unlikely > _SHARE * high:
        shown = found.decode("cp1252", "replace")
        raise ValueError(
            f"{path.name}, line {line}: neither UTF-8 nor UTF-16 nor Windows' cp1252 (near {shown!r}): save the file as "
            "UTF-8 (in Excel: `CSV UTF-8`)"
        )
    return Encoding(
        "cp1252", f"{path.name} is read as cp1252 (Windows), with words such as {example.decode('cp1252')!r}"
    )


def _fits(raw: bytes) -> bool:
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8_within(raw: bytes) -> bool:
    """Whether a line with bytes over 127 is valid UTF-8: then the file mixes two encodings."""
    if raw.isascii():
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
