"""`realm paths`: the folders exist, are this install's, and a wrong name is refused."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import configs
from realm_ext import paths


def run(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(paths.paths)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_prints_the_folder_that_python_imports_from() -> None:
    assert run("configs") == (0, f"{Path(str(configs.__file__)).resolve().parent}\n", "")


def test_prints_all_folders_when_none_is_named() -> None:
    code, out, _ = run()
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["configs", "eval_tasks", "reward_fns"]


def test_unknown_folder_is_refused_with_the_choices() -> None:
    code, _, err = run("config")
    assert code == 2
    assert "eval_tasks" in err


def test_missing_folder_says_that_the_install_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "realm_ext" / "paths.py"))
    with pytest.raises(FileNotFoundError, match="install realm again"):
        paths.find_folder(paths.Folder.CONFIGS)
