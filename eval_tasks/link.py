"""The command `realm link-tasks`: ReaLM's tasks by name in a bare `lm_eval --tasks realm_vertical`.

Serves design.md, section Layout. lm-eval looks for YAML files in its own package folder and does not enter
symlinked folders there, so the command makes a real folder lm_eval/tasks/realm and links the files into it. It
writes nothing else, and `--undo` takes away exactly these links. A wheel brings copies of its own there: then there is
nothing to do. Without either, `--include_path "$(realm paths eval_tasks)"` does the same for one run.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

SOURCE = Path(__file__).resolve().parent / "tasks"
FOLDER = "realm"


def task_files(source: Path = SOURCE) -> list[Path]:
    """The YAML files of ReaLM's tasks and groups, sorted."""
    return sorted(source.glob("*.yaml"))


def find_target() -> Path:
    """The folder in the installed lm-eval that holds the links; it need not exist yet.

    Raises:
        FileNotFoundError: lm-eval is not installed here.
    """
    spec = find_spec("lm_eval")  # finds the package without importing it
    # Without an origin it is no package but the folder that ReaLM's own wheel makes.
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        raise FileNotFoundError("lm-eval is not installed in this environment; pip install lm_eval==0.4.13")
    return Path(spec.submodule_search_locations[0]) / "tasks" / FOLDER


def make_links(target: Path, source: Path = SOURCE) -> list[Path]:
    """Link every task file into `target`, anew where a link is there already; links without a file go away.

    A copy with the same content, which a wheel brings, is left as it is.

    Raises:
        FileExistsError: something else that is not a link stands in the way; nothing is changed then.
    """
    links = {
        target / file.name: file for file in task_files(source) if not _is_copy(target / file.name, file)
    }
    if not links:
        return []
    blocked = [path for path in (target, *links) if _blocks(path, is_folder=path == target)]
    if blocked:
        raise FileExistsError(
            f"{blocked[0]} is there already and is not ours to replace; move it away and run this again"
        )
    target.mkdir(exist_ok=True)
    remove_links(target, source, keep_folder=True)
    for link, file in links.items():
        link.unlink(missing_ok=True)
        link.symlink_to(file)
    return list(links)


def remove_links(target: Path, source: Path = SOURCE, keep_folder: bool = False) -> list[Path]:
    """Remove the links in `target` that lead into `source`, and `target` itself once it is empty."""
    if not target.is_dir():
        return []
    ours = [
        path for path in sorted(target.iterdir()) if path.is_symlink() and path.readlink().parent == source
    ]
    for link in ours:
        link.unlink()
    if not keep_folder and not any(target.iterdir()):
        target.rmdir()
    return ours


def _is_copy(path: Path, file: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == file.read_bytes()


def _blocks(path: Path, is_folder: bool) -> bool:
    if is_folder:
        return path.is_symlink() or (path.exists() and not path.is_dir())
    return path.exists() and not path.is_symlink()


def link_tasks(
    undo: Annotated[bool, typer.Option("--undo", help="Remove the links again.")] = False,
) -> None:
    """Link ReaLM's evaluation tasks into the installed lm-eval, or remove the links."""
    try:
        target = find_target()
        changed = remove_links(target) if undo else make_links(target)
    except OSError as error:  # not installed, a file in the way, no right to write
        typer.echo(f"realm link-tasks: {error}", err=True)
        raise typer.Exit(1) from None
    for path in changed:
        typer.echo(f"{'removed' if undo else 'linked'} {path}")
    if not changed:
        why = "no links of ReaLM" if undo else "the wheel's copies of the tasks are"
        typer.echo(f"nothing to do: {why} in {target}")
