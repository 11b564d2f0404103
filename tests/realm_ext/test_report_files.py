"""Reports take the place of reports alone."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from realm_ext.cli import app
from realm_ext.report_files import PNG, check_place


def test_only_a_file_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    check_place(tmp_path / "new.png", PNG)
    (tmp_path / "ours.png").write_bytes(b"\x89PNG\r\n...")
    check_place(tmp_path / "ours.png", PNG)
    (tmp_path / "notes.png").write_text("mine")
    with pytest.raises(ValueError, match=r"notes\.png is there, and this command did not write it"):
        check_place(tmp_path / "notes.png", PNG)
    with pytest.raises(ValueError, match="is a folder"):
        check_place(tmp_path, PNG)


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "{run}", "--out", "{folder}"),
        ("compare", "{run}", "--markdown", "{folder}/index.html"),
        ("compare", "{run}", "--json", "{folder}/index.html"),
        ("preview", "realm_cpu_demo", "--out", "{folder}/index.html"),
    ],
)
def test_a_page_of_the_users_stays(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realm_ext.report.command.read_run", lambda folder: None)
    monkeypatch.setattr("realm_ext.report.command.summarize", lambda run: None)
    (tmp_path / "site").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "site" / "index.html").write_text("<title>Our shop</title>")
    given = [text.format(run=tmp_path / "run", folder=tmp_path / "site") for text in arguments]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1 and "is there, and this command did not write it" in " ".join(
        result.stderr.split()
    )
    assert [(p.name, p.read_text()) for p in (tmp_path / "site").iterdir()] == [
        ("index.html", "<title>Our shop</title>")
    ]
