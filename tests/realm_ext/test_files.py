"""Files written by rename."""

from pathlib import Path

from realm_ext.files import write_by_rename


def test_writing_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_by_rename(tmp_path / "x", "1")
    write_by_rename(tmp_path / "x", "2")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "2"
