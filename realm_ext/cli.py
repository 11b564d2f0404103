"""The command `realm`: finds its sub-commands by entry point and loads only the one that is run.

Serves the design's layout rule (`realm_ext` never imports `data_prep`): each entry of the group
`realm.commands` names a `module:function` or a `module:typer_app`, in any installed package.
"""

import ast
import importlib.util
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMAND_GROUP = "realm.commands"
UNREADABLE = "cannot be loaded here; run it to see why"


def find_commands(entries: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
    """The entry point of each command, by name, sorted.

    Raises:
        ValueError: two packages register different commands under one name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entries, key=lambda e: e.name):
        known = found.setdefault(entry.name, entry)
        if known.value != entry.value:
            raise ValueError(
                f"two commands are named {entry.name!r} in the entry-point group {COMMAND_GROUP}: "
                f"{known.value} and {entry.value}; uninstall one of the packages or rename one command"
            )
    return found


def read_summary(entry: EntryPoint) -> str:
    """First line of the docstring of what `entry` names, else of its module's, read without running it.

    Help for every command thus costs milliseconds, whatever the commands import.
    """
    try:
        spec = importlib.util.find_spec(entry.module)
        if spec is None or spec.origin is None:
            return UNREADABLE
        module = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except Exception:  # noqa: BLE001  find_spec runs the parent package: a broken one must not end `realm --help`
        return UNREADABLE
    functions = [
        node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == entry.attr
    ]
    docstring = ast.get_docstring(functions[-1] if functions else module) or ""
    return docstring.partition("\n")[0]


def load_command(entry: EntryPoint) -> Any:
    """The click command that `entry` names; ends the program with one line when it cannot be loaded."""
    try:
        target = entry.load()
    except Exception as error:  # whatever a module raises on import, the user needs one line about it
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        typer.echo(
            f"realm {entry.name}: cannot load {entry.value}: {reason} "
            f"(installed as docs/install.md says? `python -c 'import {entry.module}'` shows where it fails)",
            err=True,
        )
        raise typer.Exit(1) from error
    if not isinstance(target, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(target)
        target = app
    command = typer.main.get_command(target)
    command.name = entry.name
    return command


class LazyGroup(TyperGroup):
    """Lists every registered command by its summary, and imports one only when it is called."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self._entries = find_commands(entry_points(group=COMMAND_GROUP))
        for name, entry in self._entries.items():
            self.commands[name] = TyperCommand(name, help=read_summary(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in self._entries:
            command = load_command(self._entries[name])
        return name, command, rest


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def realm() -> None:
    """ReaLM: reflection-enhanced autonomous reasoning with small language models, on verl."""


def main() -> None:
    """Entry point of the script `realm`."""
    app()


if __name__ == "__main__":
    main()
