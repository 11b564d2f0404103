"""The encoding of a table: found and said, or the file is refused as a whole."""

from pathlib import Path

import pytest

from data_prep.sources.encoding import find_encoding

FRENCH = "Numéro,message,label\n1,Où est ma commande de l’été ?,Fine\n2,C’est réglé – merci,Bad\n"
GERMAN = "text,urteil\nKündigung wegen Überzahlung (§ 5),ja\nRückgabe für 5 €,nein\n"
CAPITALS = "NUMÉRO,LABEL\nÀ RÉGLER,OUI\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("text", [FRENCH, GERMAN, CAPITALS, "a,b\nœuvre,naïve\nEl Niño,100 °C\n"])
@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8-sig"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_it_is_found(tmp_path: Path, text: str, encoding: str, found: str) -> None:
    path = write(tmp_path / "in.csv", text.encode(encoding))
    name, note = find_encoding(path)
    assert name == found and path.read_bytes().decode(name) == text
    assert (note is None) == (found == "utf-8-sig")


def test_it_is_said_with_a_word_that_shows_whether_it_is_right(tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", FRENCH.encode("cp1252"))
    assert find_encoding(path).note == "in.csv is read as cp1252 (Windows), with words such as 'Numéro'"
    path = write(tmp_path / "in.csv", FRENCH.encode("utf-16"))
    assert find_encoding(path).note == "in.csv is read as UTF-16"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("текст,метка\nгде мой заказ,да\n".encode("cp1251"), "line 1: neither UTF-8"),
        ("text,label\n我的订单在哪里,yes\n".encode("gb18030"), "line 2: neither UTF-8"),
        ("text,label\n注文はどこですか。,yes\n".encode("shift_jis"), "line 2: neither UTF-8"),
        ("text,urteil\nKündigung,ja\nRückgabe,nein\n".encode("mac_roman"), "line 2: neither UTF-8"),
        ("text,urteil\nKündigung,ja\nRückgabe,nein\n".encode("cp437"), "line 2: neither UTF-8"),
        ("text,ocena\nzamówienie już wysłane, dziękuję,tak\n".encode("cp1250"), "line 2: neither UTF-8"),
        ("a,b\né,1\n".encode() + "é,2\n".encode("cp1252"), "line 3: neither UTF-8"),
        (b"a,b\n1\0,2\n", "line 2: neither UTF-8"),
        ("a,b\n1,2\n".encode("utf-16") + b"x", "line 3: not UTF-16"),
        (b"PK\x03\x04...", "is a spreadsheet or ZIP file"),
        (b"\x1f\x8b...", "is compressed with gzip"),
    ],
    ids=[
        "cp1251",
        "gb18030",
        "shift_jis",
        "mac_roman",
        "cp437",
        "cp1250",
        "two",
        "nul",
        "torn",
        "zip",
        "gzip",
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_encoding(write(tmp_path / "in.csv", content))
