"""The command `realm`: lazy loading, help without imports, and one clear line when a command is broken."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realm_ext import cli

MODULES = {
    "greet": 'import typer\ndef greet(name: str = "you") -> None:\n    """Say hello.\n\n    At length.\n    """\n'
    "    typer.echo(f'hello {name}')\n",
    "tools": '"""A box of tools."""\nimport typer\napp = typer.Typer()\n@app.command()\ndef saw() -> None:\n'
    "    typer.echo('sawn')\n@app.command()\ndef file() -> None:\n    pass\n",
    "needs_gpu": '"""Needs what is not here."""\nimport a_package_nobody_has\ndef run() -> None:\n    pass\n',
    "explodes": '"""Raises on import."""\nraise RuntimeError("no\\ndevice")\ndef run() -> None:\n    pass\n',
}


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points of commands in modules made for the test, put in place of the installed ones."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    targets = {
        "greet": "greet:greet",
        "tools": "tools:app",
        "needs-gpu": "needs_gpu:run",
        "explodes": "explodes:run",
        "gone": "no_such_module.at_all:run",
        "misspelt": "greet:gret",
    }
    entries = [EntryPoint(name, value, cli.COMMAND_GROUP) for name, value in targets.items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: entries)
    return entries


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command_with_its_summary_and_imports_none(registered: list[EntryPoint]) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for expected in ("greet", "Say hello.", "tools", "A box of tools.", "needs-gpu", "gone", cli.UNREADABLE):
        assert expected in out
    assert not {"greet", "tools", "needs_gpu", "explodes"} & set(sys.modules)


def test_function_command_runs_and_the_others_stay_unloaded(registered: list[EntryPoint]) -> None:
    assert run("greet", "--name", "Ann") == (0, "hello Ann\n", "")
    assert "tools" not in sys.modules


def test_typer_app_command_has_its_own_subcommands(registered: list[EntryPoint]) -> None:
    assert run("tools", "saw") == (0, "sawn\n", "")


def test_help_of_a_command_is_its_own(registered: list[EntryPoint]) -> None:
    code, out, _ = run("greet", "--help")
    assert code == 0
    assert "At length." in out and "--name" in out


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("needs-gpu", "No module named 'a_package_nobody_has'"),
        ("explodes", "RuntimeError: no device"),
        ("gone", "No module named 'no_such_module'"),
        ("misspelt", "has no attribute 'gret'"),
    ],
)
def test_a_command_that_cannot_load_ends_with_one_line(
    registered: list[EntryPoint], command: str, reason: str
) -> None:
    code, out, err = run(command)
    assert code == 1
    assert out == ""
    assert reason in err
    assert len(err.splitlines()) == 1 and err.startswith(f"realm {command}: cannot load ")


def test_unknown_command_is_refused_with_a_suggestion(registered: list[EntryPoint]) -> None:
    code, _, err = run("gret")
    assert code == 2
    assert "No such command 'gret'" in err and "greet" in err


def test_two_commands_of_one_name_are_refused() -> None:
    entries = [EntryPoint("prep", value, cli.COMMAND_GROUP) for value in ("a:prep", "b:prep")]
    with pytest.raises(ValueError, match=r"two commands are named 'prep'.*a:prep and b:prep"):
        cli.find_commands(entries)


def test_one_command_seen_twice_is_one_command() -> None:
    entry = EntryPoint("prep", "a:prep", cli.COMMAND_GROUP)
    assert cli.find_commands([entry, entry]) == {"prep": entry}


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom realm_ext.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(*({'torch', 'verl', 'vllm', 'ray', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
